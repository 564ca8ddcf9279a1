// The OpenID Connect and OAuth 2 server `oidc-provider`, with its checks as strict as it has them.

import crypto from 'node:crypto';

import {
  clients, config, consentPage, echo, escape, html, json, load, loginPage, page, parsed, person, serve, text,
} from './support.mjs';

const { default: Provider } = await load('oidc-provider');

const scopes = config.scopes ?? ['openid', 'offline_access', 'profile', 'email', 'read', 'write'];
const refreshes = config.refresh_token === 'always' || scopes.includes('offline_access');

const OF_A_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);
const CODE = 'authorization_code';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

/** Everything that the server keeps, by kind and id. */
const kept = new Map();

class Adapter {
  constructor(kind) {
    this.kind = kind;
    if (!kept.has(kind)) kept.set(kind, new Map());
    this.all = kept.get(kind);
  }

  async upsert(id, payload, expiresIn) {
    this.all.set(id, { payload, until: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }

  async find(id) {
    const found = this.all.get(id);
    return found && found.until > Date.now() ? found.payload : undefined;
  }

  async findBy(name, value) {
    for (const [id, { payload }] of this.all) if (payload[name] === value) return this.find(id);
    return undefined;
  }

  findByUid(uid) {
    return this.findBy('uid', uid);
  }

  findByUserCode(userCode) {
    return this.findBy('userCode', userCode);
  }

  async consume(id) {
    this.all.get(id).payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.all.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const kind of OF_A_GRANT) {
      for (const [id, { payload }] of kept.get(kind) ?? []) {
        if (payload.grantId === grantId) kept.get(kind).delete(id);
      }
    }
  }
}

function revoke(what) {
  if (what === 'access_tokens' || what === 'all') kept.get('AccessToken')?.clear();
  if (what === 'refresh_tokens' || what === 'all') kept.get('RefreshToken')?.clear();
}

function metadata(client) {
  const method = client.client_authentication;
  const keyed = method === 'private_key_jwt';
  return {
    client_id: client.client_id,
    ...(keyed || method === 'none' ? {} : { client_secret: client.client_secret }),
    ...(keyed ? { jwks: client.jwks } : {}),
    token_endpoint_auth_method: method,
    redirect_uris: client.redirect_uris,
    response_types: ['code'],
    grant_types: [
      CODE,
      DEVICE,
      ...(refreshes ? ['refresh_token'] : []),
      ...(method === 'none' ? [] : ['client_credentials']),
    ],
    application_type: 'web',
    ...client.metadata,
  };
}

function signingKey() {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: crypto.randomUUID() };
}

function options() {
  const ttl = config.lifetimes;
  return {
    adapter: Adapter,
    clients: clients.map(metadata),
    jwks: { keys: [signingKey()] },
    cookies: { keys: [crypto.randomBytes(32).toString('hex')] },
    scopes,
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    async findAccount(ctx, id) {
      const found = config.people.find((p) => p.sub === id);
      return found && { accountId: id, claims: async () => ({ sub: id, name: found.name, email: found.email }) };
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      pushedAuthorizationRequests: {
        enabled: true,
        requirePushedAuthorizationRequests: Boolean(config.require_par),
      },
      revocation: { enabled: true },
      // RFC 7591: whoever has the token makes clients.
      ...(config.registration ? { registration: { enabled: true, initialAccessToken: config.registration } } : {}),
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    // Without this the server gives a refresh token for the scope `offline_access` with `prompt=consent` alone.
    ...(config.refresh_token === 'always' ? { issueRefreshToken: async () => true } : {}),
    rotateRefreshToken: Boolean(config.rotate),
    routes: { authorization: '/authorize', token: '/token', userinfo: '/me', revocation: '/revoke' },
    ttl: {
      AccessToken: ttl.access_token,
      AuthorizationCode: ttl.code,
      ClientCredentials: ttl.access_token,
      DeviceCode: ttl.device_code,
      Grant: 14 * 86400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: ttl.refresh_token,
      Session: 86400,
    },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = page('Refused', Object.entries(out).map(([k, v]) => `<p>${escape(k)}: ${escape(v)}</p>`).join('\n'));
    },
  };
}

async function granted(provider, details, accountId) {
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId, clientId: details.params.client_id });
  if (details.params.scope) grant.addOIDCScope(details.params.scope);
  return grant.save();
}

async function interaction(provider, req, res, url) {
  const details = await provider.interactionDetails(req, res);
  const { prompt, params, session } = details;
  const finish = (result) => provider.interactionFinished(req, res, result);
  const form = req.method === 'POST' ? parsed(await text(req), req.headers['content-type']) : {};

  if (form.decision === 'deny') return finish({ error: 'access_denied', error_description: 'the person said no' });
  if (prompt.name === 'login') {
    const auto = config.consent === 'auto';
    const who = auto ? config.people[0] : person(form.username, form.password);
    if (!who) return html(res, 200, loginPage(url.pathname, req.method === 'POST'));
    const consent = auto ? { consent: { grantId: await granted(provider, details, who.sub) } } : {};
    return finish({ login: { accountId: who.sub }, ...consent });
  }
  if (config.consent === 'auto' || form.decision === 'allow') {
    return finish({ consent: { grantId: await granted(provider, details, session.accountId) } });
  }
  return html(res, 200, consentPage(url.pathname, params.client_id, (params.scope ?? '').split(' ')));
}

async function resource(provider, req, res, url) {
  const [scheme, value] = (req.headers.authorization ?? '').split(' ');
  const bearer = scheme.toLowerCase() === 'bearer' && value;
  const token = bearer
    && (await provider.AccessToken.find(value) ?? await provider.ClientCredentials.find(value));
  if (!token?.isValid) {
    const challenge = bearer ? 'Bearer error="invalid_token"' : 'Bearer';
    return json(res, 401, { error: 'invalid_token' }, { 'www-authenticate': challenge });
  }
  const right = { sub: token.accountId ?? null, client_id: token.clientId, scopes: [...token.scopes] };
  return json(res, 200, echo(req, url, await text(req), right));
}

await serve(async (url) => {
  const provider = new Provider(url, options());
  provider.on('server_error', (ctx, error) => console.error(error));
  // It reads clients when they first come; a wrong configuration should show at once.
  for (const client of clients) await provider.Client.find(client.client_id);
  const rest = provider.callback();
  return {
    revoke,
    handler(req, res, at) {
      if (at.pathname.startsWith('/interaction/')) return interaction(provider, req, res, at);
      if (at.pathname === '/resource' || at.pathname.startsWith('/resource/')) return resource(provider, req, res, at);
      return rest(req, res);
    },
  };
});
