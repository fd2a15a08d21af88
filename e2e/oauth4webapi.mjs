// oauth4webapi, unmodified, against the standard face of a running `tallystick dev --tls`: run this with
// NODE_EXTRA_CA_CERTS=DIR/ca.pem. The library is the strictest there is: each answer must have the status, the
// media type and the members of its specification. The arguments are dev.json and the seed.
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { createServer } from 'node:http';
import { exportJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import { devJSON, installedVersion, seed, step } from './check.mjs';
import { Person } from './person.mjs';

const dev = devJSON();
const user = seed().users.find(({ email }) => email.startsWith('oauth4webapi@'));
const issuer = new URL(dev.issuer);
const web = { client_id: dev.clients.web.client_id };
const webAuth = oauth.ClientSecretBasic(dev.clients.web.client_secret);
const HOME = 'https://strict.example.com/callback';
const BYE = 'https://strict.example.com/bye';

// The server listens on 127.0.0.1; localhost may resolve to ::1 first.
dns.setDefaultResultOrder('ipv4first');

// Where the clients that register here have their keys: /ALG.
const keys = {};
const keySite = createServer(({ url }, res) => {
  res.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(JSON.stringify({ keys: [keys[url.slice(1)]] }));
});
await new Promise((resolve) => { keySite.listen(0, '127.0.0.1', resolve); });

let as;
const person = new Person(user);
let subject; // what clients without a sector of their own call the user

// ask prepares an authorization request; answer gets from it to the checked parameters of the response.
async function ask(client, redirect_uri, more = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = {
    client_id: client.client_id, redirect_uri, response_type: 'code', scope: 'openid email', state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(),
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  };
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams(parameters);
  return { client, redirect_uri, verifier, parameters, url };
}

async function answer(asked, { who = person, instead } = {}) {
  const got = await who.authorize(asked.url, asked.redirect_uri, instead);
  const params = got instanceof Request ? new URLSearchParams(await got.text()) : got;
  return oauth.validateAuthResponse(as, asked.client, params, asked.parameters.state);
}

async function exchange(asked, auth, params, verifier = asked.verifier) {
  const res = await oauth.authorizationCodeGrantRequest(as, asked.client, auth, params, asked.redirect_uri, verifier);
  const tokens = await oauth.processAuthorizationCodeResponse(as, asked.client, res, { expectedNonce: asked.parameters.nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, res);
  return tokens;
}

const userinfo = async (client, token, sub) => {
  const res = await oauth.userInfoRequest(as, client, token);
  const told = await oauth.processUserInfoResponse(as, client, sub, res);
  if (client.userinfo_signed_response_alg) await oauth.validateApplicationLevelSignature(as, res);
  return told;
};
const refresh = async (client, auth, token) =>
  oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token));
const introspect = async (client, auth, token) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token));
const revoke = async (client, auth, token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token));
const push = async (client, auth, parameters) =>
  oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, auth, parameters));
const register = async (metadata) =>
  oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, metadata));

const refusedAs = (error) => (e) => e instanceof oauth.ResponseBodyError && e.error === error;

// asResource judges an access token as a resource server that the library protects does (RFC 9068 §4).
const asResource = (token, audience) =>
  oauth.validateJwtAccessToken(as, new Request(audience, { headers: { authorization: `Bearer ${token}` } }), audience);

// journey is the whole way of a client, from the request to the end of its grant.
async function journey(client, auth, redirect_uri, { pushed = false, more } = {}) {
  const asked = await ask(client, redirect_uri, more);
  if (pushed) {
    const { request_uri } = await push(client, auth, asked.parameters);
    asked.url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  }
  const tokens = await exchange(asked, auth, await answer(asked));
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  assert.equal((await userinfo(client, tokens.access_token, sub)).email, user.email);
  const access = await asResource(tokens.access_token, dev.issuer);
  assert.deepEqual([access.sub, access.client_id, access.scope], [sub, client.client_id, 'email openid']);
  const next = await refresh(client, auth, tokens.refresh_token);
  assert.equal(oauth.getValidatedIdTokenClaims(next)?.sub ?? sub, sub);
  const last = next.refresh_token ?? tokens.refresh_token;
  if (client.token_endpoint_auth_method !== 'none') assert.equal((await introspect(client, auth, next.access_token)).active, true);
  await revoke(client, auth, last);
  await assert.rejects(refresh(client, auth, last), refusedAs('invalid_grant'));
  if (client.token_endpoint_auth_method !== 'none') assert.equal((await introspect(client, auth, next.access_token)).active, false);
  return { tokens, sub };
}

