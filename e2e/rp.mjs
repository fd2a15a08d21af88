// The relying parties of `tallystick dev` in Chromium: the web app, the browser app, and the pages of the standard
// face that they lead to. Every state is held to axe's rules, to the Content-Security-Policy and to 320 pixels. The
// arguments are dev.json, the part to run (web, spa or pages), and --screenshots DIR for pictures.
import assert from 'node:assert/strict';
import { audit, focused, pictures, tabTo } from './audit.mjs';
import { devJSON } from './check.mjs';
import { Watch, arrival, launch, mailTo } from './chromium.mjs';

const { issuer, user, clients, mailbox } = devJSON();
const picture = pictures(['demo', 'demo-web', 'demo-spa', 'standard-sign-in', 'consent', 'error', 'account', 'logout', 'forgot-password', 'new-password']);
const APP = `${issuer}/dev/app`;
const FRESH = 'nine small hazel sticks';
const SPA = `${issuer}/dev/spa`;

const browser = await launch();
const watch = new Watch();
const step = watch.step.bind(watch);
const newPerson = async (settings) => watch.add(await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 }, ...settings }));
const newPage = async (settings) => (await newPerson(settings)).newPage();

const text = (page) => page.locator('main').innerText();
// has waits for texts: until a step is through, the page shows the one before, which may have the same name.
const has = async (page, ...wanted) => {
  for (const end = performance.now() + 10_000; ;) {
    const all = await text(page);
    const lacking = wanted.filter((w) => !all.includes(w));
    if (!lacking.length) return;
    assert.ok(performance.now() < end, `the page lacks “${lacking.join('”, “')}”`);
    await page.waitForTimeout(50);
  }
};
const checks = async (page) => ({ held: await page.locator('.checks .held').count(), broken: await page.locator('.checks .broken').count() });

// clicked presses a button, by its id, and waits for the page that it leads to.
const clicked = (page, id) => Promise.all([page.waitForEvent('load'), page.locator(`#${id}`).click()]);

// signIn signs in, and agrees if there is something to agree to.
async function signIn(page) {
  await submitSignIn(page);
  if (await page.locator('#consent-allow').count()) await clicked(page, 'consent-allow');
}

async function submitSignIn(page, password = user.password) {
  await page.locator('[name=username]').fill(user.email);
  await page.locator('[name=password]').fill(password);
  await clicked(page, 'login-submit');
}

// ask begins a walk of the web app with some options, and follows the link to the server.
async function ask(page, options = {}) {
  await page.goto(APP);
  for (const [name, value] of Object.entries(options)) {
    const field = page.locator(`#f-${name}`);
    if (await field.evaluate((f) => f.tagName === 'SELECT')) await field.selectOption(value);
    else await field.fill(value);
  }
  await clicked(page, 'step-submit');
  await clicked(page, 'step-submit');
}

