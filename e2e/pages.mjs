// Every hosted page in Chromium: en and de, wide and narrow, light and dark, held to axe's rules, to the
// Content-Security-Policy and to 320 pixels; the keyboard alone; no JavaScript. The arguments are dev.json and
// --screenshots DIR, which also writes pictures of three of them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { devJSON } from './check.mjs';
import { Watch, arrival, launch, mailTo, submit } from './chromium.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const WIDTHS = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };
const SCHEMES = ['light', 'dark'];
const PICTURED = ['sign-in', 'sign-up', 'reset'];
const PASSWORD = 'nine-small-hazel-sticks';
const LANGUAGES = { en: 'en-GB', de: 'de-DE' };

const { userdocks: dev, mailbox } = devJSON();
const pictures = process.argv[3] === '--screenshots' ? process.argv[4] : undefined;

const login = (type, client = dev.app_uuid) => `${dev.login_uri}?client_id=${client}&state=s&type=${type}&redirect_uri=${dev.redirect_uri}`;
const registration = (username) => ({ username, password: PASSWORD, password_again: PASSWORD, terms: true, privacy: true });

const browser = await launch();
const watch = new Watch();
const step = watch.step.bind(watch);
const newPage = async (settings) => (await watch.add(await browser.newContext({ locale: LANGUAGES.en, ...settings }))).newPage();

