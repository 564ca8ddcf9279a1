#!/usr/bin/env python3
"""Jackfield measured against nginx doing the bare minimum of the same work.

    benches/bench.py proxy             one benchmark: proxy, invoke, stream, start, invalid_key, console
    benches/bench.py all --write       all of them, and docs/benchmarks.md
    benches/bench.py all --quick       each once, small: whether it runs, not how fast

Needs Debian's nginx, wrk and python3, and a release binary (cargo build --release -p jackfield; --binary names another).
Everything runs on free ports of loopback and in a temporary folder, and is stopped by its process id.

Rates of one machine say little about another's, and a busy machine's say little at all. So every figure is CPU time per
request, read from /proc, or a ratio to nginx in the same run, with runs that alternate A B B A.
"""

import argparse
import contextlib
import datetime
import gzip
import http.client
import json
import os
import platform
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
TICKS = os.sysconf("SC_CLK_TCK")
ANSWER = '{"id":7,"name":"Acme Books","email":"books@acme.example","active":true,"balance":"1200.00"}'
CONNECTIONS = 32
MIB = 1024 * 1024


# --- processes -------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    sys.exit(f"nothing answers on port {port}")


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu(pid):
    """CPU seconds, of all threads, in user space and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def fine_cpu(pid):
    """The same of the threads that still live, to the nanosecond."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory(pid, name="VmRSS"):
    """MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def settle(pid, patience=20):
    """Waits until a process has worked off what it does behind the answers, such as records of calls."""
    until = time.monotonic() + patience
    before = cpu(pid)
    while time.monotonic() < until:
        time.sleep(0.5)
        now = cpu(pid)
        if now - before <= 1.5 / TICKS:
            return
        before = now


# --- the two peers and what stands behind them -----------------------------------------------------------------------


class Nginx:
    def __init__(self, folder, name, servers):
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log error;
            events {{ worker_connections 2048; }}
            http {{
                access_log off; keepalive_requests 100000000; sendfile on; tcp_nodelay on;
                client_max_body_size 0; client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
                fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
                {servers}
            }}""")
        self.process = subprocess.Popen(
            [which("nginx"), "-p", str(self.folder), "-c", "nginx.conf", "-e", f"{self.folder}/error.log"])

    def worker(self):
        pid = self.process.pid
        until = time.monotonic() + 5
        while time.monotonic() < until:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                return int(children[0])
            time.sleep(0.02)
        sys.exit("nginx has no worker")


