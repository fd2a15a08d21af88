// oidc-client-ts, unmodified, in Chromium: an app in the browser, on another port than the server's, and on
// another site. The arguments are dev.json and fd:N, a socket that listens for the app; the server must know
// /callback, /popup, /popup-out and /silent there as --client-redirect, by 127.0.0.1 and by localhost.
import assert from 'node:assert/strict';
import { devJSON, installedVersion } from './check.mjs';
import { Watch, arrival, launch } from './chromium.mjs';
import { serve } from './spa-site.mjs';

const dev = devJSON();
const site = await serve(Number(process.argv[3].slice('fd:'.length)), {
  authority: dev.issuer, client_id: dev.clients.spa.client_id, scope: 'openid profile email',
});
const HERE = `http://127.0.0.1:${site.port}`; // another port of the server's host: the same site
const ELSEWHERE = `http://localhost:${site.port}`; // another site

const browser = await launch();
const watch = new Watch();
const step = watch.step.bind(watch);
const person = await watch.add(await browser.newContext({ locale: 'en-GB' }));
const page = await person.newPage();

// begun waits for the app's own code to have begun.
const begun = () => page.waitForFunction(() => Boolean(window.started));

async function open(url) {
  await page.goto(url);
  await begun();
}

// user is what the app knows of who is signed in, without his tokens.
const user = () => page.evaluate(async () => {
  const u = await manager.getUser();
  return u && { profile: u.profile, expires_in: u.expires_in, refreshable: Boolean(u.refresh_token) };
});

// renewed runs a renewal and tells whether the access token is another one now.
const renewed = (how) => page.evaluate(async (how) => {
  const before = (await manager.getUser()).access_token;
  const after = await manager.signinSilent(how);
  return Boolean(after) && after.access_token !== before;
}, how);

// refusal is the error code that a call of the library ends in.
const refusal = (call) => page.evaluate((call) => new Function(`return (${call})`)()().then(() => null, (e) => e.error ?? e.message), String(call));

// frames counts what frames ask the authorization endpoint for from here on.
function frames() {
  const seen = { prompts: [] };
  page.on('request', (r) => {
    const url = new URL(r.url());
    if (url.pathname === '/oauth2/authorize' && r.frame() !== page.mainFrame()) seen.prompts.push(url.searchParams.get('prompt'));
  });
  return seen;
}

async function signIn(on) {
  await on.locator('#username').fill(dev.user.email);
  await on.locator('#password').fill(dev.user.password);
  await on.locator('#login-submit').click();
}

// signInByRedirect signs in from where the app is open, and arrives at its callback.
async function signInByRedirect(origin, args = {}, { consent = false } = {}) {
  await arrival(page, `${dev.issuer}/oauth2/authorize`, () => page.evaluate((args) => { manager.signinRedirect(args); }, args));
  await arrival(page, `${origin}/callback`, async () => {
    await signIn(page);
    if (consent) await page.locator('#consent-allow').click();
  });
  await begun();
  return page.evaluate(() => started.then((u) => ({ sub: u.profile.sub, state: u.state })));
}

await step(`harness: oidc-client-ts ${installedVersion('oidc-client-ts')} in Chromium ${browser.version().split('.')[0]}; the app opens signed out`, async () => {
  assert.equal(installedVersion('oidc-client-ts'), '3.5.0');
  await open(`${HERE}/`);
  assert.equal(await user(), null);
});

await step('signinRedirect: sign-in, consent, callback: code and PKCE, nonce, the app’s own state', async () => {
  const state = { from: 'the basket' };
  assert.deepEqual(await signInByRedirect(HERE, { nonce: 'only once', state }, { consent: true }), { sub: dev.user.sub, state });
  const u = await user();
  assert.ok(u.expires_in > 0 && u.refreshable);
});

await step('userinfo, across origins, has filled in the profile', async () => {
  const { profile } = await user();
  assert.deepEqual([profile.email, profile.email_verified], [dev.user.email, true]);
  assert.ok(profile.name);
});

await step('jose, in the page, verifies ID token and access token by the JWK Set', async () => {
  const [id, access] = await page.evaluate(async ({ issuer, client }) => {
    const u = await manager.getUser();
    return [
      await verify(u.id_token, { issuer, audience: client, algorithms: ['RS256'] }),
      await verify(u.access_token, { issuer, audience: issuer, algorithms: ['ES256'], typ: 'at+jwt' }),
    ];
  }, { issuer: dev.issuer, client: dev.clients.spa.client_id });
  assert.deepEqual([id.sub, id.nonce, access.sub], [dev.user.sub, 'only once', dev.user.sub]);
});

