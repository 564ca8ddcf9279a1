// The OAuth 2 server `@node-oauth/oauth2-server`: opaque tokens, no discovery, no `iss`, credentials in the Basic
// header taken as they are, refresh tokens that can also stay the same.

import crypto from 'node:crypto';

import {
  clients, config, consentPage, cookie, echo, escape, fields, html, json, load, loginPage, page, parsed, person,
  serve, text,
} from './support.mjs';

const { default: OAuth2Server } = await load('@node-oauth/oauth2-server');
const { Request, Response, OAuthError } = OAuth2Server;

const known = config.scopes ?? ['profile', 'email', 'read', 'write'];
const sessions = new Map();
const codes = new Map();
const accessTokens = new Map();
const refreshTokens = new Map();

function client(found) {
  return {
    id: found.client_id,
    redirectUris: found.redirect_uris,
    grants: ['authorization_code', 'refresh_token', 'client_credentials', 'password'],
  };
}

const model = {
  async getClient(id, secret) {
    const found = clients.find((c) => c.client_id === id);
    if (!found) return null;
    // At the authorization endpoint, and for a public client that proves itself by PKCE, there is none.
    if (secret === null) return client(found);
    const open = found.client_authentication === 'none';
    return (open ? !secret : found.client_secret === secret) ? client(found) : null;
  },
  async saveAuthorizationCode(code, { id }, user) {
    const saved = { ...code, client: { id }, user };
    codes.set(code.authorizationCode, saved);
    return saved;
  },
  getAuthorizationCode: async (code) => codes.get(code),
  revokeAuthorizationCode: async (code) => codes.delete(code.authorizationCode),
  async saveToken(token, { id }, user) {
    const saved = { ...token, client: { id }, user };
    accessTokens.set(token.accessToken, saved);
    if (token.refreshToken) refreshTokens.set(token.refreshToken, saved);
    return saved;
  },
  getAccessToken: async (token) => accessTokens.get(token),
  getRefreshToken: async (token) => refreshTokens.get(token),
  async revokeToken(token) {
    accessTokens.delete(token.accessToken);
    return refreshTokens.delete(token.refreshToken);
  },
  async validateScope(user, of, scope) {
    return (scope ?? []).every((s) => known.includes(s)) ? scope ?? ['profile'] : false;
  },
  verifyScope: async (token, scope) => scope.every((s) => token.scope?.includes(s)),
  getUserFromClient: async ({ id }) => ({ sub: `client-${id}`, name: id, email: null }),
  getUser: async (username, password) => person(username, password),
};

const server = new OAuth2Server({
  model,
  authorizationCodeLifetime: config.lifetimes.code,
  accessTokenLifetime: config.lifetimes.access_token,
  refreshTokenLifetime: config.lifetimes.refresh_token,
  alwaysIssueNewRefreshToken: Boolean(config.rotate),
  allowBearerTokensInQueryString: Boolean(config.token_in_query),
  requireClientAuthentication: { refresh_token: clients.some((c) => c.client_authentication !== 'none') },
});

function revoke(what) {
  if (what === 'access_tokens' || what === 'all') accessTokens.clear();
  if (what === 'refresh_tokens' || what === 'all') refreshTokens.clear();
}

/** A request as the library wants it. */
async function read(req, url) {
  const body = await text(req);
  const form = parsed(body, req.headers['content-type']);
  const request = new Request({
    headers: req.headers,
    method: req.method,
    query: fields(url.search),
    body: form && typeof form === 'object' ? form : {},
  });
  return { body, request };
}

async function token(req, res, url) {
  const { request } = await read(req, url);
  const response = new Response();
  try {
    await server.token(request, response);
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    if (!response.body.error) {
      response.status = error.code;
      response.body = { error: error.name, error_description: error.message };
    }
  }
  json(res, response.status, response.body, response.headers);
}

async function authorize(req, res, url) {
  const { request } = await read(req, url);
  const here = url.pathname + url.search;
  const login = { username: request.body.username, password: request.body.password };
  const auto = config.consent === 'auto';
  let who = auto ? config.people[0] : sessions.get(cookie(req, 'session'));

  if (!who && request.body.decision === 'log_in') {
    who = person(login.username, login.password);
    if (!who) return html(res, 200, loginPage(here, true));
    const session = crypto.randomUUID();
    sessions.set(session, who);
    res.writeHead(303, { location: here, 'set-cookie': `session=${session}; Path=/; HttpOnly; SameSite=Lax` });
    return res.end();
  }
  const denied = request.body.decision === 'deny';
  if (!who && !denied) return html(res, 200, loginPage(here, false));
  if (!auto && request.body.decision !== 'allow' && !denied) {
    const scopes = (request.query.scope ?? 'profile').split(' ');
    return html(res, 200, consentPage(here, request.query.client_id, scopes));
  }
  request.body = { allowed: denied ? 'false' : 'true' };
  const response = new Response();
  try {
    await server.authorize(request, response, { authenticateHandler: { handle: () => who ?? config.people[0] } });
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    // Where it may not send the browser back, it has not set where to.
    if (!response.headers.location) return html(res, error.code, page('Refused', `<p>${escape(error.message)}</p>`));
  }
  res.writeHead(response.status, response.headers);
  return res.end();
}

async function guarded(req, res, url) {
  const { body, request } = await read(req, url);
  const response = new Response();
  try {
    const found = await server.authenticate(request, response);
    const { sub, name, email } = found.user;
    if (url.pathname === '/me') return json(res, 200, { sub, name, email });
    return json(res, 200, echo(req, url, body, { sub, client_id: found.client.id, scopes: found.scope ?? [] }));
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    return json(res, error.code, { error: error.name, error_description: error.message }, response.headers);
  }
}

await serve(async () => ({
  revoke,
  handler(req, res, url) {
    if (url.pathname === '/authorize') return authorize(req, res, url);
    if (url.pathname === '/token') return token(req, res, url);
    if (url.pathname === '/me' || url.pathname === '/resource' || url.pathname.startsWith('/resource/')) {
      return guarded(req, res, url);
    }
    return json(res, 404, { error: 'not_found' });
  },
}));
