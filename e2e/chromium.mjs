// Chromium with everything that must not happen on a page watched: what a Content-Security-Policy forbids,
// uncaught errors, what the console reports, a Referer that says more than an origin.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { step as printed } from './check.mjs';

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function how() {
  const executablePath = process.env.CHROMIUM ?? EXECUTABLES.find(existsSync);
  if (!executablePath) throw new Error('no Chromium here: install the package chromium, or say where it is in CHROMIUM');
  return {
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  };
}

// launch is a browser whose contexts keep the cookies of other sites from frames, as private windows do.
export const launch = () => chromium.launch(how());

// lenient is one person at a browser that lets frames have such cookies, which is a matter of preferences.
export async function lenient(settings) {
  const dir = mkdtempSync(join(tmpdir(), 'tallystick-chromium'));
  mkdirSync(join(dir, 'Default'));
  writeFileSync(join(dir, 'Default', 'Preferences'), JSON.stringify({ profile: { cookie_controls_mode: 0 } }));
  const context = await chromium.launchPersistentContext(dir, { ...how(), ...settings });
  // Last of all, for Chromium writes until it has ended; what a straggler holds is left to the system.
  process.on('exit', () => {
    try {
      rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
    } catch {}
  });
  return context;
}

// The answers that a step asserts itself stand in the console, too.
const ANSWERED = /^Failed to load resource: the server responded with a status of 4\d\d/;

// Watch is the complaints of all contexts that it is told of. Addresses lose their query: it may hold a code.
export class Watch {
  complaints = [];

  async add(context) {
    const complain = (kind, text) => this.complaints.push(`${kind}: ${text.replace(/\?\S*/g, '?…')}`);
    await context.exposeBinding('reportViolation', (_, text) => complain('CSP', text));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) => window.reportViolation(`${e.violatedDirective} ${e.blockedURI}`));
    });
    context.on('weberror', (e) => complain('uncaught', e.error().message));
    context.on('console', (m) => {
      if ((m.type() === 'error' && !ANSWERED.test(m.text())) || /Content.Security.Policy/i.test(m.text())) complain('console', m.text());
    });
    context.on('request', (r) => {
      const { referer } = r.headers();
      if (referer && referer !== `${new URL(referer).origin}/`) complain('Referer', `of a request for ${r.url()}`);
    });
    return context;
  }

  // taken is what has been complained about until now, and forgets it.
  taken() {
    return this.complaints.splice(0);
  }

  // step is a step that nothing is complained about in.
  step(name, run) {
    return printed(name, async () => {
      await run();
      assert.deepEqual(this.taken(), [], 'Chromium complains');
    });
  }
}

// arrival waits for a page to be somewhere. The query stays out of its message, for it may hold a code.
export async function arrival(page, address, act) {
  const there = (url) => url.origin + url.pathname === address;
  const [, result] = await Promise.all([
    page.waitForURL(there, { timeout: 10_000 }).catch(() => {
      const url = new URL(page.url());
      throw new Error(`not at ${address} but at ${url.origin}${url.pathname}`);
    }),
    act(),
  ]);
  return result;
}

// mailTo waits for the n-th mail to an address: it leaves the outbox on its own time.
export async function mailTo(mailbox, address, n = 1) {
  const end = performance.now() + 10_000;
  for (;;) {
    const all = await (await fetch(mailbox, { headers: { accept: 'application/json' } })).json();
    const mine = all.filter((mail) => mail.to === address);
    if (mine.length >= n) {
      assert.equal(mine.length, n, `mails to ${address}`);
      return mine[0];
    }
    assert.ok(performance.now() < end, `mail ${n} to ${address} has not come`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// fill types into a form's fields by their names, and ticks its boxes.
export async function fill(page, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`#${name}`);
    await (value === true ? field.check() : field.fill(value));
  }
}

// submit fills in a form and presses its button. It returns the status of the answer, be it a page or the
// redirect that has been followed to its end by then.
export async function submit(page, fields = {}) {
  await fill(page, fields);
  const answered = page.waitForResponse((r) => r.request().method() === 'POST' && r.request().isNavigationRequest());
  const loaded = page.waitForEvent('load');
  await page.locator('form button').click();
  const [answer] = await Promise.all([answered, loaded]);
  return answer.status();
}
