// A person at a browser without JavaScript: keeps cookies, follows redirects, presses the buttons of the
// hosted pages by their ids, and stops where the browser would leave for the client.
import assert from 'node:assert/strict';
import { CookieJar, JSDOM } from 'jsdom';

export class Person {
  #jar = new CookieJar();
  #user;

  // asked is what the pages of the last way have asked for: 'sign in', 'consent', 'logout'.
  asked = [];

  constructor(user) {
    this.#user = user;
  }

  // authorize opens an authorization URL and does what the pages ask for. It returns what the client's redirect
  // URI gets: a URL, or for form_post a Request. instead names buttons that are pressed in the place of others.
  authorize(url, redirectUri, instead = {}) {
    return this.#go(url, redirectUri, instead);
  }

  // logout opens a logout URL, confirms, and returns the URL that the client gets the browser back at; without
  // one, null from the page that says that it is done.
  logout(url, redirectUri) {
    return this.#go(url, redirectUri, {});
  }

  async #go(url, home, instead) {
    this.asked = [];
    let next = { url: new URL(url) };
    for (let hops = 0; hops < 20; hops++) {
      if (home && samePlace(next.url, home)) return next.body ? new Request(next.url, { method: 'POST', body: next.body }) : next.url;
      const res = await this.#send(next);
      const to = res.headers.get('location');
      if (to) {
        assert.ok(!next.body || res.status === 303, `a POST to ${next.url.pathname} was answered with a ${res.status} redirect`);
        next = { url: new URL(to, next.url) };
        continue;
      }
      const page = new JSDOM(await res.text(), { url: next.url.href }).window;
      if (page.document.getElementById('logged-out')) return null;
      next = this.#act(page, res.status, home, instead);
    }
    throw new Error('the pages go round in a circle');
  }

  async #send({ url, body }) {
    const res = await fetch(url, {
      method: body ? 'POST' : 'GET',
      body,
      redirect: 'manual',
      headers: { accept: 'text/html', 'accept-language': 'en', cookie: await this.#jar.getCookieString(url.href) },
    });
    for (const cookie of res.headers.getSetCookie()) await this.#jar.setCookie(cookie, url.href);
    return res;
  }

  #act(page, status, home, instead) {
    const { document } = page;
    const has = (id) => document.getElementById(id);
    // A form for the client is the answer by form_post, which the page sends by itself.
    const [form] = document.forms;
    if (form && home && samePlace(new URL(form.action), home)) return submission(page, form);
    const press = (id, fields = {}) => {
      const button = has(instead[id] ?? id);
      assert.ok(button?.form, `no button ${instead[id] ?? id} on ${page.location.pathname}`);
      for (const [name, value] of Object.entries(fields)) {
        if (button.form.elements[name]) button.form.elements[name].value = value;
      }
      return submission(page, button.form);
    };
    assert.equal(status, 200, `${page.location.pathname} answered ${status}: ${document.querySelector('.detail, #problems')?.textContent.trim()}`);
    if (has('login-submit')) {
      this.asked.push('sign in');
      return press('login-submit', { username: this.#user.email, password: this.#user.password });
    }
    if (has('consent-allow')) {
      this.asked.push('consent');
      return press('consent-allow');
    }
    if (has('logout-confirm')) {
      this.asked.push('logout');
      return press('logout-confirm');
    }
    throw new Error(`nothing to press on ${page.location.pathname}`);
  }
}

function submission(page, form) {
  assert.equal(form.method, 'post');
  return { url: new URL(form.action), body: new URLSearchParams([...new page.FormData(form)]) };
}

const samePlace = (url, home) => url.origin + url.pathname === new URL(home).origin + new URL(home).pathname;
