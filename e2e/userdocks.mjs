// @userdocks/web-client-sdk, unmodified, against the Userdocks face of a running `tallystick dev`.
// G1 names a row of section G of the face's contract, F.5 a step of its section F. Start the server with REDIRECTS as --client-redirect.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { Tab } from './browser.mjs';
import { devJSON, installedVersion, jwtClaims, jwtHeader, step } from './check.mjs';

const ISSUER = 'f0af4569-4d5d-4c20-af95-5a80c74e30a6'; // built into the SDK
const CODE_LIFE_MS = 60_000;
const REDIRECTS = ['https://plain.example.com/callback', 'https://slash.example.com/callback/', 'https://root.example.com'];
const ITEM_FIELDS = ['accessToken', 'expiresIn', 'idToken', 'redirectUri', 'refreshToken', 'tokenType'];

// The SDK warns on every call that it is not initialised, once it is.
console.warn = () => {};

const { userdocks: dev } = devJSON();
const domain = new URL(dev.api_uri).host;
const tab = new Tab({
  authServer: { domain, apiUri: dev.api_uri, loginUri: dev.login_uri, sdkUri: dev.sdk_uri },
  app: { clientId: dev.app_uuid, redirectUri: dev.redirect_uri, refreshType: 'refresh' },
});
const stored = () => localStorage.getItem(`${domain}:refreshToken`);
const loggedIn = async (sdk) => Boolean((await sdk.getToken()).idToken);

async function api(method, path, { body, headers } = {}) {
  const res = await fetch(dev.api_uri + path, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    body: body && JSON.stringify(body),
  });
  return { status: res.status, headers: res.headers, body: res.status === 204 ? null : await res.json() };
}

// signIn is what an app's own form does: the password buys a callback URL that carries a code.
async function signIn(redirectUri = dev.redirect_uri, state = 'a state/with ä?&') {
  const res = await api('POST', '/api/v1/codes', {
    body: { appUuid: dev.app_uuid, email: dev.user.email, password: dev.user.password, state, redirectUri, acceptPrivacyPolicy: false },
  });
  assert.equal(res.status, 201, `POST /api/v1/codes answered ${res.status}`);
  assert.equal(res.body.kind, 'codes');
  return res.body.items[0].nextAction;
}

// exchangeBody is the seed's literal code request: the SDK's keys without language.
function exchangeBody(callback) {
  const q = new URL(callback).searchParams;
  return {
    client_id: q.get('client_id'), service: 'email', grant_type: 'authorization_code', redirect_uri: q.get('redirect_uri'),
    code: q.get('code'), state: q.get('state'), nonce: 'nonce-value', auth_time: '1735689600', scope: 'openid profile email',
  };
}

// refreshBody is the seed's literal refresh request.
function refreshBody(refreshToken) {
  return {
    client_id: dev.app_uuid, service: 'email', grant_type: 'refresh_token', redirect_uri: dev.redirect_uri, code: 'unused-code-field',
    state: 'unused-state-field', nonce: 'unused-nonce-field', auth_time: '1735689600', scope: 'openid profile email', prompt: 'none', refresh_token: refreshToken,
  };
}

function checkTokens(res, nonce) {
  assert.equal(res.status, 201);
  assert.deepEqual({ ...res.body, items: res.body.items.length }, { kind: 'tokens', totalItems: 1, itemsLength: 1, items: 1 });
  const [item] = res.body.items;
  assert.deepEqual(Object.keys(item).sort(), ITEM_FIELDS);
  assert.match(item.expiresIn, /^\d+$/);
  assert.equal(Number(item.expiresIn), jwtClaims(item.idToken).exp, "expiresIn is the id token's exp");
  assert.equal(Number(item.expiresIn), jwtClaims(item.accessToken).exp, "expiresIn is the access token's exp");
  assert.equal(jwtClaims(item.idToken).nonce, nonce);
  assert.equal(item.tokenType, 'Bearer');
  return item;
}

function checkRefused(res, status, code) {
  assert.equal(res.status, status);
  assert.deepEqual(Object.keys(res.body), ['errors'], 'an error body holds errors and no token field');
  assert.equal(res.body.errors[0].validation, 'error');
  assert.equal(res.body.errors[0].code, code);
  return res.body.errors[0].message;
}

