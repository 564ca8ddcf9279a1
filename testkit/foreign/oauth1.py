"""oauthlib's OAuth 1 server: three legs, each signature method, the nonce, the time and the verifier checked."""

from flask import Response, jsonify, request
from oauthlib.common import safe_string_equals
from oauthlib.oauth1 import OAuth1Error, RequestValidator, WebApplicationServer
from oauthlib.oauth1.rfc5849.utils import parse_authorization_header

import support

config = support.read_config(
    consumer_key="jackfield-consumer-key-01",
    consumer_secret="a-secret-of-the-consumer",
    public_key=None,
    signature_methods=["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT"],
    realms=[],
)
OOB = "oob"

request_tokens = {}
access_tokens = {}
nonces = set()


def revoke(what):
    if what in ("access_tokens", "all"):
        access_tokens.clear()


class Validator(RequestValidator):
    """Only where things are kept and who may come; what is checked is oauthlib's."""

    enforce_ssl = False
    dummy_client = "no-such-consumer-key-0000"
    dummy_request_token = "no-such-request-token-000"
    dummy_access_token = "no-such-access-token-0000"
    # The names and lengths of the standard are free; the defaults of oauthlib are 20 to 30 letters and digits.
    client_key_length = (1, 100)
    nonce_length = (8, 64)
    request_token_length = (20, 40)
    access_token_length = (20, 40)
    verifier_length = (8, 40)
    realms = config["realms"]

    @property
    def allowed_signature_methods(self):
        return config["signature_methods"]

    @property
    def safe_characters(self):
        return super().safe_characters | set("-._~")

    def get_client_secret(self, client_key, request):
        return config["consumer_secret"] or ""

    def get_rsa_key(self, client_key, request):
        return config["public_key"] or ""

    def get_request_token_secret(self, client_key, token, request):
        return request_tokens.get(token, {}).get("secret", "none")

    def get_access_token_secret(self, client_key, token, request):
        return access_tokens.get(token, {}).get("secret", "none")

    def get_default_realms(self, client_key, request):
        return config["realms"]

    def get_realms(self, token, request):
        return request_tokens.get(token, {}).get("realms", [])

    def get_redirect_uri(self, token, request):
        return request_tokens[token]["callback"]

    def validate_client_key(self, client_key, request):
        return safe_string_equals(client_key, config["consumer_key"])

    def validate_request_token(self, client_key, token, request):
        return token in request_tokens

    def validate_access_token(self, client_key, token, request):
        return token in access_tokens

    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, request_token=None,
                                     access_token=None):
        seen = (client_key, timestamp, nonce, request_token or access_token)
        if seen in nonces:
            return False
        nonces.add(seen)
        return True

    def validate_redirect_uri(self, client_key, redirect_uri, request):
        return redirect_uri == OOB or redirect_uri in config["redirect_uris"]

    def validate_requested_realms(self, client_key, realms, request):
        return set(realms or []) <= set(config["realms"])

    def validate_realms(self, client_key, token, request, uri=None, realms=None):
        return True

    def validate_verifier(self, client_key, token, verifier, request):
        right = request_tokens.get(token, {}).get("verifier", "none")
        return safe_string_equals(verifier or "", right)

    def verify_request_token(self, token, request):
        return token in request_tokens

    def verify_realms(self, token, realms, request):
        return set(realms or []) <= set(config["realms"])

    def save_request_token(self, token, request):
        request_tokens[token["oauth_token"]] = {
            "secret": token["oauth_token_secret"], "callback": request.redirect_uri, "realms": request.realms,
        }

    def save_verifier(self, token, verifier, request):
        request_tokens[token] |= {"verifier": verifier["oauth_verifier"], "sub": request_tokens[token]["allowed_by"]}

    def save_access_token(self, token, request):
        access_tokens[token["oauth_token"]] = {
            "secret": token["oauth_token_secret"], "sub": request_tokens[request.resource_owner_key]["sub"],
        }

    def invalidate_request_token(self, client_key, request_token, request):
        request_tokens.pop(request_token, None)


server = WebApplicationServer(Validator())


def incoming():
    """The request as oauthlib wants it: with the address as it was written, which Flask's `url` decodes in part."""
    return {
        "uri": f"{request.scheme}://{request.host}{request.environ['RAW_URI']}",
        "http_method": request.method,
        "body": request.get_data(as_text=True),
        "headers": dict(request.headers),
    }


def describe():
    """How the request was signed, for the log."""
    places = {
        "header": dict(parse_authorization_header(request.headers["Authorization"]))
        if request.headers.get("Authorization", "").lower().startswith("oauth ")
        else {},
        "body": request.form,
        "query": request.args,
    }
    for place, found in places.items():
        if "oauth_signature_method" in found:
            return {
                "oauth": {
                    "place": place,
                    "signature_method": found["oauth_signature_method"],
                    "parameters": sorted(name for name in found if name.startswith("oauth_") or name == "realm"),
                    "realm": found.get("realm"),
                }
            }
    return {"oauth": None}


def answer(made):
    headers, body, status = made
    return Response(body, status, headers)


def build(_url):
    app = support.make_app(revoke, describe)

    @app.errorhandler(OAuth1Error)
    def refused(error):
        return Response(error.urlencoded, error.status_code or 400, content_type="application/x-www-form-urlencoded")

    @app.post("/oauth/request_token")
    def request_token():
        return answer(server.create_request_token_response(**incoming()))

    @app.route("/oauth/authorize", methods=["GET", "POST"])
    def authorize():
        token = request.args.get("oauth_token", "")
        found = request_tokens.get(token)
        if found is None or "verifier" in found:
            return support.page("Refused", "<p>This request token is unknown or used.</p>", 401)
        shown, decided = support.ask(config, config["consumer_key"], found["realms"] or [])
        if shown:
            return shown
        person, allowed = decided
        if not allowed:
            del request_tokens[token]
            if found["callback"] == OOB:
                return support.page("Denied", "<p>Access was denied.</p>")
            joint = "&" if "?" in found["callback"] else "?"
            return Response(status=302, headers={"Location": f"{found['callback']}{joint}denied={token}"})
        found["allowed_by"] = person["sub"]
        uri = f"{request.base_url}?oauth_token={token}"
        headers, body, status = server.create_authorization_response(uri, realms=found["realms"])
        return Response(body, status, headers)

    @app.post("/oauth/access_token")
    def access_token():
        return answer(server.create_access_token_response(**incoming()))

    def caller():
        valid, asked = server.validate_protected_resource_request(**incoming(), realms=config["realms"])
        return access_tokens[asked.resource_owner_key] if valid else None

    def unauthorized():
        return jsonify({"error": "signature_invalid"}), 401, {"WWW-Authenticate": "OAuth"}

    @app.get("/me")
    def me():
        found = caller()
        if found is None:
            return unauthorized()
        person = support.person_by_sub(config, found["sub"])
        return jsonify({name: person[name] for name in ("sub", "name", "email")})

    @app.route("/resource", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @app.route("/resource/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def resource(rest):
        found = caller()
        if found is None:
            return unauthorized()
        return support.echo({"sub": found["sub"], "client_id": config["consumer_key"], "scopes": config["realms"]})

    return app


support.serve(build)
