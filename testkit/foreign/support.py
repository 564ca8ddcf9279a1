"""What the Python servers share: configuration, the request log, faults, pages and the end of the process.

None of it takes part in OAuth.
"""

import base64
import json
import logging
import os
import socket
import sys
import threading
from html import escape

from flask import Flask, Response, g, jsonify, request, session
from werkzeug.serving import make_server

PEOPLE = [
    {"username": "alice", "password": "wonderland", "sub": "sub-alice", "name": "Alice Liddell",
     "email": "alice@example.com"},
    {"username": "bob", "password": "builder", "sub": "sub-bob", "name": "Bob Mason", "email": "bob@example.com"},
]
LIFETIMES = {"code": 60, "access_token": 3600, "refresh_token": 86400, "device_code": 600}


def read_config(**defaults):
    """The defaults of the server, replaced by what `JACKFIELD_FOREIGN_CONFIG` says."""
    given = json.loads(os.environ.get("JACKFIELD_FOREIGN_CONFIG") or "{}")
    config = {"redirect_uris": ["http://127.0.0.1:1/callback"], "consent": "form", "people": PEOPLE}
    config |= defaults | given
    config["lifetimes"] = LIFETIMES | given.get("lifetimes", {})
    return config


def find_person(config, username, password):
    for person in config["people"]:
        if (person["username"], person["password"]) == (username, password):
            return person
    return None


def person_by_sub(config, sub):
    return next((person for person in config["people"] if person["sub"] == sub), None)


# --- pages ----------------------------------------------------------------------------------------------------------


def page(title, body, status=200):
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
    return Response(text, status, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")


def login_page(action, wrong=False):
    alert = '<p role="alert">Wrong user name or password.</p>\n' if wrong else ""
    return page(
        "Log in",
        f'{alert}<form method="post" action="{escape(action)}">\n'
        '<label>User name <input name="username" required></label>\n'
        '<label>Password <input name="password" type="password" required></label>\n'
        '<button type="submit" name="decision" value="log_in">Log in</button>\n'
        '<button type="submit" name="decision" value="deny" formnovalidate>Cancel</button>\n</form>',
    )


def consent_page(action, client, scopes):
    items = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    return page(
        "Allow access",
        f'<p>{escape(client)} asks for:</p><ul>{items}</ul>\n<form method="post" action="{escape(action)}">\n'
        '<button type="submit" name="decision" value="allow">Allow</button>\n'
        '<button type="submit" name="decision" value="deny">Deny</button>\n</form>',
    )


def here():
    """The address of this page, without the host."""
    return request.full_path.rstrip("?")


def ask(config, client, scopes):
    """Takes the person through log-in and consent.

    Gives a page to show, or `(person, allowed)` once decided.
    """
    if config["consent"] == "auto":
        return None, (config["people"][0], True)
    decision = request.form.get("decision")
    if decision == "deny":
        return None, (None, False)
    person = person_by_sub(config, session.get("sub"))
    if person is None and decision == "log_in":
        person = find_person(config, request.form.get("username"), request.form.get("password"))
        if person is None:
            return login_page(here(), wrong=True), None
        session["sub"] = person["sub"]
        return Response(status=303, headers={"Location": here()}), None
    if person is None:
        return login_page(here()), None
    if decision == "allow":
        return None, (person, True)
    return consent_page(here(), client, scopes), None


# --- the log --------------------------------------------------------------------------------------------------------


def jwt_summary(assertion):
    try:
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in assertion.split(".")[:2]
        )
    except ValueError:
        return {"unreadable": True}
    shown = {name: header.get(name) for name in ("alg", "typ", "kid")}
    return shown | {name: claims.get(name) for name in ("iss", "sub", "aud")} | {"claims": list(claims)}


def body_fields():
    if request.mimetype == "application/x-www-form-urlencoded":
        return request.form.to_dict()
    if request.is_json:
        found = request.get_json(silent=True)
        return found if isinstance(found, dict) else {}
    return {}