// Asked for now and used a minute later, by the last step.
const stale = (await signIn()).url;
const staleSince = performance.now();

let sdk;
let callback;
let token;

await step('harness: web-client-sdk 0.15.0; atob refuses - and _ as browsers do; no Worker', async () => {
  assert.equal(installedVersion('@userdocks/web-client-sdk'), '0.15.0');
  sdk = await tab.open(dev.redirect_uri);
  assert.throws(() => atob('ab-_'));
  assert.equal(window.Worker, undefined);
});

await step('G24: POST /codes answers a callback URL with the six parameters, state unchanged, redirect_uri encoded once', async () => {
  const action = await signIn();
  callback = action.url;
  const q = new URL(callback).searchParams;
  assert.deepEqual([action.action, action.method], ['httpRequest', 'GET']);
  assert.deepEqual([...q.keys()].sort(), ['client_id', 'code', 'grant_type', 'redirect_uri', 'service', 'state']);
  assert.equal(q.get('state'), 'a state/with ä?&');
  assert.equal(q.get('redirect_uri'), dev.redirect_uri);
  assert.match(q.get('code'), /^[A-Za-z0-9_-]+$/, 'the code needs escaping in a URL');
});

await step('G1: the SDK exchanges the code: logged in, six fields, refresh token in localStorage', async () => {
  sdk = await tab.open(callback);
  assert.equal(await sdk.exchangeCodeForToken(), true);
  token = await sdk.getToken();
  assert.ok(token.idToken, 'not logged in');
  assert.deepEqual(Object.keys(token).sort(), ITEM_FIELDS);
  for (const field of ITEM_FIELDS) assert.ok(token[field], `${field} is empty`);
  assert.ok(stored() === token.refreshToken, 'localStorage holds another refresh token');
});

await step('G6: id token: iss the fixed uuid, aud one string, RS256 and typ JWT, numbers for times', async () => {
  assert.deepEqual(jwtHeader(token.idToken), { alg: 'RS256', typ: 'JWT' });
  const claims = jwtClaims(token.idToken);
  assert.equal(claims.iss, ISSUER);
  assert.equal(claims.aud, dev.app_uuid);
  for (const name of ['exp', 'iat', 'auth_time']) assert.ok(Number.isInteger(claims[name]), `${name} is no integer`);
  assert.ok(claims.sub);
});

await step('F.7: two refreshes by the SDK: each a new refresh token, still logged in, same subject', async () => {
  for (let round = 1; round <= 2; round++) {
    const before = stored();
    assert.equal(await sdk.refresh(), true);
    const next = await sdk.getToken();
    assert.ok(next.idToken, `not logged in after refresh ${round}`);
    assert.ok(stored() !== before, `refresh ${round} kept the refresh token`);
    assert.ok(stored() === next.refreshToken, `refresh ${round}: localStorage holds another refresh token`);
    assert.equal(jwtClaims(next.idToken).sub, jwtClaims(token.idToken).sub);
    token = next;
  }
});

await step('G13: a refresh whose answer was lost is retried with the old token and logs in', async () => {
  const kept = stored();
  assert.equal(await sdk.refresh(), true);
  const lost = stored();
  localStorage.setItem(`${domain}:refreshToken`, kept);
  assert.equal(await sdk.refresh(), true);
  token = await sdk.getToken();
  assert.ok(token.idToken, 'not logged in');
  assert.ok(stored() === lost, 'the retry gave another successor');
});

const readKey = { 'X-API-KEY': dev.read_api_key, 'X-API-KEY-Type': 'read', 'X-CLIENT-ID': dev.app_uuid, accept: 'application/json;utf-8' };
let pem;

await step('G18: /public-key and /apps/:appUuid/keys give the PEM that verifies both tokens', async () => {
  for (const path of ['/api/v1/public-key', `/api/v1/apps/${dev.app_uuid}/keys`]) {
    const res = await api('GET', path, { headers: readKey });
    assert.equal(res.status, 200, `${path} answered ${res.status}`);
    assert.equal(res.body.kind, 'appKeys');
    pem = res.body.items[0].value;
    assert.match(pem, /^-----BEGIN PUBLIC KEY-----\n/);
    const key = createPublicKey(pem);
    for (const jwt of [token.accessToken, token.idToken]) {
      const dot = jwt.lastIndexOf('.');
      assert.ok(verify('RSA-SHA256', Buffer.from(jwt.slice(0, dot)), key, Buffer.from(jwt.slice(dot + 1), 'base64url')), `${path}: signature does not verify`);
    }
  }
});