// audit holds what a page shows to all the rules, at each width and in each scheme.
async function audit(page, name, language) {
  assert.equal(await page.locator('html').getAttribute('lang'), language);
  assert.equal(await page.locator('h1').count(), 1);
  assert.equal(await page.locator('script, [style], [onclick]').count(), 0, 'a script or an inline style');
  await page.evaluate(AXE);
  // axe gives up on the colours of all that stands in a box with a decoration of CSS's making.
  await page.evaluate((css) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    window.plain = sheet;
  }, '.card::before { display: none }');
  const decorated = (yes) => page.evaluate((y) => { document.adoptedStyleSheets = y ? [] : [window.plain]; }, yes);
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    for (const [width, size] of Object.entries(WIDTHS)) {
      await page.setViewportSize(size);
      await decorated(false);
      const found = await page.evaluate((values) => axe.run({
        iframes: false, rules: { 'frame-tested': { enabled: false } }, runOnly: { type: 'tag', values },
      }), RULES);
      const named = (results) => results.map((v) => `${v.id}: ${v.nodes.map((n) => n.target)}`);
      assert.deepEqual(named(found.violations), [], `axe, ${colorScheme}, ${width}`);
      assert.deepEqual(named(found.incomplete), [], `axe cannot tell, ${colorScheme}, ${width}`);
      assert.ok(found.passes.some((p) => p.id === 'color-contrast'), 'axe has not looked at the colours');
      await decorated(true);
      if (pictures && language === 'en' && PICTURED.includes(name)) {
        await page.screenshot({ path: join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
  }
  await page.setViewportSize({ width: 320, height: 568 });
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(beyond, 0, 'pixels to scroll sideways at 320');
}

for (const [language, locale] of Object.entries(LANGUAGES)) {
  const page = await newPage({ locale });
  const email = `hazel.${language}@example.com`;
  let link;
  const subjects = [];
  const open = async (address, status = 200) => assert.equal((await page.goto(address)).status(), status);
  const show = async (status, fields) => assert.equal(await submit(page, fields), status);
  const mailed = async (n) => {
    const mail = await mailTo(mailbox, email, n);
    subjects.push(mail.subject);
    [link] = mail.links;
  };
  const states = {
    'sign-in': () => open(login('signIn')),
    'sign-in, nothing typed': () => show(400),
    'sign-in, refused': () => show(400, { username: email, password: 'wrong' }),
    'sign-up': () => open(login('signUp')),
    'sign-up, nothing typed': () => show(400),
    'sign-up, notice': () => show(200, registration(email)),
    confirm: async () => { await mailed(1); await open(link); },
    'confirm, done': () => show(200),
    'confirm, again': () => open(link, 400),
    forgot: () => open(login('forgot')),
    'forgot, malformed address': () => show(400, { username: 'hazel' }),
    'forgot, notice': () => show(200, { username: email }),
    reset: async () => { await mailed(2); await open(link); },
    'reset, two passwords': () => show(400, { password: PASSWORD, password_again: `${PASSWORD}!` }),
    'reset, done': () => show(200, { password: PASSWORD, password_again: PASSWORD }),
    'reset, again': () => open(link, 400),
    'logged out': async () => { await open(login('logout')); await page.locator('#logged-out').waitFor(); },
    'error page': () => open(login('signIn', 'unknown'), 400),
    'no page': () => open(`${new URL(dev.login_uri).origin}/userdocks/nothing`, 404),
  };
  for (const [name, reach] of Object.entries(states)) {
    await step(`${language}  ${name}: axe is content at 1280 and 360, light and dark; nothing to scroll at 320`, async () => {
      await reach();
      await audit(page, name, language);
    });
  }
  await step(`${language}  the mails are of the language of the page`, async () => {
    assert.deepEqual(subjects.map((s) => /bestätig|passwort/i.test(s)), language === 'de' ? [true, true] : [false, false]);
    assert.equal(new URL(link).searchParams.get('language'), language);
  });
  await page.context().close();
}

await step("dev's own pages, with mails: axe is content", async () => {
  const page = await newPage();
  for (const address of [mailbox, `${new URL(dev.login_uri).origin}/dev`]) {
    assert.equal((await page.goto(address)).status(), 200);
    await audit(page, address, 'en');
  }
  await page.context().close();
});

await step('too many guesses: 429 with the form, and axe is content', async () => {
  const page = await newPage();
  assert.equal((await page.goto(login('signIn'))).status(), 200);
  let status;
  for (let i = 0; i < 15 && status !== 429; i++) status = await submit(page, { username: 'hazel.en@example.com', password: 'wrong' });
  assert.equal(status, 429);
  await audit(page, '429', 'en');
  await page.context().close();
});

// focused tells the element that the keyboard is at, and whether one can see it.
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  return { name: e.id || e.textContent.trim(), seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
});

async function tabTo(page, names) {
  for (const name of names) {
    await page.keyboard.press('Tab');
    assert.deepEqual(await focused(page), { name, seen: true });
  }
}

await step('keyboard alone: the order is that of reading, one sees where one is, Enter submits, what is wrong is focused and leads to its field', async () => {
  const page = await newPage();
  await page.goto(login('signIn'));
  await tabTo(page, ['username', 'password', 'login-submit', 'login-cancel', 'Forgot your password?', 'Create an account', 'Deutsch']);
  await page.reload();
  await tabTo(page, ['username']);
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  assert.deepEqual(await focused(page), { name: 'problems', seen: true });
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement?.id === 'username');
  await page.keyboard.type(dev.user.email);
  await tabTo(page, ['password']);
  await page.keyboard.type(dev.user.password);
  await arrival(page, dev.redirect_uri, () => page.keyboard.press('Enter'));
  assert.ok(new URL(page.url()).searchParams.get('code'));
  await page.context().close();
});

await step('no JavaScript: sign up, confirm, forgot, reset and sign in', async () => {
  const page = await newPage({ javaScriptEnabled: false });
  const email = 'no.script@example.com';
  await page.goto(login('signUp'));
  assert.equal(await submit(page, registration(email)), 200);
  await page.goto((await mailTo(mailbox, email)).links[0]);
  assert.equal(await submit(page), 200);
  await page.goto(login('signIn'));
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  assert.equal(await submit(page, { username: email }), 200);
  await page.goto((await mailTo(mailbox, email, 2)).links[0]);
  assert.equal(await submit(page, { password: `${PASSWORD}!`, password_again: `${PASSWORD}!` }), 200);
  await page.locator('a.button').click();
  assert.equal(await arrival(page, dev.redirect_uri, () => submit(page, { username: email, password: `${PASSWORD}!` })), 303);
  assert.ok(new URL(page.url()).searchParams.get('code'));
  await page.context().close();
});

await browser.close();
