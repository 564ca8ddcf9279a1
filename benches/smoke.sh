#!/bin/sh
# Runs each benchmark once, small, and fails only if one does not run. It builds nothing and measures nothing: it takes the debug
# binary that the tests have built.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
for tool in nginx wrk python3; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $tool is not installed"
        exit 0
    fi
done
binary="${CARGO_TARGET_DIR:-target}/debug/jackfield"
if [ ! -x "$binary" ]; then
    echo "skipped: $binary is not built (cargo build)"
    exit 0
fi
exec python3 benches/bench.py all --quick --binary "$binary"
