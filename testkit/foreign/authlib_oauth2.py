"""Authlib's OAuth 2 server: code with PKCE, refresh, revocation, client credentials, device code, JWT bearer."""

import os
import threading
import time
from dataclasses import dataclass, field

# Plain http is refused otherwise; this server is on loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token  # noqa: E402
from authlib.oauth2 import OAuth2Error  # noqa: E402
from authlib.oauth2.rfc6749 import grants, list_to_scope, scope_to_list  # noqa: E402
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin, ClientMixin, TokenMixin  # noqa: E402
from authlib.oauth2.rfc6750 import BearerTokenValidator  # noqa: E402
from authlib.oauth2.rfc7009 import RevocationEndpoint  # noqa: E402
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant  # noqa: E402
from authlib.oauth2.rfc7636 import CodeChallenge  # noqa: E402
from authlib.oauth2.rfc8628 import (  # noqa: E402
    DEVICE_CODE_GRANT_TYPE,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialDict,
)
from authlib.oauth2.rfc9207 import IssuerParameter  # noqa: E402
from flask import jsonify, request  # noqa: E402
from joserfc.jwk import KeySet  # noqa: E402

import support  # noqa: E402

config = support.read_config(
    client_id="jackfield",
    client_secret="a-secret-of-the-client",
    client_authentication="client_secret_basic",
    rotate=True,
    iss=True,
    device_interval=1,
    scopes=["profile", "email", "read", "write"],
)
lifetimes = config["lifetimes"]
METHODS = ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]


@dataclass
class Client(ClientMixin):
    client_id: str
    client_secret: str
    client_authentication: str
    redirect_uris: list
    jwks: dict | None = None

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.redirect_uris[0]

    def get_allowed_scope(self, scope):
        wanted = scope_to_list(scope) if scope else ["profile"]
        return list_to_scope([s for s in wanted if s in config["scopes"]])

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret):
        return self.client_secret == client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return self.client_authentication == method

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return not (grant_type == "client_credentials" and self.client_authentication == "none")


def one_client(given):
    names = ("client_id", "client_secret", "client_authentication", "redirect_uris", "jwks")
    return Client(**{name: given.get(name, config.get(name)) for name in names})


clients = {client.client_id: client for client in map(one_client, config.get("clients", [{}]))}


@dataclass
class Code(AuthorizationCodeMixin):
    code: str
    client_id: str
    redirect_uri: str | None
    scope: str
    sub: str
    code_challenge: str | None
    code_challenge_method: str | None
    issued: float = field(default_factory=time.time)

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


@dataclass
class Token(TokenMixin):
    client_id: str
    sub: str | None
    access_token: str
    scope: str
    expires_in: int
    refresh_token: str | None = None
    issued: float = field(default_factory=time.time)
    access_revoked: bool = False
    refresh_revoked: bool = False

    def check_client(self, client):
        return self.client_id == client.client_id

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.expires_in

    def is_expired(self):
        return self.issued + self.expires_in < time.time()

    def is_revoked(self):
        return self.access_revoked

    def get_user(self):
        return support.person_by_sub(config, self.sub)

    def get_client(self):
        return clients[self.client_id]


codes = {}
tokens = []
devices = {}
device_answers = {}
assertion_ids = set()
one_at_a_time = threading.Lock()


def find_token(**wanted):
    (name, value), = wanted.items()
    return next((token for token in tokens if value and getattr(token, name) == value), None)


def save_token(answer, asked):
    person = asked.user
    tokens.append(
        Token(
            client_id=asked.client.client_id,
            sub=person["sub"] if person else None,
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token"),
            scope=answer.get("scope") or "",
            expires_in=answer["expires_in"],
        )
    )


def revoke(what):
    for token in tokens:
        token.access_revoked |= what in ("access_tokens", "all")
        token.refresh_revoked |= what in ("refresh_tokens", "all")


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, asked):
        data = asked.payload.data
        codes[code] = Code(
            code=code,
            client_id=asked.client.client_id,
            redirect_uri=asked.payload.redirect_uri,
            scope=asked.scope,
            sub=asked.user["sub"],
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        fresh = found and found.issued + lifetimes["code"] > time.time()
        return found if fresh and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code):
        codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code):
        return support.person_by_sub(config, authorization_code.sub)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = bool(config["rotate"])

    def authenticate_refresh_token(self, refresh_token):
        found = find_token(refresh_token=refresh_token)
        if not found or found.issued + lifetimes["refresh_token"] < time.time():
            return None
        if found.refresh_revoked:
            if config.get("revoke_on_reuse", True) and config["rotate"]:
                revoke("all")
            return None
        return found

    def authenticate_user(self, refresh_token):
        return support.person_by_sub(config, refresh_token.sub)

    def revoke_old_credential(self, refresh_token):
        if config["rotate"]:
            refresh_token.refresh_revoked = True
            refresh_token.access_revoked = True


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return find_token(access_token=token_string) or find_token(refresh_token=token_string)

    def revoke_token(self, token, asked):
        token.access_revoked = True
        token.refresh_revoked = True


