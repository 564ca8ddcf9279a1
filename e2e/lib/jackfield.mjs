// What a test file stands on: a Jackfield of its own, with the Sandbox or with a provider that nobody here wrote.
// Everything listens on a free port of loopback and ends with the file.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

const BINARY = process.env.JACKFIELD_BIN;
const FOREIGN = process.env.JACKFIELD_FOREIGN;

/** What everybody's password is who joins in a test. */
export const PASSWORD = 'correct horse battery';

/** Alice of the foreign provider. */
export const ALICE = { username: 'alice', password: 'wonderland', email: 'alice@example.com' };

function needed(value, name) {
  if (!value) throw new Error(`${name} is not set; \`cargo xtask console\` sets it`);
  return value;
}

/** The settings of this process that are not Jackfield's: a test is told nothing by whoever runs it. */
function surroundings(more) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('JACKFIELD_'));
  return { ...Object.fromEntries(own), ...more };
}

/** Runs a program and asks it to end when our end of the pipe closes: at `stop`, and however this process ends. */
const GUARD = '"$@" & child=$!; exec >/dev/null 2>&1; cat; kill "$child"; wait "$child"';

/** Starts a program; `found` is what `ready` catches in its output. */
function start(program, args, env, ready) {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  const found = new Promise((resolve, reject) => {
    const fail = (what) => reject(new Error(`${program} ${args.join(' ')} ${what}:\n${output}`));
    const timer = setTimeout(fail, 30_000, 'is not ready');
    const read = (chunk) => {
      output += chunk;
      const match = output.match(ready);
      if (!match) return;
      clearTimeout(timer);
      resolve(match);
    };
    child.stdout.setEncoding('utf8').on('data', read).on('end', () => fail('ended'));
    child.stderr.setEncoding('utf8').on('data', read);
    child.on('error', reject);
  });
  const stop = () => {
    child.stdin.end();
    return ended;
  };
  return { found, stop, output: () => output };
}

function jackfield(args, env, ready) {
  return start('sh', ['-c', GUARD, 'sh', needed(BINARY, 'JACKFIELD_BIN'), ...args], env, ready);
}

