// A browser tab for the Userdocks SDK: jsdom supplies the page and its storage, Node supplies fetch, so that
// what the SDK sends crosses a real connection. jsdom has no Worker; the SDK then keeps its tokens in the page.
import { createRequire } from 'node:module';
import { JSDOM } from 'jsdom';

const require = createRequire(import.meta.url);
const SDK = require.resolve('@userdocks/web-client-sdk');

export class Tab {
  #dom;
  #options;

  constructor(options) {
    this.#options = options;
  }

  // open loads a page: same storage while the origin stays, and the SDK as a module that has just been evaluated.
  async open(url, authServer = {}) {
    if (this.#dom && new URL(url).origin === this.#dom.window.location.origin) {
      this.#dom.reconfigure({ url });
    } else {
      this.#dom?.window.close();
      this.#dom = new JSDOM('', { url });
      const { window } = this.#dom;
      for (const name of ['document', 'localStorage', 'sessionStorage', 'navigator']) {
        Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
      }
      globalThis.window = window;
    }
    delete require.cache[SDK];
    const sdk = require(SDK);
    await sdk.initialize({ ...this.#options, authServer: { ...this.#options.authServer, ...authServer } });
    return sdk;
  }
}