await step(`harness: oauth4webapi ${installedVersion('oauth4webapi')}; discovery as OpenID Connect and as RFC 8414 has it`, async () => {
  assert.equal(installedVersion('oauth4webapi'), '3.8.8');
  for (const algorithm of ['oauth2', 'oidc']) {
    as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm }));
    assert.equal(as.issuer, dev.issuer);
  }
});

await step('web: client_secret_basic: the whole way; nothing is asked but the password and, once, consent', async () => {
  ({ sub: subject } = await journey(web, webAuth, dev.clients.web.redirect_uri));
  assert.deepEqual(person.asked, ['sign in', 'consent']);
});

await step('web: client_secret_post, pushed; form_post; ID token with at_hash, auth_time, acr and amr', async () => {
  const { tokens, sub } = await journey(web, oauth.ClientSecretPost(dev.clients.web.client_secret), dev.clients.web.redirect_uri, {
    pushed: true, more: { response_mode: 'form_post' },
  });
  assert.deepEqual(person.asked, []);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  assert.equal(sub, subject);
  assert.deepEqual([claims.acr, claims.amr], ['1', ['pwd']]);
  assert.ok(claims.at_hash && claims.auth_time && claims.sid);
});

await step('spa: none: the whole way', async () => {
  const spa = { client_id: dev.clients.spa.client_id, token_endpoint_auth_method: 'none' };
  await journey(spa, oauth.None(), dev.clients.spa.redirect_uri);
});

await step('service: client_credentials for two resources: a token that each of them accepts, and the issuer does not', async () => {
  const client = { client_id: dev.clients.service.client_id };
  const auth = oauth.ClientSecretBasic(dev.clients.service.client_secret);
  const resources = ['http://127.0.0.1:9/a', 'http://127.0.0.1:9/b'];
  const parameters = [['scope', 'api:write'], ...resources.map((r) => ['resource', r])];
  const tokens = await oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, parameters));
  for (const resource of resources) assert.equal((await asResource(tokens.access_token, resource)).scope, 'api:write');
  await assert.rejects(asResource(tokens.access_token, dev.issuer));
  await assert.rejects(userinfo(client, tokens.access_token, oauth.skipSubjectCheck), (e) => e instanceof oauth.WWWAuthenticateChallengeError);
});

await step('registration: private_key_jwt by jwks_uri with RS256, PS256, ES256 and Ed25519, ID token and userinfo signed as asked for', async () => {
  for (const [alg, signed] of [['RS256', 'ES256'], ['PS256', 'RS256'], ['ES256', 'ES256'], ['Ed25519', 'RS256']]) {
    const pair = await oauth.generateKeyPair(alg);
    const kid = `the one for ${alg}`;
    keys[alg] = { ...await exportJWK(pair.publicKey), kid, use: 'sig', alg };
    const jwks_uri = `http://127.0.0.1:${keySite.address().port}/${alg}`;
    const client = await register({
      client_name: `By ${alg}`, redirect_uris: [HOME], token_endpoint_auth_method: 'private_key_jwt', jwks_uri,
      id_token_signed_response_alg: signed, userinfo_signed_response_alg: signed, post_logout_redirect_uris: [BYE],
    });
    assert.equal(client.client_secret, undefined);
    const auth = oauth.PrivateKeyJwt({ key: pair.privateKey, kid });
    await journey(client, auth, HOME, { pushed: true });
    const request = await ask(client, HOME);
    request.url.search = new URLSearchParams({
      client_id: client.client_id, request: await oauth.issueRequestObject(as, client, request.parameters, { key: pair.privateKey, kid }),
    });
    await exchange(request, auth, await answer(request));
  }
});

await step('registration: pairwise: the same subject each time, and not the one that others get', async () => {
  const client = await register({ redirect_uris: [HOME], subject_type: 'pairwise', post_logout_redirect_uris: [BYE] });
  const auth = oauth.ClientSecretBasic(client.client_secret);
  const subjects = [];
  for (let i = 0; i < 2; i++) subjects.push((await journey(client, auth, HOME)).sub);
  assert.equal(subjects[0], subjects[1]);
  assert.notEqual(subjects[0], subject);
});

