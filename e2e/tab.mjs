// What a page of the app does and knows, seen from outside of it. app.mjs is what runs in the page.
import { arrival } from './chromium.mjs';

// visit opens a page of the app and waits for its own code to be through.
export async function visit(page, address) {
  await page.goto(address);
  await started(page);
}

export const started = (page) => page.evaluate(() => window.started);
export const stateOf = (page) => page.locator('#state').textContent();
export const tokenIn = (page) => page.evaluate(() => userdocks.getToken());
export const storedIn = (page) => page.evaluate(() => stored());
export const clientIn = (page) => page.evaluate(() => localStorage.getItem(`${options.authServer.domain}:clientId`));

// redirectTo goes to the hosted page as the SDK does.
export async function redirectTo(page, type) {
  const login = await page.evaluate(() => options.authServer.loginUri);
  await arrival(page, login, () => page.evaluate((t) => { userdocks.redirectTo({ type: t }); }, type));
}

// resume goes to the hosted page, which knows the visitor, and is back at once.
export async function resume(page, callback) {
  await arrival(page, callback, () => page.evaluate(() => { userdocks.redirectTo({ type: 'signIn' }); }));
  await started(page);
}

// silently renews by a hidden frame; tells what the SDK says and what was posted to the page, without tokens.
export const silently = (page) => page.evaluate(async () => {
  const messages = [];
  const listen = (e) => {
    const said = typeof e.data === 'string' ? JSON.parse(e.data) : {};
    messages.push({
      origin: e.origin, string: typeof e.data === 'string', originator: said.originator, isAllowed: said.isAllowed,
      expiresIn: said.token?.expiresIn, fields: Object.keys(said.token ?? {}).sort(),
    });
  };
  window.addEventListener('message', listen);
  const success = await userdocks.silentRefresh();
  window.removeEventListener('message', listen);
  return { success, messages, frames: document.querySelectorAll('iframe').length };
});

// worker tries the worker script of an address by itself, in a Worker of the page, with a token that has seconds
// to live.
export const worker = (page, uri, token) => page.evaluate(async ({ uri, token: given }) => {
  const source = await (await fetch(`${uri}/v1/identity-worker.js?v=1`)).text();
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const answers = [];
  const waiting = new Map();
  worker.onerror = () => answers.push('an error');
  worker.onmessage = (e) => {
    const { request, payload } = typeof e.data === 'string' ? JSON.parse(e.data) : {};
    answers.push(request?.type ?? 'no string');
    waiting.get(payload.uuid)(payload.token);
  };
  const post = (type, payload) => worker.postMessage(JSON.stringify({ request: { type }, payload }));
  const get = (uuid) => new Promise((resolve) => { waiting.set(uuid, resolve); post('getToken', { uuid }); });
  const empty = await get('1');
  for (const junk of [null, 7, {}, '', 'junk', '[]', 'null', '"x"', '{"request":null}', '{"request":{"type":"x"}}', '{"request":{"type":"__proto__"}}',
    { request: { type: 'getToken' }, payload: { uuid: 'object' } }]) worker.postMessage(junk);
  post('setToken', { ...given, extra: 'not kept' });
  const full = await get('2');
  const counted = [];
  for (let n = 3; counted.at(-1) !== 0; n++) {
    const { expiresIn } = await get(String(n));
    if (expiresIn !== counted.at(-1)) counted.push(expiresIn);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  post('setToken', 'junk');
  const replaced = await get('junk');
  post('setToken', given);
  post('deleteToken', {});
  const deleted = await get('last');
  worker.terminate();
  return { empty, full, counted, replaced, deleted, others: answers.filter((type) => type !== 'getToken') };
}, { uri, token });
