// openid-client, unmodified, against the standard face of a running `tallystick dev --tls`: it speaks https only,
// so run this with NODE_EXTRA_CA_CERTS=DIR/ca.pem. The arguments are dev.json, the seed, and the private JWK of the
// seed's client "keyed". Signatures are checked by the library everywhere, also those that TLS vouches for.
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
import * as openid from 'openid-client';
import { devJSON, installedVersion, seed, step } from './check.mjs';
import { Person } from './person.mjs';

const dev = devJSON();
const { web, spa, service } = dev.clients;
const user = seed().users.find(({ email }) => email.startsWith('openid-client@'));
const issuer = new URL(dev.issuer);
const jwk = JSON.parse(readFileSync(process.argv[4], 'utf8'));
const KEYED = 'https://keyed.example.com/callback';
const AFTER = { web: `${dev.issuer}/dev/app`, spa: `${dev.issuer}/dev/spa`, keyed: 'https://keyed.example.com/' };

// The server listens on 127.0.0.1; localhost may resolve to ::1 first.
dns.setDefaultResultOrder('ipv4first');

const strict = { execute: [openid.enableNonRepudiationChecks] };
const configure = (id, secret, auth) => openid.discovery(issuer, id, secret, auth, strict);

// signIn goes from an authorization request to tokens, which the library has checked, ID token and all.
async function signIn(person, config, redirectUri, { more, send = openid.buildAuthorizationUrl, answered = (a) => a, exchange } = {}) {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier, expectedState: openid.randomState(), expectedNonce: openid.randomNonce() };
  const url = await send(config, {
    redirect_uri: redirectUri, scope: 'openid profile email', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...more,
  });
  const answer = answered(await person.authorize(url, redirectUri));
  return openid.authorizationCodeGrant(config, answer, { ...checks, ...(more?.max_age && { maxAge: Number(more.max_age) }) }, exchange);
}

// journey is what follows the sign-in, up to the logout.
async function journey(person, config, tokens, afterLogout, refreshToken = tokens.refresh_token) {
  const { sub } = tokens.claims();
  subject ??= sub;
  assert.equal(sub, subject);
  const told = await openid.fetchUserInfo(config, tokens.access_token, sub);
  assert.equal(told.email, user.email);
  assert.equal(told.email_verified, true);
  assert.ok(told.name && told.updated_at);

  const next = await openid.refreshTokenGrant(config, refreshToken);
  assert.ok(next.access_token !== tokens.access_token, 'the refresh gave the same access token');
  assert.equal(next.claims().sub, sub);
  assert.equal(next.claims().auth_time, tokens.claims().auth_time);
  await openid.fetchUserInfo(config, next.access_token, sub);

  const refresh = next.refresh_token ?? refreshToken;
  const confidential = config.clientMetadata().client_secret || config.clientMetadata().client_id === 'keyed';
  if (confidential) {
    const seen = await openid.tokenIntrospection(config, next.access_token);
    assert.deepEqual([seen.active, seen.sub, seen.client_id, seen.token_type], [true, sub, config.clientMetadata().client_id, 'Bearer']);
    assert.equal((await openid.tokenIntrospection(config, refresh)).active, true);
  }
  await openid.tokenRevocation(config, refresh, { token_type_hint: 'refresh_token' });
  await assert.rejects(openid.refreshTokenGrant(config, refresh), (e) => e instanceof openid.ResponseBodyError && e.error === 'invalid_grant');
  if (confidential) assert.deepEqual(Object.entries(await openid.tokenIntrospection(config, next.access_token)), [['active', false]]);
  await openid.tokenRevocation(config, refresh);
  await assert.rejects(openid.fetchUserInfo(config, next.access_token, sub), (e) => e instanceof openid.WWWAuthenticateChallengeError &&
    e.status === 401 && e.cause[0].scheme === 'bearer' && e.cause[0].parameters.error === 'invalid_token');

  const state = openid.randomState();
  const url = openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout, state });
  const back = await person.logout(url, afterLogout);
  assert.deepEqual(person.asked, ['logout']);
  assert.equal(back.searchParams.get('state'), state);
}