await step('G19: a write key on GET is E4011, a wrong key E4010', async () => {
  const write = { ...readKey, 'X-API-KEY': dev.write_api_key, 'X-API-KEY-Type': 'write' };
  checkRefused(await api('GET', '/api/v1/public-key', { headers: write }), 401, '[E4011]');
  checkRefused(await api('GET', '/api/v1/public-key', { headers: { ...readKey, 'X-API-KEY': 'wrong' } }), 401, '[E4010]');
});

const me = (jwt) => api('GET', '/api/v1/users/me', { headers: jwt && { authorization: `Bearer ${jwt}` } });

await step('F.5: GET /users/me with the access token shows the user', async () => {
  const res = await me(token.accessToken);
  assert.equal(res.status, 200);
  assert.equal(res.body.kind, 'users');
  assert.equal(res.body.items[0].email, dev.user.email);
  assert.equal(jwtClaims(token.accessToken).sub, jwtClaims(token.idToken).sub);
});

await step('G20: no bearer, a malformed one, alg none, HS256 keyed with the PEM: 401 E4010', async () => {
  const [, payload, signature] = token.accessToken.split('.');
  const header = (alg) => Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url');
  const hs256 = `${header('HS256')}.${payload}`;
  const bad = {
    none: undefined,
    malformed: 'not-a-token',
    'alg none': `${header('none')}.${payload}.`,
    'alg none, signature kept': `${header('none')}.${payload}.${signature}`,
    'HS256 keyed with the PEM': `${hs256}.${createHmac('sha256', pem).update(hs256).digest('base64url')}`,
  };
  for (const [name, jwt] of Object.entries(bad)) {
    const res = await me(jwt);
    assert.equal(res.status, 401, `${name} was answered ${res.status}`);
    checkRefused(res, 401, '[E4010]');
  }
});

await step('G21: the id token as bearer is 401', async () => {
  checkRefused(await me(token.idToken), 401, '[E4010]');
});

await step('G7: F5 on the callback does not log in, and leaves the session able to refresh', async () => {
  checkRefused(await api('POST', '/api/v1/tokens', { body: exchangeBody(callback) }), 400, '[E4000]');
  sdk = await tab.open(callback);
  const kept = stored();
  assert.equal(await sdk.exchangeCodeForToken(), true);
  assert.equal(await loggedIn(sdk), false);
  assert.ok(stored() === kept, 'the refused exchange touched the stored refresh token');
  assert.equal(await sdk.refresh(), true);
  assert.equal(await loggedIn(sdk), true, 'the session no longer refreshes');
});

