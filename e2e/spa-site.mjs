// A browser app that signs its users in by oidc-client-ts: a static site with the library's own file, and what an
// app does with it when a page opens.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

const file = (path) => readFileSync(new URL(`node_modules/${path}`, import.meta.url));
const LIBRARY = file('oidc-client-ts/dist/browser/oidc-client-ts.min.js');

const START = `
const settings = JSON.parse(document.getElementById('settings').textContent);
const at = (path) => location.origin + path;
window.manage = (more) => new oidc.UserManager({
  redirect_uri: at('/callback'), popup_redirect_uri: at('/popup'), silent_redirect_uri: at('/silent'), post_logout_redirect_uri: at('/'),
  popup_post_logout_redirect_uri: at('/popup-out'),
  loadUserInfo: true, automaticSilentRenew: false, ...settings, ...more,
});
window.manager = manage();
const asked = new URLSearchParams(location.search).has('state');
window.started = (async () => {
  switch (location.pathname) {
    case '/callback': return manager.signinRedirectCallback();
    case '/popup': return manager.signinPopupCallback();
    case '/popup-out': return manager.signoutPopupCallback();
    case '/silent': return manager.signinSilentCallback();
    default: return asked ? manager.signoutRedirectCallback() : manager.getUser();
  }
})();
started.catch(() => {}); // the test looks at it, too
// Whoever shows claims checks who has made them; the library leaves that to TLS.
window.verify = async (token, options) => {
  const { createRemoteJWKSet, jwtVerify } = await import('/jose/index.js');
  const keys = createRemoteJWKSet(new URL(await manager.metadataService.getKeysEndpoint()));
  return (await jwtVerify(token, keys, options)).payload;
};
`;

// No page of an app needs more of its address in a Referer than its origin, and so whatever else stands in
// one comes from elsewhere.
const HEADERS = { 'Referrer-Policy': 'strict-origin', 'Cache-Control': 'no-store' };

// serve serves the app on a socket that listens already. settings are the library's.
export async function serve(fd, settings) {
  const server = createServer((req, res) => {
    const { pathname } = new URL(req.url, 'http://app.invalid');
    const answer = (type, body) => res.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(body);
    if (['/', '/callback', '/popup', '/popup-out', '/silent'].includes(pathname)) return answer('text/html; charset=utf-8', page(settings));
    if (pathname === '/oidc-client-ts.js') return answer('text/javascript', LIBRARY);
    if (pathname === '/start.js') return answer('text/javascript', START);
    if (/^\/jose\/[a-z0-9_/.-]+\.js$/.test(pathname)) return answer('text/javascript', file(join('jose/dist/webapi', normalize(pathname.slice('/jose'.length)))));
    return res.writeHead(404, HEADERS).end();
  });
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen({ fd }, resolve);
  });
  return { port: server.address().port, close: () => { server.close(); server.closeAllConnections(); } };
}

const page = (settings) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A browser app</title>
<link rel="icon" href="data:,">
<script type="application/json" id="settings">${JSON.stringify(settings).replaceAll('<', '\\u003c')}</script>
<script src="/oidc-client-ts.js"></script>
<script src="/start.js"></script>
</html>
`;
