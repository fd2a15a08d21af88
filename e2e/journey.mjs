// The whole journey of a person and of an app with @userdocks/web-client-sdk, unmodified, in Chromium.
// G23 names a row of section G of the face's contract, D its section D. The arguments are dev.json and where
// the app is served: a port, or fd:N for a socket that listens already. The server must know
// http://127.0.0.1:PORT/callback and http://localhost:PORT/callback as --client-redirect.
import assert from 'node:assert/strict';
import { serve } from './app.mjs';
import { Backend } from './backend.mjs';
import { devJSON, installedVersion, jwtClaims, jwtHeader } from './check.mjs';
import { Watch, arrival, launch, lenient, mailTo, submit } from './chromium.mjs';
import { clientIn, redirectTo, resume, silently, started, stateOf, storedIn, tokenIn, visit, worker } from './tab.mjs';

const ISSUER = 'f0af4569-4d5d-4c20-af95-5a80c74e30a6'; // built into the SDK
const FIELDS = ['accessToken', 'expiresIn', 'idToken', 'redirectUri', 'refreshToken', 'tokenType'];
const EMAIL = 'mira.hasel@example.com';
const PASSWORD = 'nine-small-hazel-sticks';
const NEW_PASSWORD = 'one-tall-hazel-stick';

const { userdocks: dev, mailbox } = devJSON();
const domain = new URL(dev.api_uri).host;
const issuer = new URL(dev.api_uri).origin;

// What the pages of the app are made for; steps change it.
const app = { refreshType: 'refresh', redirectUri: undefined };
const options = (origin) => ({
  authServer: { domain, apiUri: dev.api_uri, loginUri: dev.login_uri, sdkUri: dev.sdk_uri },
  app: { clientId: dev.app_uuid, redirectUri: app.redirectUri ?? `${origin}/callback`, refreshType: app.refreshType },
});
const where = process.argv[3] ?? '';
const site = await serve(where.startsWith('fd:') ? { fd: Number(where.slice(3)) } : { port: Number(where), host: '127.0.0.1' }, options);
const stranger = await serve({ port: 0, host: '127.0.0.1' }, options); // an origin that the server does not know
const HERE = `http://127.0.0.1:${site.port}`; // another port of the server's host: the same site
const ELSEWHERE = `http://localhost:${site.port}`; // another site
const CALLBACK = `${HERE}/callback`;

const browser = await launch();
const watch = new Watch();
const step = watch.step.bind(watch);
const english = { locale: 'en-GB' };
const newPerson = async () => watch.add(await browser.newContext(english));
const person = await newPerson();

// cookies are all that the server has given a browser: the app gives none.
const cookies = async (of) => (await of.cookies()).map((c) => c.name).sort();

// signIn signs in on the hosted page that is shown, and arrives at the app.
async function signIn(page, password, callback = CALLBACK) {
  const status = await arrival(page, callback, () => submit(page, { username: EMAIL, password }));
  assert.equal(status, 303);
  await started(page);
}