let person = new Person(user);
let subject; // whom the first ID token has named; every client must get the same

await step(`harness: openid-client ${installedVersion('openid-client')}; discovery over https`, async () => {
  assert.equal(installedVersion('openid-client'), '6.9.0');
  const config = await configure(web.client_id, web.client_secret);
  const metadata = config.serverMetadata();
  assert.equal(metadata.issuer, dev.issuer);
  assert.equal(metadata.supportsPKCE(), true);
  assert.equal(metadata.authorization_response_iss_parameter_supported, true);
});

await step('web: client_secret_post (the default): code and PKCE, userinfo, refresh, introspection, revocation, logout', async () => {
  const config = await configure(web.client_id, web.client_secret);
  const tokens = await signIn(person, config, web.redirect_uri);
  assert.deepEqual(person.asked, ['sign in', 'consent']);
  await journey(person, config, tokens, AFTER.web);
});

await step('web: client_secret_basic, a pushed request (PAR): the same; consent is remembered, the sign-in has ended', async () => {
  const config = await configure(web.client_id, web.client_secret, openid.ClientSecretBasic(web.client_secret));
  const tokens = await signIn(person, config, web.redirect_uri, { send: openid.buildAuthorizationUrlWithPAR });
  assert.deepEqual(person.asked, ['sign in']);
  await journey(person, config, tokens, AFTER.web);
});

await step('spa: no client authentication: the same, with a new refresh token at each refresh', async () => {
  const config = await configure(spa.client_id, undefined, openid.None());
  const tokens = await signIn(person, config, spa.redirect_uri);
  assert.deepEqual(person.asked, ['sign in', 'consent']);
  const next = await openid.refreshTokenGrant(config, tokens.refresh_token);
  assert.ok(next.refresh_token && next.refresh_token !== tokens.refresh_token, 'no new refresh token');
  await journey(person, config, tokens, AFTER.spa, next.refresh_token);
});

await step('keyed: private_key_jwt (ES256), and userinfo signed by ES256: the same', async () => {
  const config = await openid.discovery(issuer, 'keyed', { userinfo_signed_response_alg: 'ES256', id_token_signed_response_alg: 'ES256' }, await assertion(), strict);
  const tokens = await signIn(person, config, KEYED);
  await journey(person, config, tokens, AFTER.keyed);
});

await step('keyed: a signed request object, by value and pushed (JAR)', async () => {
  const config = await openid.discovery(issuer, 'keyed', { userinfo_signed_response_alg: 'ES256', id_token_signed_response_alg: 'ES256' }, await assertion(), strict);
  const key = { key: await importJWK(jwk, 'ES256'), kid: jwk.kid };
  for (const send of [
    (c, p) => openid.buildAuthorizationUrlWithJAR(c, p, key),
    async (c, p) => openid.buildAuthorizationUrlWithPAR(c, (await openid.buildAuthorizationUrlWithJAR(c, p, key)).searchParams),
  ]) {
    const tokens = await signIn(person, config, KEYED, { send });
    assert.equal(tokens.claims().sub, subject);
  }
});

await step('web: response_mode form_post', async () => {
  const config = await configure(web.client_id, web.client_secret);
  const tokens = await signIn(person, config, web.redirect_uri, {
    more: { response_mode: 'form_post' },
    answered: (a) => { assert.ok(a instanceof Request, 'the answer did not come by form_post'); return a; },
  });
  assert.equal(tokens.claims().sub, subject);
});

await step('RFC 9207: the library takes no answer without iss, or with another', async () => {
  const config = await configure(web.client_id, web.client_secret);
  for (const change of [(u) => u.searchParams.delete('iss'), (u) => u.searchParams.set('iss', 'https://evil.example.com')]) {
    const answered = (a) => { assert.equal(a.searchParams.get('iss'), dev.issuer); change(a); return a; };
    await assert.rejects(signIn(person, config, web.redirect_uri, { answered }), (e) => e instanceof openid.ClientError && /"iss"/.test(e.cause.message));
  }
});