/** Runs a program to its end; what it printed. */
function run(program, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
    child.stderr.setEncoding('utf8').on('data', (chunk) => { err += chunk; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${program} ${args[0]}: ${code}\n${err}`))));
  });
}

/** The API, with somebody's key. */
export class Api {
  constructor(url, key) {
    this.url = url;
    this.key = key;
  }

  async send(method, where, body) {
    const headers = this.key ? { authorization: `Bearer ${this.key}` } : {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    const answer = await fetch(`${this.url}${where}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  get(where) {
    return this.send('GET', where);
  }

  post(where, body = {}) {
    return this.send('POST', where, body);
  }

  /** A custom connector, published; its link name. */
  async connector(document) {
    const { link_name: link } = await this.post('/v1/connectors', document);
    await this.post(`/v1/connectors/${link}/publish`);
    return link;
  }

  /** A connection; its link name. */
  async connection(document) {
    return (await this.post('/v1/connections', document)).link_name;
  }

  /** Authorizes with credentials, as no browser is needed for. */
  async connect(link, credentials, more = {}) {
    return (await this.post(`/v1/connections/${link}/authorizations`, { credentials, ...more })).authorization;
  }

  /** Somebody who was invited and has joined. */
  async person(name, role) {
    const email = `${name.toLowerCase().replaceAll(/\W+/g, '.')}@acme.example`;
    const { member, invitation } = await this.post('/v1/members', { email, name, role });
    const joined = await new Api(this.url).post('/v1/invitations/accept', { token: invitation.token, password: PASSWORD });
    return { id: member.id, name, email, password: PASSWORD, api: new Api(this.url, joined.key) };
  }

  /** Ends every browser session of whoever has this key. */
  async endSessions() {
    for (const { id } of (await this.get('/v1/sessions')).items) await this.send('DELETE', `/v1/sessions/${id}`);
  }
}

/** `jackfield demo`: a store with the Sandbox's connectors, and the Sandbox. */
export async function demo() {
  const { found, stop, output } = jackfield(['demo', '--listen', '127.0.0.1:0'], surroundings({}), /\n\s+lin@\S+\s+\S+\n/);
  await found;
  const [, url] = output().match(/Jackfield runs at (\S+)/);
  const [, sandbox] = output().match(/and the Sandbox, .* at (\S+)\. /);
  const [, email, password] = output().match(/sign in:\s+(\S+)\s+(\S+)/);
  const [, key] = output().match(/JACKFIELD_API_KEY=(\S+)/);
  const of = (name) => output().match(new RegExp(`(${name}@sandbox.example)\\s+(\\S+)`));
  const [, adas, adasPassword] = of('ada');
  const [, lins, linsPassword] = of('lin');
  const people = {
    ada: { name: 'Ada Okafor', email: adas, password: adasPassword, key: output().match(/Ada's is (\S+)/)[1] },
    lin: { name: 'Lin Berg', email: lins, password: linsPassword },
  };
  return { url, sandbox, people, founder: { email, password }, api: new Api(url, key), organization: 'Demo', stop, output };
}

/** `jackfield serve` on a new store: set up already, or, if `fresh`, with a link to set it up. */
export async function serve({ fresh = false, settings = {} } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'jackfield-e2e-'));
  const env = surroundings({
    HOME: folder,
    JACKFIELD_DATA_DIR: folder,
    JACKFIELD_LISTEN: '127.0.0.1:0',
    JACKFIELD_EGRESS_ALLOW: '127.0.0.0/8',
    ...settings,
  });
  const init = ['init', '--organization', 'Acme', '--email', 'ada@acme.example', '--json'];
  const made = fresh ? {} : JSON.parse(await run(needed(BINARY, 'JACKFIELD_BIN'), init, env));
  const { found, stop, output } = jackfield(['serve'], env, fresh ? /\/setup\?token=\S+\s/ : /listening on \S+\s/);
  await found;
  const [, url] = output().match(/listening on (\S+)/);
  return {
    url,
    setup: output().match(/http:\S+\/setup\?token=\S+/)?.[0],
    founder: { email: made.email, password: made.password },
    api: new Api(url, made.key),
    organization: 'Acme',
    output,
    async stop() {
      await stop();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `oidc-provider`, which knows the redirect address of one Jackfield. */
export async function provider(jackfield, config = {}) {
  const folder = needed(FOREIGN, 'JACKFIELD_FOREIGN');
  const env = surroundings({
    JACKFIELD_FOREIGN: folder,
    JACKFIELD_FOREIGN_CONFIG: JSON.stringify({ redirect_uris: [`${jackfield.url}/oauth/callback`], ...config }),
  });
  const { found, stop, output } = start('node', [path.join(folder, 'oidc.mjs')], env, /READY (\S+)/);
  const [, url] = await found;
  const parameters = { client_id: 'jackfield', client_secret: 'a-secret-of-the-client' };
  return { url, stop, output, parameters, connector: (more) => connectorOf(url, more) };
}

/** The document that describes the foreign provider. */
function connectorOf(url, more = {}) {
  const scopes = ['openid', 'offline_access', 'profile', 'email', 'read', 'write'].map((name) => (
    { name, label: `Scope ${name}`, access: name === 'write' ? 'write' : 'read', default: true }));
  return {
    name: 'Foreign',
    base_url: url,
    hosts: [new URL(url).host],
    levels: ['admin', 'user'],
    identity: { method: 'GET', url: `${url}/me`, name: '/email', subject: '/sub' },
    test: { method: 'GET', path: '/me' },
    scopes,
    auth: {
      type: 'oauth2_code',
      authorize_url: `${url}/authorize`,
      token_url: `${url}/token`,
      revoke_url: `${url}/revoke`,
      issuer: url,
      client_authentication: 'client_secret_basic',
      pkce: true,
      authorize_parameters: { prompt: 'consent' },
    },
    ...more,
  };
}
