// What the node servers share: configuration, the place of the installed packages, the request log, faults,
// pages and the end of the process. None of it takes part in OAuth.

import { createRequire } from 'node:module';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const given = JSON.parse(process.env.JACKFIELD_FOREIGN_CONFIG || '{}');

export const config = {
  redirect_uris: ['http://127.0.0.1:1/callback'],
  client_id: 'jackfield',
  client_secret: 'a-secret-of-the-client',
  client_authentication: 'client_secret_basic',
  consent: 'form',
  rotate: true,
  ...given,
  lifetimes: { code: 60, access_token: 3600, refresh_token: 86400, device_code: 600, ...given.lifetimes },
  people: given.people ?? [
    { username: 'alice', password: 'wonderland', sub: 'sub-alice', name: 'Alice Liddell', email: 'alice@example.com' },
    { username: 'bob', password: 'builder', sub: 'sub-bob', name: 'Bob Mason', email: 'bob@example.com' },
  ],
};

/** The clients that may come: `clients`, or the one that the top-level fields describe. */
export const clients = (config.clients ?? [{}]).map((client) => ({
  client_id: config.client_id,
  client_secret: config.client_secret,
  client_authentication: config.client_authentication,
  redirect_uris: config.redirect_uris,
  jwks: config.jwks,
  ...client,
}));

/** A package from `$JACKFIELD_FOREIGN/node_modules`: ES modules do not look at NODE_PATH. */
export async function load(name) {
  const folder = process.env.JACKFIELD_FOREIGN;
  if (!folder) throw new Error('JACKFIELD_FOREIGN does not name the folder with node_modules');
  const file = createRequire(path.join(path.resolve(folder), 'package.json')).resolve(name);
  return import(pathToFileURL(file).href);
}

export function person(username, password) {
  return config.people.find((p) => p.username === username && p.password === password);
}

// --- pages ---------------------------------------------------------------------------------------------------------