await step('signinSilent: by the refresh token, with no frame', async () => {
  const seen = frames();
  assert.equal(await renewed(), true);
  assert.equal(await renewed(), true, 'the next refresh token does not refresh');
  assert.deepEqual(seen.prompts, []);
});

await step('signinSilent: by a frame with prompt=none', async () => {
  const seen = frames();
  assert.equal(await renewed({ forceIframeAuth: true }), true);
  assert.deepEqual(seen.prompts, ['none']);
});

await step('automaticSilentRenew: two renewals before the token has ended, by themselves', async () => {
  const different = await page.evaluate(() => new Promise((resolve, reject) => {
    manager.getUser().then((u) => {
      const auto = manage({ automaticSilentRenew: true, accessTokenExpiringNotificationTimeInSeconds: u.expires_in - 1 });
      const tokens = new Set([u.access_token]);
      auto.events.addSilentRenewError(reject);
      auto.events.addUserLoaded((next) => {
        tokens.add(next.access_token);
        if (tokens.size < 3) return;
        auto.stopSilentRenew();
        resolve(tokens.size);
      });
      auto.getUser(); // arms the timers
    });
  }));
  assert.equal(different, 3);
});

await step('querySessionStatus: signed in, without the session_state of Session Management, which is not offered', async () => {
  assert.equal(await page.evaluate(() => manager.querySessionStatus()), null);
  assert.equal(await page.evaluate(() => manager.metadataService.getCheckSessionIframe().then((x) => x ?? null)), null);
});

await step('revokeTokens: the refresh token, and all that came by it, is dead', async () => {
  await page.evaluate(async () => {
    window.kept = await manager.getUser();
    await manager.revokeTokens(['refresh_token']);
  });
  assert.equal((await user()).refreshable, false);
  assert.equal(await refusal(async () => {
    await manager.storeUser(kept);
    return manager.signinSilent();
  }), 'invalid_grant');
});

await step('signoutRedirect: confirmed, back at the app, which is signed out, and so is the browser', async () => {
  await page.evaluate(async () => manager.storeUser(kept));
  await arrival(page, `${dev.issuer}/oauth2/logout`, () => page.evaluate(() => { manager.signoutRedirect({ state: 'see you' }); }));
  await arrival(page, `${HERE}/`, () => page.locator('#logout-confirm').click());
  await begun();
  assert.deepEqual(await page.evaluate(() => started.then((r) => [r.userState, r.error])), ['see you', null]);
  assert.equal(await user(), null);
  assert.equal(await refusal(() => manager.signinSilent({ forceIframeAuth: true })), 'login_required');
});

await step('signinRedirect, cancelled: the callback tells access_denied', async () => {
  await arrival(page, `${dev.issuer}/oauth2/authorize`, () => page.evaluate(() => { manager.signinRedirect(); }));
  await arrival(page, `${HERE}/callback`, () => page.locator('#login-cancel').click());
  await begun();
  assert.equal(await refusal(() => started), 'access_denied');
});

await step('signinPopup: a window signs in, hands the answer to the app, and closes', async () => {
  await open(`${HERE}/`);
  const opened = person.waitForEvent('page');
  const done = page.evaluate(() => manager.signinPopup().then((u) => u.profile.sub));
  const popup = await opened;
  const closed = popup.waitForEvent('close');
  await signIn(popup);
  assert.equal(await done, dev.user.sub);
  await closed;
});

await step('signoutPopup: the same for the way out', async () => {
  const opened = person.waitForEvent('page');
  const done = page.evaluate(() => manager.signoutPopup().then(() => 'done', (e) => e.message));
  const popup = await opened;
  await popup.locator('#logout-confirm').click();
  assert.equal(await done, 'done');
});

await step('on another site: sign-in by redirect and refresh work; a frame gets no cookie, and so login_required', async () => {
  await open(`${ELSEWHERE}/`);
  assert.equal((await signInByRedirect(ELSEWHERE)).sub, dev.user.sub);
  assert.equal(await renewed(), true);
  assert.equal(await refusal(() => manager.signinSilent({ forceIframeAuth: true })), 'login_required');
});

await browser.close();
site.close();
