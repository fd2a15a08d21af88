// The auth code of mapp-fashion-react-native-sdk, as compiled by its vendor, against the Dressipi face of a running
// `tallystick dev --tls`: the SDK speaks https only, so run this with NODE_EXTRA_CA_CERTS=DIR/ca.pem.
// F5 names a row of section F of the face's contract.
//
// One module is replaced, and it is none that puts a byte on the wire: react-native-keychain, which needs a phone,
// by a map behind the same functions. The vendor's own KeyChainAdapter runs on top of it.
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { JSDOM } from 'jsdom';
import { devJSON, installedVersion, jwtClaims, step } from './check.mjs';

const FIELDS = ['access_token', 'expires_in', 'refresh_token', 'token_type'];
const DAY = 86400;

const { dressipi: dev } = devJSON();
const domain = new URL(dev.base_uri).host;
const client = dev.client_id;

// The server listens on 127.0.0.1; localhost may resolve to ::1 first.
dns.setDefaultResultOrder('ipv4first');

const require = createRequire(import.meta.url);
const dist = (file) => require(`./node_modules/mapp-fashion-react-native-sdk/dist/${file}.js`);

const keychain = new Map();
require.cache[require.resolve('react-native-keychain')] = {
  exports: {
    SECURITY_LEVEL: { SECURE_SOFTWARE: 'SECURE_SOFTWARE' },
    getInternetCredentials: async (server) => keychain.get(server) ?? false,
    setInternetCredentials: async (server, username, password) => keychain.set(server, { username, password }),
  },
};

const { authenticate, refreshToken } = dist('services/auth');
const { accessTokenHasExpired, getNetworkUserId } = dist('utils/jwt');
const { useAuth } = dist('hooks/useAuth');
const { KeyChainAdapter } = dist('keychain/KeyChainAdapter');
const { act, createElement } = require('react');
const { create } = require('react-test-renderer');

function checkCredentials(credentials) {
  assert.deepEqual(Object.keys(credentials).sort(), FIELDS);
  assert.equal(credentials.token_type, 'Bearer');
  assert.equal(credentials.expires_in, DAY);
  assert.match(credentials.refresh_token, /^[A-Za-z0-9._~-]+$/, 'the refresh token needs escaping in a URL');
  assert.ok(JSON.stringify(credentials).length <= 1536, 'the answer is larger than 1.5 KB');
  const claims = jwtClaims(credentials.access_token);
  assert.ok(Number.isInteger(claims.iat) && Number.isInteger(claims.exp), 'iat or exp is no integer');
  assert.equal(claims.exp - claims.iat, DAY);
  assert.match(claims.sub, /^\d+$/);
  assert.equal(typeof claims.iss, 'string');
  assert.equal(accessTokenHasExpired(credentials), false);
  assert.ok(getNetworkUserId(credentials), 'no network user id');
  return claims;
}

function checkSameProfile(was, is) {
  assert.equal(is.sub, was.sub);
  assert.equal(is.subn, was.subn);
  assert.ok(is.iat >= was.iat, 'iat went back');
}

const refused = { message: /status code 400$/ };
const refresh = (credentials, id = client) => refreshToken(credentials, id, domain);

let credentials;
let profile;

await step('harness: mapp-fashion-react-native-sdk 0.1.5; atob refuses - and _; no XMLHttpRequest yet', async () => {
  assert.equal(installedVersion('mapp-fashion-react-native-sdk'), '0.1.5');
  assert.throws(() => atob('ab-_'));
  assert.equal(typeof XMLHttpRequest, 'undefined');
});

await step('F1 F4 F5 F6 F30: authenticate(): four fields, one day, digits for sub, a network user id', async () => {
  credentials = await authenticate(client, domain);
  profile = checkCredentials(credentials);
});

await step('F7: three refreshes: a new refresh token each, same sub, same subn', async () => {
  for (let round = 1; round <= 3; round++) {
    const before = credentials.refresh_token;
    credentials = await refresh(credentials);
    checkSameProfile(profile, checkCredentials(credentials));
    assert.ok(credentials.refresh_token !== before, `refresh ${round} kept the refresh token`);
  }
});

await step('C.3: a refresh whose answer was lost is repeated and gets the same successor', async () => {
  const lost = await refresh(credentials);
  const again = await refresh(credentials);
  assert.ok(again.refresh_token === lost.refresh_token, 'another successor');
  checkSameProfile(profile, checkCredentials(again));
  credentials = again;
});

await step('C.3: eight parallel refreshes of one token: all succeed, one profile, one successor', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => refresh(credentials)));
  assert.equal(new Set(all.map((c) => c.refresh_token)).size, 1);
  for (const c of all) checkSameProfile(profile, checkCredentials(c));
  [credentials] = all;
});