await step('registration: what was registered is read again by its token, and deleted (RFC 7592)', async () => {
  const client = await register({ redirect_uris: [HOME], client_name: 'Short-lived' });
  const at = new URL(client.registration_client_uri);
  const res = await oauth.protectedResourceRequest(client.registration_access_token, 'GET', at);
  assert.equal(res.status, 200);
  assert.equal((await res.json()).client_name, 'Short-lived');
  assert.equal((await oauth.protectedResourceRequest(client.registration_access_token, 'DELETE', at)).status, 204);
  await assert.rejects(oauth.protectedResourceRequest(client.registration_access_token, 'GET', at), (e) => e.status === 401);
});

await step('registration of nonsense is refused in the words of RFC 7591', async () => {
  await assert.rejects(register({ redirect_uris: ['javascript:alert(1)'] }), refusedAs('invalid_redirect_uri'));
  await assert.rejects(register({ redirect_uris: [HOME], token_endpoint_auth_method: 'tls_client_auth' }), refusedAs('invalid_client_metadata'));
});

await step('refusals at the authorization endpoint come back with state and iss: login_required, consent_required, access_denied, unsupported_response_type', async () => {
  const client = await register({ redirect_uris: [HOME] });
  const error = (code) => (e) => e instanceof oauth.AuthorizationResponseError && e.error === code;
  const stranger = new Person(user);
  await assert.rejects(answer(await ask(client, HOME, { prompt: 'none' }), { who: stranger }), error('login_required'));
  await assert.rejects(answer(await ask(client, HOME), { who: stranger, instead: { 'login-submit': 'login-cancel' } }), error('access_denied'));
  await assert.rejects(answer(await ask(client, HOME, { prompt: 'none' })), error('consent_required'));
  await assert.rejects(answer(await ask(client, HOME), { instead: { 'consent-allow': 'consent-deny' } }), error('access_denied'));
  await assert.rejects(answer(await ask(client, HOME, { response_type: 'token' })), error('unsupported_response_type'));
  await assert.rejects(answer(await ask(client, HOME, { response_mode: 'form_post', prompt: 'none' })), error('consent_required'));
});

await step('refusals at the token endpoint: a wrong secret, a wrong verifier, another redirect URI, a code twice', async () => {
  const redirect = dev.clients.web.redirect_uri;
  const asked = await ask(web, redirect);
  const params = await answer(asked);
  for (const wrong of [oauth.ClientSecretBasic('wrong'), oauth.ClientSecretPost('wrong')]) {
    const e = await exchange(asked, wrong, params).catch((refusal) => refusal);
    assert.ok(e instanceof oauth.WWWAuthenticateChallengeError);
    assert.deepEqual([e.status, e.cause[0].scheme, (await e.response.json()).error], [401, 'basic', 'invalid_client']);
  }
  await assert.rejects(exchange(asked, webAuth, params, oauth.generateRandomCodeVerifier()), refusedAs('invalid_grant'));
  await assert.rejects(exchange({ ...asked, redirect_uri: HOME }, webAuth, params), refusedAs('invalid_grant'));
  const tokens = await exchange(asked, webAuth, params);
  await assert.rejects(exchange(asked, webAuth, params), refusedAs('invalid_grant'));
  await assert.rejects(refresh(web, webAuth, tokens.refresh_token), refusedAs('invalid_grant'), 'the second use of the code left the grant alive');
});

await step('logout: RP-initiated, back at the client with its state; then nobody is signed in', async () => {
  const asked = await ask(web, dev.clients.web.redirect_uri);
  const tokens = await exchange(asked, webAuth, await answer(asked));
  const url = new URL(as.end_session_endpoint);
  const home = `${dev.issuer}/dev/app`;
  url.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: home, state: 'see you' });
  const back = await person.logout(url, home);
  assert.equal(back.searchParams.get('state'), 'see you');
  await assert.rejects(answer(await ask(web, dev.clients.web.redirect_uri, { prompt: 'none' })), (e) => e.error === 'login_required');
  await assert.rejects(refresh(web, webAuth, tokens.refresh_token), refusedAs('invalid_grant'));
});

keySite.close();
keySite.closeAllConnections();