def build(url):
    app = support.make_app(revoke)
    # The lifetimes that Authlib has for each grant are replaced by ours.
    every_grant = ("authorization_code", "refresh_token", "client_credentials", JWTBearerGrant.GRANT_TYPE,
                   DEVICE_CODE_GRANT_TYPE)
    app.config.update(
        OAUTH2_REFRESH_TOKEN_GENERATOR=True,
        OAUTH2_SCOPES_SUPPORTED=config["scopes"],
        OAUTH2_TOKEN_EXPIRES_IN=dict.fromkeys(every_grant, lifetimes["access_token"]),
    )
    audiences = [url, f"{url}/token"]
    server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)

    class ClientAssertion(JWTBearerClientAssertion):
        CLIENT_AUTH_METHOD = "private_key_jwt"

        def get_audiences(self):
            return audiences

        def validate_jti(self, claims, jti):
            fresh = (claims["sub"], jti) not in assertion_ids
            assertion_ids.add((claims["sub"], jti))
            return fresh

        def resolve_client_public_key(self, client):
            return KeySet.import_key_set(client.jwks or {"keys": []})

    class JwtBearer(JWTBearerGrant):
        def resolve_issuer_client(self, issuer):
            return clients.get(issuer)

        def resolve_client_public_key(self, client):
            return KeySet.import_key_set(client.jwks or {"keys": []})

        def authenticate_user(self, subject):
            return support.person_by_sub(config, subject)

        def get_audiences(self):
            return audiences

        def has_granted_permission(self, client, user):
            return True

    class DeviceAuthorization(DeviceAuthorizationEndpoint):
        EXPIRES_IN = lifetimes["device_code"]
        INTERVAL = config["device_interval"]

        def get_verification_uri(self):
            return f"{url}/device"

        def save_device_credential(self, client_id, scope, data):
            devices[data["device_code"]] = DeviceCredentialDict(
                data, client_id=client_id, scope=scope or "profile", expires_at=time.time() + data["expires_in"],
                polled=0.0,
            )

    class DeviceCode(DeviceCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = METHODS

        def query_device_credential(self, device_code):
            return devices.get(device_code)

        def query_user_grant(self, user_code):
            return device_answers.get(user_code)

        def save_token(self, token):
            super().save_token(token)
            # A device code serves once.
            devices.pop(self.request.credential["device_code"], None)

        def should_slow_down(self, credential):
            now = time.time()
            # A little early is no offence: the client measures from the answer, we from the request.
            hasty = now - credential["polled"] < credential["interval"] - 0.2
            credential["polled"] = now
            if hasty:
                credential["interval"] += 5
            return hasty

    class Issuer(IssuerParameter):
        def get_issuer(self):
            return url if config["iss"] else None

    server.register_client_auth_method(ClientAssertion.CLIENT_AUTH_METHOD, ClientAssertion())
    server.register_extension(Issuer())
    server.register_grant(AuthorizationCodeGrant, [CodeChallenge(required=True)])
    for grant in (RefreshTokenGrant, ClientCredentialsGrant, JwtBearer, DeviceCode):
        server.register_grant(grant)
    server.register_endpoint(Revocation)
    server.register_endpoint(DeviceAuthorization)

    class Validator(BearerTokenValidator):
        def authenticate_token(self, token_string):
            return find_token(access_token=token_string)

    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(Validator())

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize():
        try:
            grant = server.get_consent_grant(end_user=None)
        except OAuth2Error as error:
            if error.redirect_uri:
                return server.handle_error_response(None, error)
            return support.page("Refused", f"<p>{support.escape(str(error))}</p>", error.status_code)
        shown, decided = support.ask(config, grant.client.client_id, scope_to_list(grant.request.scope or ""))
        if shown:
            return shown
        person, allowed = decided
        return server.create_authorization_response(grant=grant, grant_user=person if allowed else None)

    @app.post("/token")
    def token():
        # One after the other: a code or a refresh token is taken by one request alone.
        with one_at_a_time:
            return server.create_token_response()

    @app.post("/revoke")
    def revoke_one():
        return server.create_endpoint_response(Revocation.ENDPOINT_NAME)

    @app.post("/device_authorization")
    def device_authorization():
        return server.create_endpoint_response(DeviceAuthorization.ENDPOINT_NAME)

    @app.route("/device", methods=["GET", "POST"])
    def device():
        user_code = (request.values.get("user_code") or "").upper()
        found = next((d for d in devices.values() if d["user_code"] == user_code), None)
        if found is None:
            return support.page(
                "Enter the code",
                '<form method="get" action="/device"><label>Code <input name="user_code" required></label>\n'
                '<button type="submit">Continue</button></form>',
            )
        shown, decided = support.ask(config, found.get_client_id(), scope_to_list(found.get_scope()))
        if shown:
            return shown
        person, allowed = decided
        device_answers[user_code] = (person, allowed)
        return support.page("Done", f"<p>{'Allowed' if allowed else 'Denied'}: you can go back to the device.</p>")

    @app.get("/me")
    @require_oauth()
    def me():
        person = current_token.get_user()
        if person is None:
            return jsonify({"sub": f"client-{current_token.client_id}", "name": None, "email": None})
        return jsonify({name: person[name] for name in ("sub", "name", "email")})

    @app.route("/resource", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @app.route("/resource/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @require_oauth()
    def resource(rest):
        return support.echo(
            {"sub": current_token.sub, "client_id": current_token.client_id,
             "scopes": scope_to_list(current_token.scope) or []}
        )

    return app


support.serve(build)