// refreshed is the status that a refresh token is answered with.
async function refreshed(refreshToken) {
  assert.ok(refreshToken, 'no refresh token to try');
  const res = await fetch(`${dev.api_uri}/api/v1/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_id: dev.app_uuid, service: 'email', grant_type: 'authorization_code', redirect_uri: CALLBACK, code: '', state: 's', nonce: 'n',
      auth_time: '1735689600', scope: '', prompt: 'none', refresh_token: refreshToken,
    }),
  });
  return res.status;
}

// The journey -----------------------------------------------------------------------------------------------

const page = await person.newPage();
let token;

await step(`harness: web-client-sdk 0.15.0 in Chromium ${browser.version().split('.')[0]}; the app opens signed out, with the worker of sdkUri`, async () => {
  assert.equal(installedVersion('@userdocks/web-client-sdk'), '0.15.0');
  const spawned = page.waitForEvent('worker');
  const script = page.waitForResponse(`${dev.sdk_uri}/v1/identity-worker.js?v=1`);
  await visit(page, `${HERE}/`);
  assert.match((await spawned).url(), /^blob:/);
  assert.equal((await script).status(), 200);
  assert.equal(await stateOf(page), 'signed out');
});

await step('D: redirectTo signUp shows the form; the answer is a notice, and the visitor is not signed in', async () => {
  await redirectTo(page, 'signUp');
  const asked = new URL(page.url());
  assert.deepEqual([...asked.searchParams.keys()], ['client_id', 'state', 'type', 'redirect_uri']);
  assert.equal(await submit(page, { username: EMAIL, password: PASSWORD, password_again: PASSWORD, terms: true, privacy: true }), 200);
  assert.ok((await page.locator('main').textContent()).includes(EMAIL));
  assert.deepEqual(await cookies(person), ['ts_form']);
});

await step('G24: signing in before the address is confirmed is refused on the page', async () => {
  await page.goto(`${HERE}/`);
  await redirectTo(page, 'signIn');
  assert.equal(await submit(page, { username: EMAIL, password: PASSWORD }), 400);
  await page.locator('#problems').waitFor();
  assert.equal(await page.locator('#password').inputValue(), '', 'the password was shown back');
});

let confirmLink;

await step('F.2: the mail has come; its link confirms nothing until the button is pressed', async () => {
  const mail = await mailTo(mailbox, EMAIL);
  assert.equal(mail.links.length, 1);
  [confirmLink] = mail.links;
  assert.equal(new URL(confirmLink).origin, issuer);
  for (let i = 0; i < 2; i++) await page.goto(confirmLink);
  await redirectTo(await freshTab(page), 'signIn');
  assert.equal(await submit(page, { username: EMAIL, password: PASSWORD }), 400, 'a GET of the link confirmed the address');
  await page.goto(confirmLink);
  assert.equal(await submit(page), 200);
  assert.equal(await page.locator('form').count(), 0);
});

await step('G25: the link again is dead: 400, no form', async () => {
  assert.equal((await page.goto(confirmLink)).status(), 400);
  await page.locator('#oauth-error').waitFor();
  assert.equal(await page.locator('form').count(), 0);
});

await step('G1: sign in: back at the app with a code, which the SDK exchanges: logged in, six fields, refresh token stored', async () => {
  await redirectTo(await freshTab(page), 'signIn');
  const state = new URL(page.url()).searchParams.get('state');
  await signIn(page, PASSWORD);
  const back = new URL(page.url()).searchParams;
  assert.deepEqual([...back.keys()], ['code', 'state', 'client_id', 'redirect_uri', 'service', 'grant_type']);
  assert.equal(back.get('state'), state);
  assert.equal(await stateOf(page), 'signed in');
  token = await tokenIn(page);
  assert.deepEqual(Object.keys(token).sort(), FIELDS);
  for (const field of FIELDS) assert.ok(token[field], `${field} is empty`);
  assert.equal(token.redirectUri, CALLBACK);
  assert.ok((await storedIn(page)) === token.refreshToken, 'localStorage holds another refresh token');
  assert.equal(jwtClaims(token.idToken).email, EMAIL);
  const given = (await person.cookies()).map((c) => [c.name, c.sameSite, c.httpOnly && 'HttpOnly', c.secure && 'Secure', c.path].filter(Boolean).join(' '));
  assert.deepEqual(given.sort(), ['ts Lax HttpOnly /', 'ts_form Lax HttpOnly /', 'ts_silent None HttpOnly Secure /userdocks/login']);
});

await step('G22: the worker counts: expiresIn is seconds left by the id token, and falls', async () => {
  const { exp } = jwtClaims(token.idToken);
  assert.ok(Math.abs(exp - Date.now() / 1000 - token.expiresIn) < 5, `expiresIn is ${token.expiresIn}`);
  const [first, second] = await page.evaluate(async () => {
    const seconds = async () => (await userdocks.getToken()).expiresIn;
    const before = await seconds();
    for (;;) {
      const now = await seconds();
      if (now !== before) return [before, now];
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  });
  assert.equal(second, first - 1);
});

await step('F.5: the page itself fetches /users/me with its token, across origins', async () => {
  const me = await page.evaluate(async (uri) => {
    const { accessToken } = await userdocks.getToken();
    const res = await fetch(`${uri}/api/v1/users/me`, { headers: { Authorization: `Bearer ${accessToken}` } });
    return { status: res.status, body: await res.json() };
  }, dev.api_uri);
  assert.equal(me.status, 200);
  assert.equal(me.body.items[0].email, EMAIL);
  assert.equal(me.body.items[0].emailVerified, true);
  assert.equal(me.body.items[0].uuid, jwtClaims(token.idToken).sub);
});

await step('C: a back end as strict as the server SDK takes the access token, the key in one segment; not a forged one', async () => {
  const known = { apiUri: `${dev.api_uri}/a/path/that/is/dropped`, apiKey: dev.read_api_key, clientId: dev.app_uuid, issuer: ISSUER };
  const backend = new Backend(known);
  assert.equal(await backend.verify(`Bearer ${token.accessToken}`), '');
  assert.deepEqual(jwtHeader(token.accessToken), { alg: 'RS256', typ: 'JWT' });
  const [header, payload, signature] = token.accessToken.split('.');
  const encode = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  assert.equal(await backend.verify([header, encode({ ...jwtClaims(token.accessToken), sub: 'another' }), signature].join('.')), 'signature');
  assert.equal(await backend.verify([encode({ alg: 'none', typ: 'JWT' }), payload, signature].join('.')), 'alg');
  for (let i = 0; i < 20; i++) await new Backend(known).key(); // one piece each time, not by luck
});

await step('F.7: refresh() by the stored token: a new refresh token, and the worker hands out the new tokens', async () => {
  assert.equal(await page.evaluate(() => userdocks.refresh()), true);
  const next = await tokenIn(page);
  assert.ok(next.idToken && next.idToken !== token.idToken, 'no new id token');
  assert.ok(next.refreshToken && next.refreshToken !== token.refreshToken, 'no new refresh token');
  assert.ok((await storedIn(page)) === next.refreshToken, 'localStorage holds another refresh token');
  assert.equal(jwtClaims(next.idToken).sub, jwtClaims(token.idToken).sub);
  token = next;
});

await step('G22: the worker by itself: strings only, garbage ignored, six fields, seconds to zero, delete', async () => {
  const exp = Math.floor(Date.now() / 1000) + 2;
  const idToken = `e30.${Buffer.from(JSON.stringify({ exp, name: 'Zoë ÿ~?>' })).toString('base64url')}.`;
  const seen = await worker(page, dev.sdk_uri, { accessToken: 'a', idToken, expiresIn: String(exp), tokenType: 'Bearer', redirectUri: 'r', refreshToken: 'f' });
  const none = { accessToken: null, idToken: null, expiresIn: 0, tokenType: null, redirectUri: null, refreshToken: null };
  assert.deepEqual(seen.empty, none);
  const { expiresIn, ...rest } = seen.full;
  assert.deepEqual(rest, { accessToken: 'a', idToken, tokenType: 'Bearer', redirectUri: 'r', refreshToken: 'f' });
  assert.equal(typeof expiresIn, 'number');
  assert.deepEqual(seen.counted, [2, 1, 0].slice(-seen.counted.length));
  assert.ok(seen.counted.length >= 2, 'expiresIn did not fall');
  assert.deepEqual(seen.replaced, none);
  assert.deepEqual(seen.deleted, none);
  assert.deepEqual(seen.others, []);
});

await step('B.2 8: getToken({refresh: true}) with tokens that have run out: one refresh for three callers, then logged in', async () => {
  const tab = await person.newPage();
  // The only way to have an old token in the SDK's own worker without waiting for an hour is to hand it one.
  await tab.addInitScript(() => {
    window.Worker = class extends Worker {
      constructor(url) {
        super(url);
        window.store = this;
      }
    };
  });
  await visit(tab, CALLBACK);
  assert.equal(await stateOf(tab), 'signed in');
  const old = `e30.${Buffer.from(JSON.stringify({ exp: 1 })).toString('base64url')}.`;
  await tab.evaluate((idToken) => window.store.postMessage(JSON.stringify({
    request: { type: 'setToken' }, payload: { accessToken: 'old', idToken, expiresIn: '1', tokenType: 'Bearer', redirectUri: 'r', refreshToken: 'f' },
  })), old);
  assert.equal((await tokenIn(tab)).expiresIn, 0);
  let asked = 0;
  tab.on('request', (r) => { asked += r.method() === 'POST' && r.url().endsWith('/api/v1/tokens') ? 1 : 0; });
  const three = await tab.evaluate(() => Promise.all([1, 2, 3].map(() => userdocks.getToken({ refresh: true }))));
  assert.equal(asked, 1);
  for (const t of three) assert.ok(t.idToken && t.idToken !== old && t.expiresIn > 3000, 'still the old token');
  await tab.close();
});

const EMPTY = { origin: issuer, string: true, originator: 'userdocks', isAllowed: false, expiresIn: 0, fields: FIELDS };

async function checkSilent(tab) {
  const before = (await tokenIn(tab)).idToken;
  const { success, messages, frames } = await silently(tab);
  assert.equal(success, true);
  assert.equal(frames, 0, 'the frame has not been removed');
  assert.equal(messages.length, 1);
  const [{ expiresIn, ...said }] = messages;
  assert.deepEqual(said, { origin: issuer, string: true, originator: 'userdocks', isAllowed: true, fields: FIELDS });
  assert.match(expiresIn, /^\d+$/);
  const now = await tokenIn(tab);
  assert.ok(now.idToken && now.idToken !== before, 'no new tokens');
  assert.equal(jwtClaims(now.idToken).email, EMAIL);
  return now;
}

await step('G23: silentRefresh by the hidden frame, app on the same site: one JSON string, logged in', async () => {
  await checkSilent(page);
});

await step('D: signIn where there is a session goes straight back with a code', async () => {
  await visit(page, `${HERE}/`);
  await resume(page, CALLBACK);
  assert.equal(await stateOf(page), 'signed in');
});

// Whether a frame on another site has our cookie is the browser's choice: this person's has it, the other's not.
const other = await watch.add(await lenient(english));
const far = await other.newPage();

await step('G23: silentRefresh, app on another site: logged in where the browser lets frames have cookies, else false at once', async () => {
  await visit(far, `${ELSEWHERE}/`);
  await redirectTo(far, 'signIn');
  await signIn(far, PASSWORD, `${ELSEWHERE}/callback`);
  await checkSilent(far);
  const strict = await person.newPage();
  await visit(strict, `${ELSEWHERE}/`);
  const { success, messages } = await silently(strict);
  assert.equal(success, false);
  assert.deepEqual(messages, [EMPTY]);
  await strict.close();
});

await step('G23: silentRefresh without a session: false at once, expiresIn 0, not logged in', async () => {
  const nobody = await newPerson();
  const tab = await nobody.newPage();
  await visit(tab, `${HERE}/`);
  const { success, messages } = await silently(tab);
  assert.equal(success, false);
  assert.deepEqual(messages, [EMPTY]);
  assert.equal((await tokenIn(tab)).idToken, null);
  await nobody.close();
});

await step('G23: an origin that is not registered is posted nothing, be it with its own redirect_uri or a registered one', async () => {
  const tabs = [];
  for (const redirectUri of [undefined, CALLBACK]) {
    app.redirectUri = redirectUri;
    tabs.push(await person.newPage());
    await visit(tabs.at(-1), `http://127.0.0.1:${stranger.port}/`); // the same site, so the cookies go along
  }
  const framed = Promise.all(tabs.map((tab) => tab.waitForResponse((r) => r.url().startsWith(dev.login_uri))));
  const outcomes = await Promise.all(tabs.map(silently));
  app.redirectUri = undefined;
  for (const outcome of outcomes) {
    assert.equal(outcome.success, false);
    assert.deepEqual(outcome.messages, []);
  }
  const ancestors = (await framed).map((r) => /frame-ancestors ([^;]*)/.exec(r.headers()['content-security-policy'])[1]);
  assert.equal(ancestors[0], "'none'");
  assert.ok(ancestors[1].includes(HERE) && !ancestors[1].includes(`:${stranger.port}`), 'frame-ancestors lets the stranger in');
  for (const tab of tabs) await tab.close();
  // Here, and only here, Chromium is to complain: of frames that it refused to show.
  const refused = watch.taken();
  assert.ok(refused.length > 0, 'no frame was refused');
  for (const complaint of refused) assert.match(complaint, /frame-ancestors/);
});