class Sink:
    """Takes uploads, whatever their size, and answers each with 200 once it has it whole."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    @staticmethod
    def serve(stream):
        buffer = bytearray(MIB)
        with stream:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = stream.recv(65536)
                    if not piece:
                        return
                    head += piece
                head, rest = head.split(b"\r\n\r\n", 1)
                lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                           if line.lower().startswith(b"content-length:")]
                # Chunks of zeros end with the first `0\r\n\r\n` that follows a line end.
                left, tail = (lengths[0] - len(rest), b"") if lengths else (None, rest)
                while (left > 0) if left is not None else not tail.endswith(b"\r\n0\r\n\r\n"):
                    got = stream.recv_into(buffer)
                    if got == 0:
                        return
                    if left is not None:
                        left -= got
                    else:
                        tail = (tail + bytes(buffer[max(0, got - 16):got]))[-16:]
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Jackfield:
    def __init__(self, binary, folder, database=None):
        self.binary, self.folder, self.process = binary, folder, None
        self.port = free_port()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("JACKFIELD_")} | {
            "HOME": str(folder), "JACKFIELD_DATA_DIR": str(folder), "JACKFIELD_EGRESS_ALLOW": "127.0.0.0/8",
            "JACKFIELD_LISTEN": f"127.0.0.1:{self.port}"}
        if database:
            self.environment["JACKFIELD_DATABASE_URL"] = database.url
        made = subprocess.run(
            [binary, "init", "--organization", "Bench", "--email", "bench@example.com", "--json"],
            env=self.environment, cwd=folder, check=True, stdout=subprocess.PIPE)
        made = json.loads(made.stdout)
        self.key, self.password = made["key"], made["password"]

    def start(self):
        """Seconds from the start of the process to its first answer."""
        began = time.monotonic()
        self.process = subprocess.Popen([self.binary, "serve"], env=self.environment, cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stderr=open(self.folder / "log", "ab"))
        while True:
            if self.process.poll() is not None:
                sys.exit("jackfield ended:\n" + (self.folder / "log").read_text())
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as stream:
                    stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                    if stream.recv(64).startswith(b"HTTP/1.1 200"):
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.001)

    def stop(self):
        if self.process:
            end(self.process)
            self.process = None

    @property
    def pid(self):
        return self.process.pid

    def api(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status >= 400:
                sys.exit(f"{method} {path}: {answer.status} {text}")
            return json.loads(text) if text else None

    def connect(self, name, base_url):
        """A connector, published; a connection; an authorization with a key that goes into the Authorization header."""
        connector = self.api("POST", "/v1/connectors", {
            "name": name, "link_name": name, "base_url": base_url, "hosts": [base_url.split("//")[1]],
            "levels": ["admin"],
            "auth": {"type": "api_key", "fields": [
                {"name": "key", "label": "Key", "secret": True, "required": True, "in": "header",
                 "as": "Authorization", "prefix": "Bearer "}]}})
        if connector.get("stage") == "draft":
            self.api("POST", f"/v1/connectors/{name}/publish")
        self.api("POST", "/v1/connections", {"connector": name, "name": name, "link_name": name, "level": "admin",
                                             "scopes": [], "parameters": {}, "same_authorization": True,
                                             "applications": ["*"]})
        made = self.api("POST", f"/v1/connections/{name}/authorizations",
                        {"account_name": "bench", "credentials": {"key": "fixed-upstream-credential"}})
        if made["authorization"]["status"] != "connected":
            sys.exit(f"not connected: {made}")

    def metric(self, word):
        """The counters of /metrics whose names hold this word, added up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        return int(sum(float(line.split()[-1]) for line in lines if not line.startswith("#") and word in line))


class Stage:
    """Upstream, nginx and Jackfield, running."""

    def __init__(self, binary, file_size=0, database=None):
        self.open = contextlib.ExitStack()
        self.folder = Path(self.open.enter_context(tempfile.TemporaryDirectory(prefix="jackfield-bench-")))
        self.folder.chmod(0o755)  # nginx gives up root's rights and still has to read the file
        self.up, self.peer_port, self.sink = free_port(), free_port(), Sink()
        served = self.folder / "served"
        served.mkdir(mode=0o755)
        with open(served / "file", "wb") as file:
            file.truncate(file_size)
        upstream = Nginx(self.folder, "upstream", f"""
            server {{
                listen 127.0.0.1:{self.up} backlog=1024;
                location /file {{ root {served}; }}
                location / {{ default_type application/json; return 200 '{ANSWER}'; }}
            }}""")
        self.open.callback(end, upstream.process)
        wait_for(self.up, upstream.process)
        peer = Nginx(self.folder, "peer", f"""
            upstream service {{ server 127.0.0.1:{self.up}; keepalive 512; keepalive_requests 100000000; }}
            upstream sink {{ server 127.0.0.1:{self.sink.port}; keepalive 16; }}
            proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "Bearer fixed";
            proxy_max_temp_file_size 0; proxy_request_buffering off;
            server {{
                listen 127.0.0.1:{self.peer_port} backlog=1024;
                location / {{ proxy_pass http://service; }}
                location /sink {{ proxy_pass http://sink; }}
            }}""")
        self.open.callback(end, peer.process)
        wait_for(self.peer_port, peer.process)
        self.peer = peer.worker()
        home = self.folder / "jackfield"
        home.mkdir()
        self.jackfield = Jackfield(binary, home, database)
        self.open.callback(self.jackfield.stop)
        self.jackfield.start()
        self.jackfield.connect("service", f"http://127.0.0.1:{self.up}")
        self.jackfield.connect("sink", f"http://127.0.0.1:{self.sink.port}")

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.open.close()


# --- load ------------------------------------------------------------------------------------------------------------