await step('prompt=login and max_age=0 ask again; prompt=none asks nothing, or is login_required for a stranger', async () => {
  const config = await configure(web.client_id, web.client_secret);
  let first;
  for (const more of [{ prompt: 'login' }, { max_age: '0' }]) {
    first = await signIn(person, config, web.redirect_uri, { more });
    assert.deepEqual(person.asked, ['sign in']);
  }
  const silent = await signIn(person, config, web.redirect_uri, { more: { prompt: 'none', max_age: '300' } });
  assert.deepEqual(person.asked, []);
  assert.equal(silent.claims().auth_time, first.claims().auth_time);
  const refused = signIn(new Person(user), config, web.redirect_uri, { more: { prompt: 'none' } });
  await assert.rejects(refused, (e) => e instanceof openid.AuthorizationResponseError && e.error === 'login_required');
});

await step('offline_access: the refresh token outlives the session', async () => {
  const config = await configure(web.client_id, web.client_secret);
  const tokens = await signIn(person, config, web.redirect_uri, { more: { scope: 'openid offline_access', prompt: 'consent' } });
  assert.deepEqual(person.asked, ['consent']);
  assert.match(tokens.scope, /\boffline_access\b/);
  await person.logout(openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token }));
  const next = await openid.refreshTokenGrant(config, tokens.refresh_token);
  assert.equal(next.claims().sub, subject);
});

await step('without offline_access it ends with the session', async () => {
  const config = await configure(web.client_id, web.client_secret);
  const tokens = await signIn(person, config, web.redirect_uri);
  await openid.refreshTokenGrant(config, tokens.refresh_token);
  await person.logout(openid.buildEndSessionUrl(config, { id_token_hint: tokens.id_token }));
  await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), (e) => e.error === 'invalid_grant');
});

await step('service: client_credentials for a resource, verified by jose; introspected', async () => {
  const config = await configure(service.client_id, service.client_secret, openid.ClientSecretBasic(service.client_secret));
  const resource = 'http://127.0.0.1:9/api';
  const tokens = await openid.clientCredentialsGrant(config, { scope: 'api:read', resource });
  assert.equal(tokens.scope ?? 'api:read', 'api:read');
  assert.equal(tokens.refresh_token, undefined);
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  const { payload } = await jwtVerify(tokens.access_token, keys, { issuer: dev.issuer, audience: resource, typ: 'at+jwt', algorithms: ['ES256'] });
  assert.deepEqual([payload.sub, payload.client_id, payload.scope], [service.client_id, service.client_id, 'api:read']);
  const seen = await openid.tokenIntrospection(config, tokens.access_token);
  assert.deepEqual([seen.active, seen.aud], [true, resource]);
});

await step('dynamic registration: a confidential client and a public one register, sign in, and go the whole way', async () => {
  const redirect_uris = ['https://new.example.com/callback'];
  const about = { client_name: 'A new client', redirect_uris, post_logout_redirect_uris: ['https://new.example.com/bye'] };
  const methods = [['client_secret_post', undefined], ['client_secret_basic', (s) => openid.ClientSecretBasic(s)], ['none', () => openid.None()]];
  for (const [token_endpoint_auth_method, auth] of methods) {
    let config = await openid.dynamicClientRegistration(issuer, { ...about, token_endpoint_auth_method }, auth?.(), strict);
    const { client_id, client_secret } = config.clientMetadata();
    if (client_secret && auth) config = await configure(client_id, client_secret, auth(client_secret));
    assert.equal(Boolean(client_secret), token_endpoint_auth_method !== 'none');
    person = new Person(user);
    const tokens = await signIn(person, config, redirect_uris[0]);
    assert.deepEqual(person.asked, ['sign in', 'consent']);
    await journey(person, config, tokens, about.post_logout_redirect_uris[0]);
  }
});

async function assertion() {
  return openid.PrivateKeyJwt({ key: await importJWK(jwk, 'ES256'), kid: jwk.kid });
}