await step('G13: two tabs refresh at the same time, five times over: both stay logged in', async () => {
  const tab = await person.newPage();
  await visit(page, CALLBACK);
  await visit(tab, CALLBACK);
  for (let round = 1; round <= 5; round++) {
    assert.deepEqual(await Promise.all([page, tab].map((p) => p.evaluate(() => userdocks.refresh()))), [true, true]);
    for (const p of [page, tab]) assert.ok((await tokenIn(p)).idToken, `round ${round}: a tab is logged out`);
  }
  await tab.close();
});

await step('G7: F5 on the callback: its code is refused, the app stays signed in', async () => {
  await visit(page, `${HERE}/`);
  await resume(page, CALLBACK);
  for (let i = 0; i < 2; i++) {
    const statuses = [];
    const note = (r) => { if (r.url().endsWith('/api/v1/tokens') && r.request().method() === 'POST') statuses.push(r.status()); };
    page.on('response', note);
    await page.reload();
    await started(page);
    page.off('response', note);
    assert.deepEqual(statuses, [400, 201], 'exchange, then refresh');
    assert.equal(await stateOf(page), 'signed in');
  }
});

await step('D: type=unauthenticated shows the form although there is a session', async () => {
  await redirectTo(await freshTab(page), 'unauthenticated');
  await page.locator('#password').waitFor();
  assert.deepEqual(await cookies(person), ['ts', 'ts_form', 'ts_silent']);
});