export function escape(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function page(title, body) {
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title></head>\n`
    + `<body><h1>${escape(title)}</h1>\n${body}\n</body></html>\n`;
}

export function loginPage(action, wrong) {
  return page('Log in', `${wrong ? '<p role="alert">Wrong user name or password.</p>\n' : ''}`
    + `<form method="post" action="${escape(action)}">\n`
    + '<label>User name <input name="username" required></label>\n'
    + '<label>Password <input name="password" type="password" required></label>\n'
    + '<button type="submit" name="decision" value="log_in">Log in</button>\n'
    + '<button type="submit" name="decision" value="deny" formnovalidate>Cancel</button>\n</form>');
}

export function consentPage(action, client, scopes) {
  const items = scopes.map((scope) => `<li>${escape(scope)}</li>`).join('');
  return page('Allow access', `<p>${escape(client)} asks for:</p><ul>${items}</ul>\n`
    + `<form method="post" action="${escape(action)}">\n`
    + '<button type="submit" name="decision" value="allow">Allow</button>\n'
    + '<button type="submit" name="decision" value="deny">Deny</button>\n</form>');
}

export function send(res, status, type, body, headers = {}) {
  res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers });
  res.end(body);
}

export const html = (res, status, body) => send(res, status, 'text/html; charset=utf-8', body);
export const json = (res, status, body, headers) =>
  send(res, status, 'application/json', JSON.stringify(body), headers);

// --- requests ------------------------------------------------------------------------------------------------------

export async function text(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Names to values; a name that comes more than once has a list. */
export function fields(encoded) {
  const all = {};
  for (const [name, value] of new URLSearchParams(encoded)) {
    if (!Object.hasOwn(all, name)) all[name] = value;
    else if (Array.isArray(all[name])) all[name].push(value);
    else all[name] = [all[name], value];
  }
  return all;
}

/** The body as its content type says. */
export function parsed(body, type = '') {
  if (type.startsWith('application/x-www-form-urlencoded')) return fields(body);
  if (/^application\/(.*\+)?json/.test(type)) {
    try {
      return JSON.parse(body);
    } catch {
      return body;
    }
  }
  return body === '' ? null : body;
}

export function cookie(req, name) {
  for (const part of (req.headers.cookie ?? '').split(';')) {
    const [key, ...value] = part.trim().split('=');
    if (key === name) return value.join('=');
  }
  return undefined;
}

/** What `/resource` answers: what came, and by which right. */
export function echo(req, url, body, right) {
  return {
    method: req.method,
    path: url.pathname,
    query: fields(url.search),
    body: parsed(body, req.headers['content-type']),
    content_type: req.headers['content-type'] ?? null,
    ...right,
  };
}

// --- the log -------------------------------------------------------------------------------------------------------

const log = [];

function jwtSummary(assertion) {
  try {
    const [header, claims] = assertion.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
    const { iss, sub, aud } = claims;
    return { alg: header.alg, typ: header.typ, kid: header.kid, iss, sub, aud, claims: Object.keys(claims) };
  } catch {
    return { unreadable: true };
  }
}

function clientAuthentication(req, form) {
  const found = [];
  if (/^basic /i.test(req.headers.authorization ?? '')) found.push('client_secret_basic');
  if (form.client_assertion) found.push('private_key_jwt');
  if (form.client_secret !== undefined) found.push('client_secret_post');
  if (found.length === 0 && form.client_id !== undefined && req.method === 'POST') found.push('none');
  return found.length ? found.join('+') : null;
}

function summarize(entry, req, body) {
  const form = parsed(body, req.headers['content-type']) ?? {};
  if (typeof form !== 'object' || Array.isArray(form)) return;
  entry.form = Object.keys(form);
  entry.client_authentication = clientAuthentication(req, form);
  for (const name of ['grant_type', 'token_type_hint', 'scope']) {
    if (typeof form[name] === 'string') entry[name] = form[name];
  }
  const assertion = form.client_assertion ?? form.assertion;
  if (typeof assertion === 'string') entry.assertion = jwtSummary(assertion);
}

/** Notes what came and how it was answered, without disturbing who reads the body. Values are not kept. */
function record(req, res, url) {
  const entry = {
    method: req.method,
    path: url.pathname,
    query: [...new Set(url.searchParams.keys())],
    form: [],
    content_type: req.headers['content-type'] ?? null,
    grant_type: null,
    client_authentication: null,
    authorization: (req.headers.authorization ?? '').split(' ')[0] || null,
    status: null,
    error: null,
  };
  for (const name of ['code_challenge_method', 'scope', 'prompt']) {
    if (url.searchParams.has(name)) entry[name] = url.searchParams.get(name);
  }
  log.push(entry);

  const chunks = [];
  const push = req.push;
  req.push = function tap(chunk, encoding) {
    if (chunk) chunks.push(Buffer.from(chunk, encoding));
    else summarize(entry, req, Buffer.concat(chunks).toString('utf8'));
    return push.call(this, chunk, encoding);
  };
  const end = res.end;
  res.end = function tap(...args) {
    entry.status = res.statusCode;
    const body = typeof args[0] === 'string' || Buffer.isBuffer(args[0]) ? args[0].toString() : '';
    if (/json/.test(res.getHeader('content-type') ?? '')) {
      try {
        entry.error = JSON.parse(body).error ?? null;
      } catch { /* not an object of ours */ }
    }
    return end.apply(this, args);
  };
  return entry;
}

// --- faults --------------------------------------------------------------------------------------------------------

const faults = [];

/** The fault that waits for this path, used up once per request. */
function fault(pathname) {
  const found = faults.find((f) => f.path === pathname && f.times > 0);
  if (found) found.times -= 1;
  return found;
}

/** Carries the request out, but cuts the connection in the place of the answer. */
function lose(req, res, entry) {
  res.write = () => true;
  res.end = () => {
    entry.status = res.statusCode;
    entry.lost = true;
    req.socket.destroy();
    return res;
  };
  res.writeHead = (status) => {
    res.statusCode = status;
    return res;
  };
}

// --- the process ---------------------------------------------------------------------------------------------------

/**
 * Listens on a port of its own, has `build(url)` make the handler and the `revoke` control, and says READY.
 * Ends when standard input closes.
 */
export async function serve(build) {
  let handler;
  let revoke;

  async function control(req, res) {
    const order = JSON.parse(await text(req));
    if (order.fault) faults.push({ times: 1, ...order.fault });
    if (order.revoke) await revoke(order.revoke);
    json(res, 200, {});
  }

  async function handle(req, res) {
    const url = new URL(req.url, 'http://127.0.0.1');
    if (url.pathname === '/_log') return json(res, 200, log);
    if (url.pathname === '/_control') return control(req, res);
    const entry = record(req, res, url);
    const wanted = fault(url.pathname);
    if (wanted?.lose) {
      lose(req, res, entry);
    } else if (wanted) {
      await text(req);
      return json(res, wanted.status ?? 503, wanted.body ?? { error: 'temporarily_unavailable' }, wanted.headers);
    }
    return handler(req, res, url);
  }

  const server = http.createServer((req, res) => {
    handle(req, res).catch((error) => {
      console.error(error);
      if (!res.headersSent) json(res, 500, { error: 'server_error', error_description: String(error) });
      else req.socket.destroy();
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${server.address().port}`;
  ({ handler, revoke } = await build(url));
  process.stdin.on('end', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
  process.stdin.resume();
  process.stdout.write(`READY ${url}\n`);
}
