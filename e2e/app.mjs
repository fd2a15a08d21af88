// The app under test: a static site with the SDK's own file and what an app does with it when a page opens.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const SDK = readFileSync(createRequire(import.meta.url).resolve('@userdocks/web-client-sdk/dist/userdocks.umd.js'));

// start is the app's own code: a callback's code is exchanged; a page without tokens (F5 on the callback, a
// new tab) asks for some by the refresh token that is stored.
const START = `
const options = JSON.parse(document.getElementById('options').textContent);
const stored = () => localStorage.getItem(options.authServer.domain + ':refreshToken');
const loggedIn = async () => Boolean((await userdocks.getToken()).idToken);
window.started = (async () => {
  await userdocks.initialize(options);
  if (location.pathname === '/callback' && location.search) await userdocks.exchangeCodeForToken();
  if (!(await loggedIn()) && stored()) await userdocks.refresh();
  document.getElementById('state').textContent = (await loggedIn()) ? 'signed in' : 'signed out';
})();
`;

// No page of an app needs more of its address in a Referer than its origin, and so whatever else stands in
// one comes from elsewhere.
const HEADERS = { 'Referrer-Policy': 'strict-origin', 'Cache-Control': 'no-store' };

// serve serves the app where it is told to ({fd} or {port, host}). options is what the SDK is initialised
// with, asked for at each page; requests collects what came in.
export async function serve(where, options) {
  const requests = [];
  const server = createServer((req, res) => {
    const { pathname } = new URL(req.url, 'http://app.invalid');
    requests.push({ url: req.url, host: req.headers.host, referer: req.headers.referer });
    const answer = (type, body) => res.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(body);
    switch (pathname) {
      case '/':
      case '/callback':
        return answer('text/html; charset=utf-8', page(options(`http://${req.headers.host}`)));
      case '/sdk.js':
        return answer('text/javascript', SDK);
      case '/start.js':
        return answer('text/javascript', START);
      default:
        return res.writeHead(404, HEADERS).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(where, resolve);
  });
  const { port } = server.address();
  return { port, requests, close: () => { server.close(); server.closeAllConnections(); } };
}

const page = (options) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>An app</title>
<link rel="icon" href="data:,">
<p id="state" role="status"></p>
<script type="application/json" id="options">${JSON.stringify(options).replaceAll('<', '\\u003c')}</script>
<script src="/sdk.js"></script>
<script src="/start.js"></script>
</html>
`;