await step('G27: a redirect_uri that is not registered, or nearly is: an error page, never a redirect', async () => {
  const before = site.requests.length;
  for (const uri of [
    `http://127.0.0.1:${stranger.port}/callback`, `${HERE}/callback/x`, `${HERE}/`, `${HERE}.evil.example/callback`, `${HERE}@evil.example/callback`,
    `${HERE}\\@evil.example/callback`, `${HERE}/x/../callback`, `https://127.0.0.1:${site.port}/callback`, `${CALLBACK}?a=b`, 'javascript:alert(1)', '',
  ]) {
    for (const type of ['signIn', 'unauthenticated', 'logout']) {
      const res = await page.goto(`${dev.login_uri}?client_id=${dev.app_uuid}&state=s&type=${type}&redirect_uri=${encodeURIComponent(uri)}`);
      assert.equal(res.status(), 400, `${type} for ${uri}`);
      assert.equal(new URL(page.url()).origin, issuer);
      assert.equal(await page.locator('form').count(), 0);
    }
  }
  assert.equal(site.requests.length, before, 'the app was visited');
  assert.deepEqual(await cookies(person), ['ts', 'ts_form', 'ts_silent'], 'a logout for nobody ended the session');
});

await step('G28: Cancel leads back with an error, client_id and no code; the SDK keeps its clientId and does not log in', async () => {
  const nobody = await newPerson();
  const tab = await nobody.newPage();
  await visit(tab, `${HERE}/`);
  await redirectTo(tab, 'signIn');
  await arrival(tab, CALLBACK, () => tab.locator('#login-cancel').click());
  await started(tab);
  const q = new URL(tab.url()).searchParams;
  assert.deepEqual([q.get('error'), q.get('client_id'), q.has('code')], ['access_denied', dev.app_uuid, false]);
  assert.ok(q.get('state'));
  assert.equal(await stateOf(tab), 'signed out');
  assert.equal(await clientIn(tab), dev.app_uuid);
  await nobody.close();
});