async function web() {
  const person = await newPerson();
  const page = await person.newPage();

  await step('the first page: the standard face first, then the others, and the way to everything', async () => {
    await page.goto(`${issuer}/dev`);
    await audit(page, picture('demo'));
    const links = await page.locator('main a').evaluateAll((all) => all.map((a) => a.href));
    assert.deepEqual(links.slice(0, 4), [APP, SPA, `${issuer}/dev/dressipi`, `${issuer}/dev/userdocks`]);
    for (const there of [`${issuer}/.well-known/openid-configuration`, `${issuer}/account`, `${issuer}/dev/mail`]) assert.ok(links.includes(there), there);
  });

  await step('web: start and request, with the verifier kept back', async () => {
    await page.goto(APP);
    await audit(page);
    const verifier = await page.locator('#f-code_verifier').inputValue();
    await clicked(page, 'step-submit');
    await audit(page);
    const link = new URL(await page.locator('#step-submit').getAttribute('href'));
    assert.equal(link.origin + link.pathname, `${issuer}/oauth2/authorize`);
    assert.equal(link.searchParams.get('code_challenge_method'), 'S256');
    assert.ok(!link.href.includes(verifier));
    const [cookie] = (await person.cookies(APP)).filter((c) => c.name === 'dev_app');
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Lax', '/dev/app']);
  });

  await step('web: to the server and back, with state and iss compared', async () => {
    await clicked(page, 'step-submit');
    await arrival(page, `${APP}/callback`, () => signIn(page));
    assert.deepEqual(await checks(page), { held: 2, broken: 0 });
    await audit(page, picture('demo-web'));
    assert.equal((await person.cookies(APP)).filter((c) => c.name === 'dev_app').length, 0);
  });

  for (const [name, held, ...wanted] of [
    ['redeem', 13, '200 OK', 'The ID token, decoded', 'The access token, decoded'],
    ['userinfo', 1, '"email"', user.email],
    ['refresh', 12, 'is the one from before'],
    ['introspect', 1, '"active": true'],
    ['revoke', 0, '200 OK'],
    ['introspect again', 1, '"active": false'],
    ['replay', 0, '400 Bad Request', '"invalid_grant"', 'request_id='],
  ]) {
    await step(`web: ${name}`, async () => {
      await clicked(page, 'step-submit');
      await has(page, ...wanted, 'The rule', 'The same as curl');
      assert.deepEqual(await checks(page), { held, broken: 0 });
      await audit(page);
    });
  }

  await step('web: sign out, by a form, and the logout token comes by itself', async () => {
    await clicked(page, 'step-submit');
    assert.equal(page.url(), `${issuer}/oauth2/logout`, 'the ID token is in an address');
    await arrival(page, APP, () => page.locator('#logout-confirm').click());
    for (let end = performance.now() + 10_000; !(await text(page)).includes('The last logout token');) {
      assert.ok(performance.now() < end, 'no logout token within 10 s');
      await page.getByRole('link', { name: 'Look again' }).click({ timeout: 1000 }).catch(() => page.reload());
    }
    await has(page, 'logout+jwt', 'backchannel-logout', '"sid"');
    await audit(page);
  });

  await step('web: pushed, answered by form post, with a password at most a minute old', async () => {
    await ask(page, { how: 'pushed', response_mode: 'form_post', max_age: '60', prompt: 'login' });
    await arrival(page, `${APP}/callback`, () => signIn(page));
    await has(page, 'POST /dev/app/callback');
    await clicked(page, 'step-submit');
    await has(page, 'is at most 60 seconds before the request');
    assert.deepEqual(await checks(page), { held: 14, broken: 0 });
  });

  await step('web: prompt=none with nobody there; no; an answer loaded again; one of another browser', async () => {
    const other = await newPage();
    await ask(other, { prompt: 'none' });
    await has(other, 'login_required', 'The walk ends here');
    await audit(other);
    await ask(other, { prompt: 'consent' });
    await submitSignIn(other);
    await arrival(other, `${APP}/callback`, () => clicked(other, 'consent-deny'));
    await has(other, 'access_denied', 'The person said no');
    await other.reload();
    await has(other, 'no request on its way');
    await audit(other);
    await ask(other, { prompt: 'none' });
    const address = other.url();
    const third = await newPage();
    assert.equal((await third.goto(address)).status(), 400);
    await has(third, 'no request on its way');
    await ask(third);
    assert.equal((await third.goto(address)).status(), 400);
    await third.context().close();
    await other.context().close();
  });

  await step('web: the keyboard alone, without JavaScript, from the first page to the last', async () => {
    const alone = await newPage({ javaScriptEnabled: false });
    const enter = () => Promise.all([alone.waitForEvent('load'), alone.keyboard.press('Enter')]);
    await alone.goto(`${issuer}/dev`);
    await tabTo(alone, 'Walk through Web app');
    await enter();
    for (let i = 0; i < 2; i++) {
      await tabTo(alone, 'step-submit');
      await enter();
    }
    await tabTo(alone, 'username');
    await alone.keyboard.type(user.email);
    await tabTo(alone, 'password');
    await alone.keyboard.type(user.password);
    await enter();
    if (await alone.locator('#consent-allow').count()) {
      await tabTo(alone, 'consent-allow');
      await enter();
    }
    for (let i = 0; i < 8; i++) {
      await tabTo(alone, 'step-submit');
      await enter();
    }
    await tabTo(alone, 'logout-confirm');
    await enter();
    await has(alone, 'Signed out, and back at the app');
    await alone.context().close();
  });
  await person.close();
}