await step('F8: a second authenticate() is another profile', async () => {
  const other = checkCredentials(await authenticate(client, domain));
  assert.ok(other.sub !== profile.sub && other.subn !== profile.subn);
});

await step("F21 C.4: literal undefined, a flipped character, another client's token: 400, and the token still refreshes", async () => {
  const { refresh_token: good } = credentials;
  const flipped = good.slice(0, -2) + (good.at(-2) === 'A' ? 'B' : 'A') + good.at(-1);
  for (const refresh_token of [undefined, flipped]) await assert.rejects(refresh({ refresh_token }), refused);
  await assert.rejects(refresh(credentials, dev.second_client_id), refused);
  credentials = await refresh(credentials);
  checkSameProfile(profile, checkCredentials(credentials));
});

await step('F16: authenticate() with an unknown client is 400', async () => {
  await assert.rejects(authenticate('nobody', domain), refused);
});

// The hook is mounted as an app mounts it, in React's test renderer; the states it passed through are its answer.
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
globalThis.IS_REACT_NATIVE_TEST_ENVIRONMENT = true;

async function mount(hook) {
  const storage = new KeyChainAdapter();
  let state;
  const App = () => {
    state = hook(client, domain, storage);
    return null;
  };
  let root;
  await act(async () => {
    root = create(createElement(App));
  });
  const deadline = performance.now() + 10_000;
  while (!state.isAuthenticated && !state.error) {
    assert.ok(performance.now() < deadline, 'the hook did not settle in 10 s');
    await act(nextTurn);
  }
  await act(nextTurn); // the hook stores what it got after it has shown it
  await act(async () => root.unmount());
  return state;
}

const kept = () => JSON.parse(keychain.get(domain).password);

await step('useAuth, nothing stored: authenticated by authorize and token, stored in the keychain', async () => {
  const state = await mount(useAuth);
  assert.equal(state.error, null);
  profile = checkCredentials(state.credentials);
  assert.equal(state.networkUserId, profile.subn);
  assert.deepEqual(Object.keys(kept()).sort(), FIELDS);
  assert.ok(kept().refresh_token === state.credentials.refresh_token, 'the keychain holds another refresh token');
});

await step('useAuth, a token stored that is not expired: authenticated with it, the exp being read by the SDK', async () => {
  const before = kept();
  const state = await mount(useAuth);
  assert.equal(state.isAuthenticated, true);
  assert.ok(state.credentials.access_token === before.access_token, 'it asked for another token');
});

// age replaces the stored access token by one that the SDK takes for expired: it reads exp and nothing else.
function age() {
  const old = kept();
  const [header, , signature] = old.access_token.split('.');
  const past = Buffer.from(JSON.stringify({ ...jwtClaims(old.access_token), exp: 1, iat: 0 })).toString('base64url');
  old.access_token = `${header}.${past}.${signature}`;
  keychain.get(domain).password = JSON.stringify(old);
  return old.refresh_token;
}

await step('useAuth, an expired token stored: refreshes, same profile, the successor stored', async () => {
  const before = age();
  const state = await mount(useAuth);
  assert.equal(state.error, null);
  checkSameProfile(profile, checkCredentials(state.credentials));
  assert.ok(kept().refresh_token === state.credentials.refresh_token, 'the keychain holds another refresh token');
  assert.ok(kept().refresh_token !== before, 'the refresh token was kept');
});

// On a phone axios has no Node adapter: it sends through XMLHttpRequest, and then drops the content type of a POST
// that has no body (contract C.1). axios chooses when it is loaded, so the SDK is loaded again beside one.
await step('F5: the same code through XMLHttpRequest: authenticate() and three refreshes', async () => {
  const { window } = new JSDOM('', { url: `https://${domain}/` });
  let sent = 0;
  globalThis.XMLHttpRequest = class extends window.XMLHttpRequest {
    send(body) {
      sent++;
      super.send(body);
    }
  };
  for (const file of Object.keys(require.cache)) {
    if (/[\\/]node_modules[\\/](axios|mapp-fashion-react-native-sdk)[\\/]/.test(file)) delete require.cache[file];
  }
  const phone = dist('services/auth');
  let held = await phone.authenticate(client, domain);
  const born = checkCredentials(held);
  for (let round = 1; round <= 3; round++) {
    held = await phone.refreshToken(held, client, domain);
    checkSameProfile(born, checkCredentials(held));
  }
  assert.equal(sent, 5, 'not every request went through XMLHttpRequest');
  window.close();
});