// leave logs out by the SDK. It returns the kinds of requests that the hosted page got meanwhile, in order, and
// what a refresh token was answered with when the last of them was about to be sent.
async function leave(tab, refreshToken) {
  const order = [];
  let before;
  const last = (url) => url.searchParams.get('type') === 'logout';
  const note = (r) => { if (r.url().startsWith(dev.login_uri)) order.push(r.frame() === tab.mainFrame() ? 'page' : 'frame'); };
  await tab.route(last, async (route) => {
    before = await refreshed(refreshToken);
    await route.continue();
  });
  tab.on('request', note);
  await arrival(tab, dev.login_uri, () => tab.evaluate(() => { userdocks.logout(); }));
  await tab.locator('#logged-out').waitFor();
  await tab.locator('#password').waitFor();
  tab.off('request', note);
  await tab.unroute(last);
  return { order, before };
}

await step('D: logout with refreshType silentRefresh: the frame first, then the page with #logged-out; all tokens of the session end', async () => {
  app.refreshType = 'silentRefresh';
  await visit(page, CALLBACK);
  const first = await storedIn(page);
  await visit(page, `${HERE}/`); // a second grant of the session
  await resume(page, CALLBACK);
  const silent = await checkSilent(page);
  const ended = [first, await storedIn(page), silent.refreshToken];
  assert.equal(new Set(ended).size, 3);
  assert.deepEqual(await leave(page, first), { order: ['frame', 'page'], before: 400 });
  for (const refreshToken of ended) assert.equal(await refreshed(refreshToken), 400);
  assert.deepEqual(await cookies(person), ['ts_form']);
});