async function spa() {
  const person = await newPerson();
  const page = await person.newPage();
  const press = async (name) => {
    await page.locator('#step-submit').click();
    await at(page, name);
  };

  await step('spa: start; no token and no flow is kept anywhere yet', async () => {
    await page.goto(SPA);
    await page.locator('#step-submit').waitFor();
    await audit(page);
    assert.deepEqual(await kept(page), { session: [], local: [] });
  });

  await step('spa: discovery, and the request with its verifier in this tab', async () => {
    await press('Discover');
    assert.deepEqual(await checks(page), { held: 3, broken: 0 });
    await audit(page);
    await press('Request');
    await audit(page);
    const link = new URL(await page.locator('#step-submit').getAttribute('href'));
    const flow = JSON.parse(await page.evaluate(() => sessionStorage.getItem('dev.spa.flow')));
    assert.equal(link.searchParams.get('state'), flow.state);
    assert.ok(flow.verifier.length === 43 && !link.href.includes(flow.verifier));
  });

  await step('spa: to the server and back; the code leaves the address bar', async () => {
    await clicked(page, 'step-submit');
    await arrival(page, `${SPA}/callback`, () => signIn(page));
    await at(page, 'Sign in');
    assert.equal(page.url(), `${SPA}/callback`);
    assert.deepEqual(await checks(page), { held: 2, broken: 0 });
    assert.deepEqual(await kept(page), { session: [], local: [] });
    await audit(page);
  });

  await step('spa: redeem, with the ID token verified in the browser', async () => {
    await press('Redeem');
    await has(page, '200 OK', 'The ID token, decoded', 'The access token, decoded');
    assert.deepEqual(await checks(page), { held: 8, broken: 0 });
    await audit(page);
  });

  await step('spa: userinfo, refresh, and the same successor for a lost answer', async () => {
    await press('Userinfo');
    await has(page, user.email);
    assert.deepEqual(await checks(page), { held: 1, broken: 0 });
    await audit(page);
    await press('Refresh');
    const [before, after] = await page.locator('.halves dd').allInnerTexts();
    assert.ok(before && after && before !== after, 'the refresh token has not been replaced');
    assert.equal((await checks(page)).broken, 0);
    await audit(page);
    await press('Lost answer');
    const tokens = await page.locator('.halves dd').allInnerTexts();
    assert.ok(tokens[0] === before && tokens[1] === after && tokens[2] === after, 'another successor');
    await audit(page, picture('demo-spa'));
  });

  await step('spa: a replay is seen, and ends the grant', async () => {
    await press('Replay');
    assert.deepEqual(await page.locator('.told .status').allInnerTexts(), ['200 OK', '400 Bad Request', '400 Bad Request', 'all of it holds']);
    await has(page, '"invalid_grant"', 'request_id=');
    await audit(page);
  });

  await step('spa: out of turn, the access token opens nothing any more; revoke is 200 all the same', async () => {
    await page.getByRole('button', { name: 'Ask who it is' }).click();
    await at(page, 'Userinfo');
    await has(page, '401 Unauthorized', 'That token opens nothing');
    await audit(page);
    await page.getByRole('button', { name: 'Revoke it' }).click();
    await at(page, 'Revoke');
    await has(page, '200 OK');
    await audit(page);
    assert.deepEqual(await kept(page), { session: [], local: [] });
  });

  await step('spa: sign out, by a form, and back with the state', async () => {
    await clicked(page, 'step-submit');
    assert.equal(page.url(), `${issuer}/oauth2/logout`, 'the ID token is in an address');
    await arrival(page, SPA, () => page.locator('#logout-confirm').click());
    await at(page, 'Sign out');
    assert.deepEqual(await checks(page), { held: 1, broken: 0 });
    assert.equal(page.url(), SPA);
    await audit(page);
    assert.deepEqual(await kept(page), { session: [], local: [] });
  });

  await step('spa: refusals: no; an answer loaded again, planted, from another issuer; a code that is used up', async () => {
    await begin(page);
    await clicked(page, 'step-submit');
    await signIn(page);
    await at(page, 'Sign in');
    await page.reload();
    await has(page, 'Nothing came along');
    await audit(page);
    for (const answer of ['code=x&state=y', 'code=x', 'error=access_denied&error_description=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E', `code=x&state=y&iss=${issuer}`]) {
      await page.goto(`${SPA}/callback?${answer}`);
      await has(page, 'Not an answer that this page takes');
    }
    const { state } = await begin(page);
    await page.goto(`${SPA}/callback?code=x&state=${state}&iss=https://evil.example`);
    await has(page, 'Not an answer that this page takes', 'https://evil.example');
    await audit(page);
    await page.goto(`${SPA}/callback?error=access_denied&error_description=%3Cimg%20src%3Dx%3E&state=${state}&iss=${issuer}`);
    await has(page, 'without a code', '<img src=x>');
    await audit(page);
    const again = await begin(page);
    await page.goto(`${SPA}/callback?code=tsc_junk&state=${again.state}&iss=${issuer}`);
    await press('Redeem');
    await has(page, '400 Bad Request', '"invalid_grant"', 'This is step 4 again.');
    await audit(page);
  });

  await step('spa: tokens that do not verify, and a user who is another, are not taken', async () => {
    await page.route('**/oauth2/jwks', (route) => route.fulfill({ json: { keys: [] } }));
    await begin(page);
    await clicked(page, 'step-submit');
    await at(page, 'Sign in');
    await press('Redeem');
    await has(page, '200 OK', 'not to be believed', 'its kid names no key of the JWKS', 'The walk ends here');
    assert.equal((await checks(page)).broken, 1);
    await audit(page);
    await page.unroute('**/oauth2/jwks');
    await page.route('**/oauth2/userinfo', (route) => route.fulfill({ json: { sub: 'another' } }));
    await begin(page);
    await clicked(page, 'step-submit');
    await at(page, 'Sign in');
    await press('Redeem');
    await press('Userinfo');
    await has(page, 'is that of the ID token; it is not: “another”', 'This is step 5 again.');
    await page.unroute('**/oauth2/userinfo');
  });

  await step('spa: a server that does not answer, and metadata of another issuer', async () => {
    await page.route('**/.well-known/openid-configuration', (route) => route.abort());
    await page.goto(SPA);
    await press('Discover');
    await has(page, 'no answer', 'This is step 1 again.');
    await page.unroute('**/.well-known/openid-configuration');
    await page.route('**/.well-known/openid-configuration', (route) => route.fulfill({ json: { issuer: 'https://evil.example' } }));
    await press('Discover');
    await has(page, 'The server is not what it should be', 'https://evil.example');
    await page.unroute('**/.well-known/openid-configuration');
    assert.deepEqual(watch.taken().filter((c) => !/ERR_FAILED/.test(c)), [], 'Chromium complains');
  });

  await step('spa: the keyboard alone, from the first page to the last; what is new has the focus', async () => {
    const alone = await newPage();
    await alone.goto(`${issuer}/dev`);
    const enter = () => Promise.all([alone.waitForEvent('load'), alone.keyboard.press('Enter')]);
    const go = async (name) => {
      await tabTo(alone, 'step-submit');
      await alone.keyboard.press('Enter');
      await at(alone, name);
      assert.equal((await focused(alone)).name, await alone.locator('h1').innerText());
    };
    await tabTo(alone, 'Walk through Browser app');
    await enter();
    await alone.locator('#step-submit').waitFor();
    await go('Discover');
    await go('Request');
    await tabTo(alone, 'step-submit');
    await enter();
    await tabTo(alone, 'username');
    await alone.keyboard.type(user.email);
    await tabTo(alone, 'password');
    await alone.keyboard.type(user.password);
    await enter();
    if (await alone.locator('#consent-allow').count()) {
      await tabTo(alone, 'consent-allow');
      await enter();
    }
    await at(alone, 'Sign in');
    for (const name of ['Redeem', 'Userinfo', 'Refresh', 'Lost answer', 'Replay', 'Revoke']) await go(name);
    await tabTo(alone, 'step-submit');
    await enter();
    await tabTo(alone, 'logout-confirm');
    await enter();
    await at(alone, 'Sign out');
    await alone.context().close();
  });

  await step('spa: narrow, the way to the next step is at the top; without JavaScript, the page says what it is', async () => {
    const narrow = await newPage({ viewport: { width: 320, height: 568 } });
    await narrow.goto(SPA);
    await narrow.locator('#step-submit').waitFor();
    await tabTo(narrow, 'Next step');
    await narrow.keyboard.press('Enter');
    await tabTo(narrow, 'step-submit');
    await narrow.keyboard.press('Enter');
    await at(narrow, 'Discover');
    await narrow.context().close();
    const still = await newPage({ javaScriptEnabled: false });
    await still.goto(SPA);
    await has(still, 'This page is an app that runs in the browser');
    assert.equal(await still.locator('#app').isVisible(), false);
    await still.context().close();
  });
  await person.close();
}

