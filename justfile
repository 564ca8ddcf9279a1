# Short names for what is done every day. Without `just`: each line works by itself.

[private]
default:
    @just --list

# everything CI checks
test:
    cargo xtask test

# the tests alone; `just unit -p jackfield-core`
unit *arguments:
    cargo nextest run {{ arguments }}

# the console in a real browser; `just console sign-in`
console *arguments:
    cargo xtask console {{ arguments }}

# the rules of the house
tidy:
    cargo fmt --all
    cargo xtask tidy

# lints
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# docs/errors.md from the table of codes
errors:
    cargo xtask errors

# the whole journey with a service of our own, on a temporary store
demo:
    cargo run -- demo

# the service, on ./jackfield-data
serve:
    cargo run -- serve

# what is known against our dependencies; needs cargo-deny and the network
advisories:
    cargo deny check advisories