await step('D: after it the app is signed out, silentRefresh fails, signIn asks for the password; another browser stays signed in', async () => {
  await visit(page, `${HERE}/`);
  assert.equal(await stateOf(page), 'signed out');
  assert.equal(await storedIn(page), null);
  const { success, messages } = await silently(page);
  assert.equal(success, false);
  assert.deepEqual(messages, [EMPTY]);
  await checkSilent(far);
  await redirectTo(page, 'signIn');
  await page.locator('#password').waitFor();
});

await step('D: logout from another site by the frame, which ends the session before the page; with refreshType refresh by the page alone', async () => {
  app.refreshType = 'silentRefresh';
  await visit(far, `${ELSEWHERE}/callback`);
  const refreshToken = await storedIn(far);
  assert.deepEqual(await leave(far, refreshToken), { order: ['frame', 'page'], before: 400 });
  app.refreshType = 'refresh';
  await redirectTo(await freshTab(far, ELSEWHERE), 'signIn');
  await signIn(far, PASSWORD, `${ELSEWHERE}/callback`);
  const again = await storedIn(far);
  assert.deepEqual(await leave(far, again), { order: ['page'], before: 201 });
  assert.equal(await refreshed(again), 400);
});

await step('F.10: forgot, mail, new password; the old one is refused, the sessions and tokens of before have ended', async () => {
  await redirectTo(await freshTab(page), 'signIn');
  await signIn(page, PASSWORD);
  const before = await storedIn(page);
  const forgetful = await newPerson();
  const tab = await forgetful.newPage();
  await visit(tab, `${HERE}/`);
  await redirectTo(tab, 'signIn');
  await tab.getByRole('link', { name: 'Forgot your password?' }).click();
  assert.equal(await submit(tab, { username: EMAIL }), 200);
  const [link] = (await mailTo(mailbox, EMAIL, 2)).links;
  assert.notEqual(link, confirmLink);
  await tab.goto(link);
  assert.equal(await submit(tab, { password: NEW_PASSWORD, password_again: `${NEW_PASSWORD}!` }), 400);
  assert.equal(await submit(tab, { password: NEW_PASSWORD, password_again: NEW_PASSWORD }), 200);
  assert.equal((await tab.goto(link)).status(), 400, 'the link works twice');
  assert.equal(await refreshed(before), 400, 'a refresh token of before the reset');
  assert.equal((await silently(page)).success, false, 'the session has outlived the password');
  await visit(tab, `${HERE}/`);
  await redirectTo(tab, 'signIn');
  assert.equal(await submit(tab, { username: EMAIL, password: PASSWORD }), 400);
  await signIn(tab, NEW_PASSWORD);
  assert.equal(await stateOf(tab), 'signed in');
  await forgetful.close();
});

await step("H: the app's server was told no address of the hosted pages, and no token or code, in a Referer", async () => {
  const codes = site.requests.filter((r) => r.url.includes('code='));
  assert.ok(codes.length >= 6, 'no callbacks were seen');
  for (const { referer } of [...site.requests, ...stranger.requests]) {
    if (referer === undefined) continue;
    assert.notEqual(new URL(referer).origin, issuer, 'a Referer from a hosted page');
    assert.equal(referer, `${new URL(referer).origin}/`, 'a Referer that tells more than an origin');
  }
});

await other.close();
await browser.close();
site.close();
stranger.close();

// freshTab opens the app's first page in a tab and gives the tab back.
async function freshTab(tab, origin = HERE) {
  await visit(tab, `${origin}/`);
  return tab;
}