// at waits until the browser app shows a step.
const at = (page, name) => page.locator('.rail li[aria-current=step]', { hasText: name }).waitFor({ timeout: 10_000 });

// begin builds a request of the browser app, and tells the flow that waits for its answer.
async function begin(page) {
  await page.goto(SPA);
  for (const name of ['Discover', 'Request']) {
    await page.locator('#step-submit').click();
    await at(page, name);
  }
  return JSON.parse(await page.evaluate(() => sessionStorage.getItem('dev.spa.flow')));
}

// kept is what the browser keeps for the page.
const kept = (page) => page.evaluate(() => ({ session: Object.keys(sessionStorage), local: Object.keys(localStorage) }));

async function pages() {
  const page = await newPage();
  const open = async (address, status) => assert.equal((await page.goto(address)).status(), status);

  await step('pages: sign-in, also when it is refused', async () => {
    await ask(page);
    await audit(page, picture('standard-sign-in'));
    await submitSignIn(page, 'wrong');
    await page.locator('#login-submit').waitFor();
    await audit(page);
  });

  await step('pages: consent, and straight through the second time', async () => {
    await submitSignIn(page);
    await page.locator('#consent-allow').waitFor();
    await audit(page, picture('consent'));
    await arrival(page, `${APP}/callback`, () => clicked(page, 'consent-allow'));
    await ask(page);
    assert.equal(new URL(page.url()).pathname, '/dev/app/callback');
    await ask(page, { prompt: 'consent', scope: 'openid profile email phone address offline_access' });
    await page.locator('#consent-allow').waitFor();
    await audit(page);
  });

  await step('pages: errors that cannot go to a client', async () => {
    for (const query of ['client_id=unknown', `client_id=${clients.web.client_id}&redirect_uri=https://evil.example`, '']) {
      await open(`${issuer}/oauth2/authorize?response_type=code&${query}`, 400);
      assert.equal(await page.locator('#oauth-error').count(), 1);
    }
    await audit(page, picture('error'));
  });

  await step('pages: the account, with its sessions and grants', async () => {
    await open(`${issuer}/account`, 200);
    await audit(page, picture('account'));
  });

  await step('pages: sign-out, asked and done; the account of nobody', async () => {
    await open(`${issuer}/oauth2/logout`, 200);
    await audit(page, picture('logout'));
    await clicked(page, 'logout-confirm');
    await page.locator('#logged-out').waitFor();
    await audit(page);
    await page.goto(`${issuer}/account`);
    await audit(page);
  });

  await step('pages: a forgotten password; the mail is opened on another device, and the request goes on', async () => {
    await ask(page);
    await clicked(page, 'login-forgot');
    await audit(page, picture('forgot-password'));
    await clicked(page, 'forgot-submit');
    await audit(page);
    await page.locator('#username').fill(user.email);
    await clicked(page, 'forgot-submit');
    await has(page, user.email);
    await audit(page);

    const device = await newPage();
    const { links: [link] } = await mailTo(mailbox, user.email);
    assert.equal((await device.goto(link)).status(), 200);
    await audit(device, picture('new-password'));
    for (const again of ['another one', FRESH]) {
      await device.locator('#password').fill(FRESH);
      await device.locator('#password_again').fill(again);
      await clicked(device, 'reset-submit');
      await audit(device);
    }
    await has(device, 'Your new password is saved');
    assert.equal((await device.goto(link)).status(), 400);
    await audit(device);
    await device.context().close();

    await clicked(page, 'forgot-back');
    await submitSignIn(page);
    await page.locator('#problems').waitFor();
    await arrival(page, `${APP}/callback`, () => submitSignIn(page, FRESH));
  });
  await page.context().close();
}

await { web, spa, pages }[process.argv[3]]();
await browser.close();