def client_authentication(form):
    found = []
    if request.headers.get("Authorization", "").lower().startswith("basic "):
        found.append("client_secret_basic")
    if form.get("client_assertion"):
        found.append("private_key_jwt")
    if "client_secret" in form:
        found.append("client_secret_post")
    if not found and "client_id" in form:
        found.append("none")
    return "+".join(found) or None


def entry_of_request():
    form = body_fields()
    entry = {
        "method": request.method,
        "path": request.path,
        "query": list(request.args),
        "form": list(form),
        "content_type": request.headers.get("Content-Type"),
        "grant_type": None,
        "client_authentication": client_authentication(form),
        "authorization": request.headers.get("Authorization", "").split(" ")[0] or None,
        "status": None,
        "error": None,
    }
    for name in ("code_challenge_method", "scope", "prompt"):
        if name in request.args:
            entry[name] = request.args[name]
    for name in ("grant_type", "token_type_hint", "scope"):
        if isinstance(form.get(name), str):
            entry[name] = form[name]
    assertion = form.get("client_assertion") or form.get("assertion")
    if isinstance(assertion, str):
        entry["assertion"] = jwt_summary(assertion)
    return entry


def echo(right):
    """What `/resource` answers: what came, and by which right."""

    def flat(fields):
        return {name: values if len(values) > 1 else values[0] for name, values in fields.lists()}

    if request.mimetype == "application/x-www-form-urlencoded":
        body = flat(request.form)
    elif request.is_json:
        body = request.get_json(silent=True)
    else:
        body = request.get_data(as_text=True) or None
    seen = {
        "method": request.method,
        "path": request.path,
        "query": flat(request.args),
        "body": body,
        "content_type": request.headers.get("Content-Type"),
    }
    return jsonify(seen | right)


# --- the process ----------------------------------------------------------------------------------------------------


def make_app(revoke, describe=None):
    """An application with `/_log` and `/_control`.

    `revoke(what)` forgets tokens; `describe()` adds to the log entry of the present request.
    """
    app = Flask("foreign")
    app.secret_key = os.urandom(32)
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    lock = threading.Lock()
    log = []
    faults = []

    @app.get("/_log")
    def get_log():
        with lock:
            return jsonify(log)

    @app.post("/_control")
    def control():
        order = request.get_json(force=True)
        with lock:
            if order.get("fault"):
                faults.append({"times": 1} | order["fault"])
            if order.get("revoke"):
                revoke(order["revoke"])
        return jsonify({})

    @app.before_request
    def before():
        g.entry = None
        if request.path in ("/_log", "/_control"):
            return None
        # The body first, kept: reading the form alone would use it up.
        request.get_data(cache=True)
        g.entry = entry_of_request() | (describe() if describe else {})
        with lock:
            log.append(g.entry)
            fault = next((f for f in faults if f["path"] == request.path and f["times"] > 0), None)
            if fault is None:
                return None
            fault["times"] -= 1
        if fault.get("lose"):
            g.entry["lost"] = True
            return None
        body = fault.get("body", {"error": "temporarily_unavailable"})
        return jsonify(body), fault.get("status", 503), fault.get("headers", {})

    @app.after_request
    def after(response):
        if g.entry is None:
            return response
        g.entry["status"] = response.status_code
        if response.is_json:
            found = response.get_json(silent=True)
            g.entry["error"] = found.get("error") if isinstance(found, dict) else None
        if g.entry.get("lost"):
            # Carried out, but the connection is cut in the place of the answer.
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return response

    return app


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def serve(build):
    """Has `build(url)` make the application and serves it on a port of its own until standard input closes."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # The port must be known before the application, which names itself by it.
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = make_server("127.0.0.1", 0, build(url), threaded=True, fd=listener.fileno())
    threading.Thread(target=end_with_input, daemon=True).start()
    print(f"READY {url}", flush=True)
    server.serve_forever()