await step('G16: 400, 500 and HTML bodies: the SDK is not logged in and keeps its stored refresh token', async () => {
  // The only answers that are not the server's own: it has no way to be asked for a 500 or a page of HTML.
  const bodies = {
    '/400': [400, 'application/json', '{"errors":[{"validation":"error","code":"[E4000]","message":"Bad Request / validation error"}]}'],
    '/500': [500, 'application/json', '{"errors":[{"validation":"error","code":"[E0000]","message":"Internal Server Error"}]}'],
    '/html': [502, 'text/html', '<!doctype html><title>Bad Gateway</title>'],
  };
  let asked = 0;
  const faulty = createServer((req, res) => {
    asked++;
    const [status, type, body] = bodies[req.url];
    res.writeHead(status, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => faulty.listen(0, '127.0.0.1', resolve));
  const kept = stored();
  for (const path of Object.keys(bodies)) {
    const apiUri = `http://127.0.0.1:${faulty.address().port}`;
    sdk = await tab.open(callback, { apiUri, paths: { exchangeCodeForToken: path, refresh: path } });
    for (const call of ['exchangeCodeForToken', 'refresh']) {
      assert.equal(await sdk[call](), true, `${call} against ${path}`);
      assert.equal(await loggedIn(sdk), false, `${call} against ${path} logged in`);
      assert.ok(stored() === kept, `${call} against ${path} touched the stored refresh token`);
    }
  }
  faulty.close();
  assert.equal(asked, 6);
  sdk = await tab.open(dev.redirect_uri);
  assert.equal(await sdk.refresh(), true);
  assert.equal(await loggedIn(sdk), true, 'the kept token no longer refreshes');
});

let item;

await step("G2: the seed's literal code body, without language: 201, the exact envelope, expiresIn = exp of both tokens", async () => {
  const { url } = await signIn();
  item = checkTokens(await api('POST', '/api/v1/tokens', { body: exchangeBody(url) }), 'nonce-value');
});

await step("G3: the seed's literal refresh body with grant_type refresh_token: 201", async () => {
  const next = checkTokens(await api('POST', '/api/v1/tokens', { body: refreshBody(item.refreshToken) }), 'unused-nonce-field');
  assert.ok(next.refreshToken !== item.refreshToken, 'no new refresh token');
  item = next;
});

await step('G14: a refresh with client_id "" or another client_id is 400, and the token still refreshes', async () => {
  for (const client_id of ['', '22222222-2222-4222-8222-222222222222']) {
    checkRefused(await api('POST', '/api/v1/tokens', { body: { ...refreshBody(item.refreshToken), client_id } }), 400, '[E4000]');
  }
  checkTokens(await api('POST', '/api/v1/tokens', { body: refreshBody(item.refreshToken) }), 'unused-nonce-field');
});

await step('G10: a code bound to one redirect URI, exchanged with another registered one: 400', async () => {
  const { url } = await signIn();
  checkRefused(await api('POST', '/api/v1/tokens', { body: { ...exchangeBody(url), redirect_uri: REDIRECTS[0] } }), 400, '[E4000]');
});

await step('G11: eight parallel exchanges of one code: exactly one 201', async () => {
  const body = exchangeBody((await signIn()).url);
  const all = await Promise.all(Array.from({ length: 8 }, () => api('POST', '/api/v1/tokens', { body })));
  assert.equal(all.filter((res) => res.status === 201).length, 1);
  for (const res of all.filter((r) => r.status !== 201)) checkRefused(res, 400, '[E4000]');
});

for (const [row, registered, page] of [
  ['G4: registered without slash, page with', REDIRECTS[0], 'https://plain.example.com/callback/'],
  ['G4: registered with slash, page without', REDIRECTS[1], 'https://slash.example.com/callback'],
  ['G5: the root page', REDIRECTS[2], 'https://root.example.com/'],
]) {
  await step(`${row}: logged in, redirectUri without a trailing slash`, async () => {
    const { search } = new URL((await signIn(page)).url);
    sdk = await tab.open(page + search);
    assert.equal(await sdk.exchangeCodeForToken(), true);
    token = await sdk.getToken();
    assert.ok(token.idToken, 'not logged in');
    assert.equal(token.redirectUri, registered.replace(/\/$/, ''));
  });
}

await step('G17: preflight and POST from a registered origin are allowed; another origin is not', async () => {
  const preflight = (origin) => api('OPTIONS', '/api/v1/tokens', {
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
  });
  const { origin } = new URL(REDIRECTS[0]);
  const { status, headers } = await preflight(origin);
  assert.equal(status, 204);
  assert.equal(headers.get('access-control-allow-origin'), origin);
  assert.match(headers.get('access-control-allow-methods'), /\bPOST\b/);
  assert.match(headers.get('access-control-allow-headers'), /\bcontent-type\b/i);
  const res = await api('POST', '/api/v1/tokens', { headers: { origin }, body: exchangeBody((await signIn()).url) });
  assert.equal(res.status, 201);
  assert.equal(res.headers.get('access-control-allow-origin'), origin);
  assert.equal((await preflight('https://plain.example.com.evil.example')).headers.get('access-control-allow-origin'), null);
});

await step('G8: a code older than its minute: 400 with the message of an unknown code, and the SDK does not log in', async () => {
  await after(Math.max(0, CODE_LIFE_MS + 1_000 - (performance.now() - staleSince)));
  const expired = checkRefused(await api('POST', '/api/v1/tokens', { body: exchangeBody(stale) }), 400, '[E4000]');
  const unknown = checkRefused(await api('POST', '/api/v1/tokens', { body: { ...exchangeBody(stale), code: 'unknown' } }), 400, '[E4000]');
  assert.equal(expired, unknown);
  sdk = await tab.open(stale);
  assert.equal(await sdk.exchangeCodeForToken(), true);
  assert.equal(await loggedIn(sdk), false);
});