class Target:
    """What is loaded: a URL, headers, and the process that works for it."""

    def __init__(self, name, pid, url, headers=(), method="GET", body=None, refused=False):
        self.name, self.pid, self.url, self.headers = name, pid, url, headers
        self.method, self.body, self.refused = method, body, refused

    def load(self, seconds, connections=CONNECTIONS):
        command = [which("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s",
                   "-s", str(Path(__file__).with_name("load.lua"))]
        for header in self.headers:
            command += ["-H", header]
        environment = dict(os.environ, BENCH_METHOD=self.method)
        if self.body is not None:
            environment["BENCH_BODY"] = self.body
        before = cpu(self.pid)
        done = subprocess.run([*command, self.url], env=environment, check=True, stdout=subprocess.PIPE, text=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("outcome "))
        outcome = json.loads(line.removeprefix("outcome "))
        settle(self.pid)
        spent = cpu(self.pid) - before
        if outcome["broken"] or (outcome["status"] > 0) != self.refused or not outcome["requests"]:
            sys.exit(f"{self.name}: not the answers that were expected: {outcome}")
        return outcome | {"cpu": spent / outcome["requests"] * 1e6,
                          "rate": outcome["requests"] / outcome["micros"] * 1e6}


def alternate(targets, seconds, pairs):
    """A B C, C B A, A B C …: what the machine does besides meets all of them alike. One short round to warm up."""
    for target in targets:
        target.load(1)
    runs = {target.name: [] for target in targets}
    for turn in range(pairs):
        for target in targets if turn % 2 == 0 else reversed(targets):
            runs[target.name].append(target.load(seconds))
            time.sleep(0.3)
    return runs


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def of(runs, what):
    return [run[what] for run in runs]


def ratios(runs, base):
    return [a["cpu"] / b["cpu"] for a, b in zip(runs, base)]


def against_nginx(targets, options):
    """A table of CPU time per request, and one of latency on a single connection."""
    runs = alternate(targets, options.seconds, options.pairs)
    out = ["| | CPU per request, µs | ratio to nginx, pair by pair | requests/s |", "|---|---|---|---|"]
    for target in targets:
        mine = runs[target.name]
        ratio = spread(ratios(mine, runs["nginx"]), 2)
        out.append(f"| {target.name} | {spread(of(mine, 'cpu'))} | {ratio} | {spread(of(mine, 'rate'), 0)} |")
    return out


def latencies(targets, options):
    runs = {target.name: [] for target in targets}
    for turn in range(options.pairs):
        for target in targets if turn % 2 == 0 else reversed(targets):
            runs[target.name].append(target.load(1 if options.quick else 2, connections=1))
    out = ["", "Latency on one connection, without a queue:", "", "| | p50, µs | p99, µs |", "|---|---|---|"]
    for target in targets:
        mine = runs[target.name]
        out.append(f"| {target.name} | {spread(of(mine, 'p50'), 0)} | {spread(of(mine, 'p99'), 0)} |")
    return out


def direct(stage, upstream):
    return Target("direct", upstream, f"http://127.0.0.1:{stage.up}/v3/vendor/7")


def nginx(stage):
    return Target("nginx", stage.peer, f"http://127.0.0.1:{stage.peer_port}/v3/vendor/7")


# --- the benchmarks --------------------------------------------------------------------------------------------------


def proxy(options):
    """A small JSON body through the proxy: key checked, permit, binding, credential put in, call recorded."""
    with Stage(options.binary) as stage:
        jackfield = stage.jackfield
        mine = Target("Jackfield", jackfield.pid, f"http://127.0.0.1:{jackfield.port}/v1/proxy/service/v3/vendor/7",
                      [f"Authorization: Bearer {jackfield.key}"])
        statements = jackfield.metric("statements")
        out = against_nginx([nginx(stage), mine], options)
        out += latencies([direct(stage, stage.peer), nginx(stage), mine], options)
        jackfield.api("GET", "/v1/connections/service/calls")
        return [*out, "", f"Records of calls dropped: {jackfield.metric('dropped')}. Statements meanwhile: "
                          f"{jackfield.metric('statements') - statements}: from writing the records, and the background's look for "
                          "what is due each second."]


def invoke(options):
    """The same call described in JSON, answered in JSON with status and headers (`detailed`)."""
    with Stage(options.binary) as stage:
        jackfield = stage.jackfield
        body = json.dumps({"method": "GET", "url": "/v3/vendor/7", "detailed": True})
        mine = Target("Jackfield", jackfield.pid, f"http://127.0.0.1:{jackfield.port}/v1/connections/service/invoke",
                      [f"Authorization: Bearer {jackfield.key}", "Content-Type: application/json"], "POST", body)
        return against_nginx([nginx(stage), mine], options)


def download(port, path, size, key):
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", port)) as stream:
        began = time.monotonic()
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n{key}Connection: close\r\n\r\n".encode())
        got = 0
        while count := stream.recv_into(buffer):
            if got == 0 and not buffer.startswith(b"HTTP/1.1 200"):
                sys.exit(f"{path}: {bytes(buffer[:count])!r}")
            got += count
    if got < size:
        sys.exit(f"{path}: only {got} bytes")
    return size / (time.monotonic() - began) / MIB


def upload(port, path, size, key):
    chunk = bytes(256 * 1024)
    with socket.create_connection(("127.0.0.1", port)) as stream:
        began = time.monotonic()
        stream.sendall(f"PUT {path} HTTP/1.1\r\nHost: bench\r\n{key}Content-Length: {size}\r\n"
                       "Connection: close\r\n\r\n".encode())
        for _ in range(size // len(chunk)):
            stream.sendall(chunk)
        if not stream.recv(65536).startswith(b"HTTP/1.1 200"):
            sys.exit(f"{path}: refused")
    return size / (time.monotonic() - began) / MIB


def stream(options):
    """One large body through the proxy each way: how much memory grows, and bytes per second beside nginx's."""
    size = (16 if options.quick else 1024) * MIB
    with Stage(options.binary, size) as stage:
        jackfield = stage.jackfield
        key = f"Authorization: Bearer {jackfield.key}\r\n"
        out = [f"{size // MIB} MiB each way.", "",
               "| | Jackfield, MiB/s | ratio to nginx, pair by pair | CPU, ratio to nginx | memory grows by, MiB |",
               "|---|---|---|---|---|"]
        for name, move, nginx_path, path in [("download", download, "/file", "/v1/proxy/service/file"),
                                             ("upload", upload, "/sink", "/v1/proxy/sink/sink")]:
            move(jackfield.port, path, size, key) if options.quick else None
            settle(jackfield.pid)
            before = memory(jackfield.pid)
            # 5 resets the high-water mark (proc(5), clear_refs).
            Path(f"/proc/{jackfield.pid}/clear_refs").write_text("5")
            rates, mine, work = [], [], []
            for turn in range(options.pairs):
                pair = {}
                for who in ("nginx", "mine") if turn % 2 == 0 else ("mine", "nginx"):
                    pid = jackfield.pid if who == "mine" else stage.peer
                    spent = cpu(pid)
                    rate = (move(jackfield.port, path, size, key) if who == "mine"
                            else move(stage.peer_port, nginx_path, size, ""))
                    settle(pid)
                    pair[who] = (rate, cpu(pid) - spent)
                mine.append(pair["mine"][0])
                rates.append(pair["mine"][0] / pair["nginx"][0])
                work.append(pair["mine"][1] / max(pair["nginx"][1], 1 / TICKS))
            grown = memory(jackfield.pid, "VmHWM") - before
            out.append(f"| {name} | {spread(mine, 0)} | {spread(rates, 2)} | {spread(work, 2)} | {grown:.1f} |")
        return out


def start(options):
    """From the start of the process to its first answer, on an existing SQLite store; memory; the size of the binary."""
    with Stage(options.binary) as stage:
        jackfield = stage.jackfield
        jackfield.stop()
        times, work = [], []
        for _ in range(2 if options.quick else 20):
            times.append(jackfield.start() * 1000)
            work.append(fine_cpu(jackfield.pid) * 1000)
            jackfield.stop()
        jackfield.start()
        time.sleep(0.5 if options.quick else 5)
        idle = memory(jackfield.pid)
        connection = http.client.HTTPConnection("127.0.0.1", jackfield.port, timeout=30)
        with contextlib.closing(connection):
            for _ in range(1000):
                connection.request("GET", "/v1/proxy/service/v3/vendor/7",
                                   headers={"Authorization": f"Bearer {jackfield.key}"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    sys.exit(f"proxy: {answer.status}")
        settle(jackfield.pid)
        used = memory(jackfield.pid)
        return ["| | |", "|---|---|",
                f"| start to first answer, ms ({len(times)} starts) | {spread(times, 0)} |",
                f"| CPU time until then, ms | {spread(work, 0)} |",
                f"| resident memory, idle, MiB | {idle:.1f} |",
                f"| resident memory after 1000 calls, MiB | {used:.1f} |",
                f"| binary, MiB | {os.path.getsize(options.binary) / MIB:.1f} |"]


def unknown_key():
    """Well formed, with the right checksum, and nobody's."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    body = "jfp_" + "Nobody0000" * 3 + "00"
    rest, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, letter = divmod(rest, 62)
        checksum = letters[letter] + checksum
    return body + checksum


def invalid_key(options):
    """What a stranger costs: a key that is well formed but unknown, and one whose checksum is wrong."""
    with Stage(options.binary) as stage:
        jackfield = stage.jackfield
        url = f"http://127.0.0.1:{jackfield.port}/v1/proxy/service/v3/vendor/7"
        known = jackfield.metric("statements")
        targets = [nginx(stage)] + [
            Target(name, jackfield.pid, url, [f"Authorization: Bearer {key}"], refused=True)
            for name, key in [("unknown key", unknown_key()), ("malformed key", jackfield.key[:-1] + "_")]]
        out = against_nginx(targets, options)
        return [*out, "", f"Statements sent to the database meanwhile: {jackfield.metric('statements') - known} "
                          "(the look for due refreshes, each second, among them)."]


def signed_in(jackfield):
    """The session's cookie of the super admin, by the form of the sign-in page."""
    connection = http.client.HTTPConnection("127.0.0.1", jackfield.port, timeout=30)
    with contextlib.closing(connection):
        form = urllib.parse.urlencode({"email": "bench@example.com", "password": jackfield.password})
        connection.request("POST", "/signin", form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answer.read()
        return answer.headers["set-cookie"].split(";")[0]


def multiply(jackfield, connections):
    """Copies the connection and what serves it, in the store of the stopped service, until there are so many."""
    with contextlib.closing(sqlite3.connect(jackfield.folder / "jackfield.db")) as store, store:
        for table, name in [("connections", "link_name"), ("bindings", "connection")]:
            columns = [row[1] for row in store.execute(f"pragma table_info({table})")]
            value = {name: "'c' || printf('%05d', n)", "id": "'con_' || n", "name": "'Connection ' || n"}
            values = ", ".join(value.get(column, column) for column in columns)
            store.execute(f"with recursive number(n) as (select 1 union all select n + 1 from number where n < ?) "
                          f"insert into {table} select {values} from {table}, number where {name} = 'service'", (connections - 1,))


def console(options):
    """What a page of the console weighs on the wire (gzip), and what it costs the server, at ten thousand connections."""
    with Stage(options.binary) as stage:
        jackfield = stage.jackfield
        jackfield.stop()
        connections = 100 if options.quick else 10_000
        multiply(jackfield, connections)
        jackfield.start()
        cookie = signed_in(jackfield)
        connection = http.client.HTTPConnection("127.0.0.1", jackfield.port, timeout=30)

        def get(path):
            connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                sys.exit(f"{path}: {answer.status}")
            return body, sum(len(f"{name}: {value}\r\n") for name, value in answer.getheaders())

        page = gzip.decompress(get("/console/connections")[0]).decode()
        assets = {part.split('"')[0] for part in page.split('"/assets/')[1:]}
        once = sum(len(get(f"/assets/{name}")[0]) for name in assets)
        rows = []
        for path in ["/console", "/console/connections", "/console/connections?q=9", "/console/connections?status=not_connected",
                     "/console/connections/service", "/console/connections/new", "/console/connectors", "/console/audit"]:
            body, head = get(path)
            times, work = [], []
            for _ in range(3 if options.quick else 50):
                before, began = fine_cpu(jackfield.pid), time.monotonic()
                get(path)
                times.append((time.monotonic() - began) * 1000)
                work.append((fine_cpu(jackfield.pid) - before) * 1000)
            weight = (len(body) + head) / 1024
            rows.append(f"| `{path}` | {weight:.1f} | {weight + once / 1024:.1f} | {spread(times)} | {spread(work)} |")
        return [f"{connections} connections; stylesheet and script together {once / 1024:.1f} KiB, kept by the browser for good.", "",
                "| page | KiB | KiB on the first visit | time to the whole answer, ms | CPU, ms |", "|---|---|---|---|---|",
                *rows]


def postgres_programs():
    versions = sorted((int(found.name), found / "bin") for found in Path("/usr/lib/postgresql").glob("*")
                      if found.name.isdigit() and (found / "bin" / "initdb").is_file())
    return versions[-1][1] if versions else None


class Postgres:
    """A private PostgreSQL with Debian's settings, every commit on the disk."""

    def __init__(self, folder):
        self.programs, self.folder, self.port = postgres_programs(), folder / "postgres", free_port()
        self.folder.mkdir()
        self.prefix = []
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
            shutil.chown(self.folder, "postgres", "postgres")
        self.run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", self.folder / "data")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self.run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o", options, "start")
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        subprocess.run([*self.prefix, self.programs / program, *arguments], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def execute(self, sql):
        done = subprocess.run([self.programs / "psql", "-qtA", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", sql],
                              check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def cpu(self):
        """CPU seconds of its processes that live."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        ours = [first]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == first:
                    ours.append(int(stat.parent.name))
        return sum(cpu(pid) for pid in ours)

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "fast", "-w", "stop")


def drain(options, database):
    """Lines about the runs of one node: of one record to its end, and of a backlog."""
    with Stage(options.binary, database=database) as stage:
        jackfield = stage.jackfield
        base_url = f"http://127.0.0.1:{stage.up}"
        jackfield.api("POST", "/v1/connectors", {
            "name": "Books", "link_name": "books", "base_url": base_url, "hosts": [base_url.split("//")[1]],
            "auth": {"type": "none"},
            "modules": {"thing": {"fields": [{"name": "name"}], "operations": {"create": {
                "method": "POST", "path": "/things", "idempotency": {"in": "header", "name": "Idempotency-Key"}}}}}})
        jackfield.api("POST", "/v1/connectors/books/publish")
        jackfield.api("POST", "/v1/connections", {"connector": "books", "name": "Books"})
        jackfield.api("POST", "/v1/connections/books/authorizations", {"account_name": "bench"})
        jackfield.api("POST", "/v1/applications", {"name": "Bench"})
        base = "/v1/applications/bench"
        jackfield.api("POST", f"{base}/forms", {"name": "Things", "definition": {"fields": [{"name": "name"}]}})
        jackfield.api("POST", f"{base}/workflows", {"name": "Keep", "definition": {
            "form": "things", "on": "created", "actions": [{"name": "keep", "integration": {
                "connection": "books", "module": "thing", "operation": "create",
                "mapping": {"name": {"field": "name"}}}}]}})
        records = f"{base}/forms/things/records?environment=development"

        def moment(text):
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))

        waits = []
        for number in range(5 if options.quick else 50):
            made = jackfield.api("POST", records, {"data": {"name": f"n{number}"}})["runs"][0]
            while (run := jackfield.api("GET", f"{base}/runs/{made}"))["state"] != "succeeded":
                time.sleep(0.005)
            waits.append((moment(run["ended_at"]) - moment(run["created_at"])).total_seconds() * 1000)
        backlog = 500 if options.quick else options.backlog
        jackfield.api("POST", "/v1/connections/books/disable")
        made = jackfield.api("POST", records, {"data": {"name": "many"}})["runs"][0]
        while jackfield.api("GET", f"{base}/runs/{made}")["state"] != "paused":
            time.sleep(0.01)
        jackfield.stop()
        # The one that waits, as often as the backlog is long. Identifiers are as long as they were.
        value = {"state": "'queued'", "paused_on": "null"}
        enable = "update connections set enabled = 1 where link_name = 'books'"
        if database:
            columns = database.execute("select column_name from information_schema.columns where table_name = 'runs'").split()
            value["id"] = "substr(id, 1, 20) || lpad(n::text, 16, '0')"
            values = ", ".join(value.get(column, column) for column in columns)
            database.execute(f"insert into runs ({', '.join(columns)}) select {values} from runs, generate_series(1, {backlog}) n "
                             f"where id = '{made}'; {enable}")
            database.execute("vacuum analyze runs")
            others = database.cpu
        else:
            with contextlib.closing(sqlite3.connect(jackfield.folder / "jackfield.db")) as store, store:
                columns = [row[1] for row in store.execute("pragma table_info(runs)")]
                value["id"] = "substr(id, 1, 20) || printf('%016d', n)"
                values = ", ".join(value.get(column, column) for column in columns)
                store.execute("with recursive number(n) as (select 1 union all select n + 1 from number where n < ?) "
                              f"insert into runs select {values} from runs, number where id = ?", (backlog, made))
                store.execute(enable)
            others = lambda: 0.0
        jackfield.start()
        began, before, other = time.monotonic(), fine_cpu(jackfield.pid), others()
        while jackfield.api("GET", f"{base}/runs?state=queued&limit=1")["items"] or \
                jackfield.api("GET", f"{base}/runs?state=running&limit=1")["items"]:
            time.sleep(0.05)
        took, work, other = time.monotonic() - began, fine_cpu(jackfield.pid) - before, others() - other
        failed = jackfield.api("GET", f"{base}/runs?state=failed&limit=1")["items"]
        if failed:
            sys.exit(f"a run has failed: {failed[0]['reason']}")
        beside = f", and {other / backlog * 1e6:.0f} µs of the database's" if database else ""
        return [f"- From a record to the end of its run, idle: {spread(waits)} ms.",
                f"- A backlog of {backlog} runs: {backlog / took:.0f} a second; {work / backlog * 1e6:.0f} µs of CPU each{beside}."]


def runs(options):
    """From a record to its effect at the service, and how fast a backlog of runs drains."""
    lines = ["One node, a service that answers at once.", "", "SQLite:", "", *drain(options, None)]
    if not postgres_programs():
        return [*lines, "", "PostgreSQL is not installed and was left out."]
    with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as folder:
        Path(folder).chmod(0o755)
        database = Postgres(Path(folder))
        try:
            return [*lines, "", "PostgreSQL on the same machine:", "", *drain(options, database)]
        finally:
            database.stop()


BENCHMARKS = {f.__name__: f for f in (proxy, invoke, stream, start, invalid_key, console, runs)}


# --- the report ------------------------------------------------------------------------------------------------------


def which(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return found or sys.exit(f"{name} is not installed (Debian: apt install nginx wrk)")


def first_line(*command):
    with contextlib.suppress(OSError):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.splitlines()[0].strip() if done.stdout else ""
    return ""


def environment(options):
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{model}, {os.cpu_count()} cores, Linux {platform.release()}; {first_line(which('nginx'), '-v')}; "
            f"{' '.join(first_line(which('wrk'), '-v').split()[:2])}; {first_line(options.binary, '--version')}; "
            f"load average before: {load}")


def write(name, section):
    """Puts the section between its two marks in docs/benchmarks.md, or at the end."""
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    begin, finish = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if begin in page and finish in page:
        head, rest = page.split(begin, 1)
        page = head + begin + section + finish + rest.split(finish, 1)[1]
    else:
        page += "\n" + begin + section + finish
    PAGE.write_text(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "all"])
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    parser.add_argument("--binary", default=f"{target}/release/jackfield", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=5, help="of each run (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each (default: %(default)s)")
    parser.add_argument("--backlog", type=int, default=100_000, help="runs that wait (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one run of a second each")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    options.binary = str(Path(options.binary).resolve())
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"{options.binary} is not there: cargo build --release -p jackfield")
    command = ["benches/bench.py", "", *(f"--{n} {getattr(options, n)}" for n in ("seconds", "pairs", "backlog")
                                         if getattr(options, n) != parser.get_default(n))]
    if options.quick:
        options.seconds = options.pairs = 1
    for name in BENCHMARKS if options.benchmark == "all" else [options.benchmark]:
        command[1] = name
        surroundings = environment(options)
        lines = BENCHMARKS[name](options)
        section = "\n".join([f"## {name}", "", BENCHMARKS[name].__doc__, "", *lines, "",
                             f"`{' '.join(command)}` on {time.strftime('%Y-%m-%d')}: {surroundings}.", ""])
        print(section, flush=True)
        if options.write and not options.quick:
            write(name, section)


if __name__ == "__main__":
    main()
