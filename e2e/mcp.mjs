// The MCP SDK, unmodified, on both sides: its client signs in to its server at our issuer, as the MCP authorization
// specification has it: protected resource metadata, dynamic registration, PKCE, resource indicator. The server
// takes access tokens that jose has verified. The arguments are dev.json, the seed, and the private JWK of the
// seed's client "keyed".
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError, auth, discoverAuthorizationServerMetadata, discoverOAuthProtectedResourceMetadata } from '@modelcontextprotocol/sdk/client/auth.js';
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { devJSON, installedVersion, seed, step } from './check.mjs';
import { Person } from './person.mjs';

const dev = devJSON();
const user = seed().users.find(({ email }) => email.startsWith('mcp@'));
const metadata = await discoverAuthorizationServerMetadata(dev.issuer);
const CALLBACK = 'http://127.0.0.1:3334/callback'; // nobody need listen there: the person brings the answer

// serve is an MCP server with one tool, which tells who calls it. scope is what it asks of a token.
async function serve(scope) {
  const app = createMcpExpressApp();
  const server = await new Promise((resolve) => { const s = app.listen(0, '127.0.0.1', () => resolve(s)); });
  const url = new URL(`http://127.0.0.1:${server.address().port}/mcp`);
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  const verifyAccessToken = async (token) => {
    const { payload } = await jwtVerify(token, keys, { issuer: dev.issuer, audience: url.href, typ: 'at+jwt', algorithms: ['ES256'] })
      .catch((e) => { throw new InvalidTokenError(e.message); });
    return { token, clientId: payload.client_id, scopes: payload.scope.split(' '), expiresAt: payload.exp, resource: url, extra: { sub: payload.sub } };
  };
  app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: url, scopesSupported: [scope] }));
  const guard = requireBearerAuth({
    verifier: { verifyAccessToken }, requiredScopes: [scope], expectedResource: url, resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
  });
  app.post('/mcp', guard, async (req, res) => {
    const mcp = new McpServer({ name: 'notes', version: '1' });
    mcp.registerTool('whoami', {}, ({ authInfo }) => ({ content: [{ type: 'text', text: `${authInfo.extra.sub} by ${authInfo.clientId}` }] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    res.on('close', () => transport.close());
    await mcp.connect(transport);
    await transport.handleRequest(req, res, req.body);
  });
  app.get('/mcp', guard, (_, res) => res.status(405).end());
  return { url, close: () => { server.close(); server.closeAllConnections(); } };
}

// Memory is an app's OAuthClientProvider: it keeps what it is given.
class Memory {
  kept = {};
  redirectUrl = CALLBACK;

  constructor(token_endpoint_auth_method) {
    this.clientMetadata = {
      client_name: 'A notes client', redirect_uris: [CALLBACK], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method,
    };
  }

  state() { return (this.kept.state = randomUUID()); }
  clientInformation() { return this.kept.client; }
  saveClientInformation(client) { this.kept.client = client; }
  tokens() { return this.kept.tokens; }
  saveTokens(tokens) { this.kept.tokens = tokens; }
  redirectToAuthorization(url) { this.kept.url = url; }
  saveCodeVerifier(verifier) { this.kept.verifier = verifier; }
  codeVerifier() { return this.kept.verifier; }
  invalidateCredentials(what) {
    if (what === 'all' || what === 'client') delete this.kept.client;
    if (what === 'all' || what === 'tokens') delete this.kept.tokens;
  }
}

const notes = await serve('notes:read');
const person = new Person(user);

// call connects with what the provider has and asks the tool who is calling.
async function call(authProvider, url = notes.url) {
  const client = new Client({ name: 'e2e', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider }));
  const { content } = await client.callTool({ name: 'whoami' });
  await client.close();
  return content[0].text;
}

// signIn is what happens after the client has opened the browser; the SDK leaves state to its caller.
async function signIn(provider) {
  const answer = await person.authorize(provider.kept.url, CALLBACK);
  assert.equal(answer.searchParams.get('error'), null);
  assert.equal(answer.searchParams.get('state'), provider.kept.state);
  assert.equal(answer.searchParams.get('iss'), dev.issuer);
  await new StreamableHTTPClientTransport(notes.url, { authProvider: provider }).finishAuth(answer.searchParams.get('code'));
}

let subject;
const apps = {};

await step(`harness: MCP SDK ${installedVersion('@modelcontextprotocol/sdk')}; the server names our issuer, which the SDK reads by RFC 8414`, async () => {
  assert.equal(installedVersion('@modelcontextprotocol/sdk'), '1.32.2');
  const about = await discoverOAuthProtectedResourceMetadata(notes.url);
  assert.deepEqual([about.resource, about.authorization_servers, about.scopes_supported], [notes.url.href, [dev.issuer], ['notes:read']]);
  assert.ok(metadata.registration_endpoint && metadata.code_challenge_methods_supported.includes('S256'));
});

for (const method of ['none', 'client_secret_basic', 'client_secret_post']) {
  const app = apps[method] = new Memory(method);

  await step(`${method}: a call without a token registers the client and asks for code, PKCE, scope and resource`, async () => {
    await assert.rejects(call(app), UnauthorizedError);
    assert.equal(Boolean(app.kept.client.client_secret), method !== 'none');
    const asked = Object.fromEntries(app.kept.url.searchParams);
    assert.equal(asked.client_id, app.kept.client.client_id);
    assert.deepEqual([asked.resource, asked.scope, asked.code_challenge_method, asked.response_type], [notes.url.href, 'notes:read', 'S256', 'code']);
  });

  await step(`${method}: sign-in; the token is for this resource and scope, and the server lets it in`, async () => {
    await signIn(app);
    const claims = decodeJwt(app.kept.tokens.access_token);
    assert.deepEqual([claims.aud, claims.scope], [notes.url.href, 'notes:read']);
    subject ??= claims.sub;
    assert.equal(await call(app), `${subject} by ${app.kept.client.client_id}`);
  });

  await step(`${method}: a token that the server refuses is refreshed, twice, for the same resource`, async () => {
    for (let i = 0; i < 2; i++) {
      const { access_token } = app.kept.tokens;
      app.kept.tokens = { ...app.kept.tokens, access_token: `${access_token.slice(0, -8)}AAAAAAAA` };
      assert.equal(await call(app), `${subject} by ${app.kept.client.client_id}`);
      assert.ok(app.kept.tokens.access_token !== access_token, 'no new access token');
      assert.equal(decodeJwt(app.kept.tokens.access_token).aud, notes.url.href);
    }
  });
}

await step('another server does not take the token, nor is a token to be had for a resource that was not asked for', async () => {
  const other = await serve('notes:read');
  const app = apps.none;
  const res = await fetch(other.url, { method: 'POST', headers: { authorization: `Bearer ${app.kept.tokens.access_token}` } });
  assert.equal(res.status, 401);
  assert.match(res.headers.get('www-authenticate'), /error="invalid_token"/);
  const copy = Object.assign(new Memory('none'), { kept: { ...app.kept } });
  await assert.rejects(auth(copy, { serverUrl: other.url }), (e) => e.errorCode === 'invalid_target');
  other.close();
});

await step('a refresh token that was revoked starts a new sign-in, which asks for nothing', async () => {
  const app = apps.none;
  const body = new URLSearchParams({ token: app.kept.tokens.refresh_token, client_id: app.kept.client.client_id });
  assert.equal((await fetch(metadata.revocation_endpoint, { method: 'POST', body })).status, 200);
  assert.equal(await auth(app, { serverUrl: notes.url }), 'REDIRECT');
  await signIn(app);
  assert.deepEqual(person.asked, []);
  assert.equal(await call(app), `${subject} by ${app.kept.client.client_id}`);
});

await step('a client that is not known any more registers anew', async () => {
  const app = apps.client_secret_post;
  const before = app.kept.client.client_id;
  app.kept.client = { ...app.kept.client, client_id: '00000000-0000-4000-8000-000000000000' };
  assert.equal(await auth(app, { serverUrl: notes.url }), 'REDIRECT');
  assert.notEqual(app.kept.client.client_id, before);
  await signIn(app);
  assert.deepEqual(person.asked, ['consent']);
  assert.equal(await call(app), `${subject} by ${app.kept.client.client_id}`);
});

await step('without a user: client_credentials by secret and by private_key_jwt', async () => {
  const api = await serve('api:read');
  const { client_id, client_secret } = dev.clients.service;
  const bySecret = new ClientCredentialsProvider({ clientId: client_id, clientSecret: client_secret, expectedIssuer: dev.issuer, scope: 'api:read' });
  assert.equal(await call(bySecret, api.url), `${client_id} by ${client_id}`);
  const privateKey = JSON.parse(readFileSync(process.argv[4], 'utf8'));
  const byKey = new PrivateKeyJwtProvider({ clientId: 'keyed', privateKey, algorithm: 'ES256', expectedIssuer: dev.issuer, scope: 'api:read' });
  assert.equal(await call(byKey, api.url), 'keyed by keyed');
  api.close();
});

notes.close();
