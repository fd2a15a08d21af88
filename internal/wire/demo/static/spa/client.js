// A public client of OpenID Connect: what it sends, and what it compares before it believes an answer.
import { base64url, decode, draw, fault, sha256 } from './jwt.js';

// send sends a request and records the exchange. A server that does not answer is an exchange with status 0.
export async function send(method, url, { headers = [], form } = {}) {
  const x = { method, url, headers: form ? [['Content-Type', 'application/x-www-form-urlencoded'], ...headers] : headers, form };
  try {
    // A page that has tokens needs no cookies, and nothing that it asks for leads elsewhere.
    const res = await fetch(url, {
      method, headers: x.headers, body: form && new URLSearchParams(form).toString(),
      credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
    });
    Object.assign(x, { status: res.status, statusText: res.statusText, received: res.headers, text: await res.text() });
  } catch {
    Object.assign(x, { status: 0, statusText: 'no answer', received: new Headers(), text: 'The server did not answer.' });
  }
  x.served = x.status >= 200 && x.status < 300;
  try {
    x.json = JSON.parse(x.text);
  } catch {
    x.json = undefined;
  }
  return x;
}

export const discover = (issuer) => send('GET', `${issuer}/.well-known/openid-configuration`);

// begin draws what belongs to one sign-in. What the answer has to agree with is kept: the flow.
export async function begin(meta, clientID, redirectURI, scope) {
  const flow = { state: draw(), nonce: draw(), verifier: draw() };
  const url = new URL(meta.authorization_endpoint);
  for (const [name, value] of [
    ['response_type', 'code'], ['client_id', clientID], ['redirect_uri', redirectURI], ['scope', scope], ['state', flow.state],
    ['nonce', flow.nonce], ['code_challenge', base64url(await sha256(flow.verifier))], ['code_challenge_method', 'S256'],
  ]) url.searchParams.append(name, value);
  return { flow, url };
}

export const redeem = (meta, clientID, redirectURI, code, verifier) => send('POST', meta.token_endpoint, {
  form: [['grant_type', 'authorization_code'], ['client_id', clientID], ['code', code], ['redirect_uri', redirectURI], ['code_verifier', verifier]],
});

export const refresh = (meta, clientID, token) => send('POST', meta.token_endpoint, {
  form: [['grant_type', 'refresh_token'], ['client_id', clientID], ['refresh_token', token]],
});

export const userinfo = (meta, token) => send('GET', meta.userinfo_endpoint, { headers: [['Authorization', `Bearer ${token}`]] });

export const revoke = (meta, clientID, token) => send('POST', meta.revocation_endpoint, {
  form: [['client_id', clientID], ['token', token], ['token_type_hint', 'refresh_token']],
});

const rfc = (number, section) => ({ label: `RFC ${number} §${section}`, url: `https://www.rfc-editor.org/rfc/rfc${number}#section-${section}` });
const core = (section, anchor) => ({ label: `OIDC Core ${section}`, url: `https://openid.net/specs/openid-connect-core-1_0.html#${anchor}` });
const step = (n) => core(`§3.1.3.7 (${n})`, 'IDTokenValidation');

// check is one comparison: held, broken or idle, which is that there is nothing to compare.
export const check = (claim, rule, clause, holds, got) => ({ claim, rule, clause, result: holds ? 'held' : 'broken', got });
export const equal = (claim, got, want, rule, clause) => check(claim, rule, clause, got === want, got === undefined ? 'nothing' : `“${got}”`);
const idle = (claim, rule, clause) => ({ claim, rule, clause, result: 'idle' });

export function checkMetadata(meta, issuer) {
  const has = (name, value) => Array.isArray(meta?.[name]) && meta[name].includes(value);
  return [
    equal('issuer', meta?.issuer, issuer, 'is the one that was asked', rfc('8414', '3.3')),
    check('code_challenge_methods_supported', 'has S256', rfc('8414', '2'), has('code_challenge_methods_supported', 'S256'), 'not there'),
    check('authorization_response_iss_parameter_supported', 'is true, so every answer must name its issuer', rfc('9207', '3'),
      meta?.authorization_response_iss_parameter_supported === true, 'not there'),
  ];
}

// checkAnswer compares an authorization response with the flow that was begun in this tab.
export const checkAnswer = (answer, flow, issuer) => [
  flow ? equal('state', answer.get('state') ?? undefined, flow.state, 'is the one that this tab was sent away with', rfc('6749', '10.12'))
    : check('state', 'has nothing to be compared with', rfc('6749', '10.12'), false),
  equal('iss', answer.get('iss') ?? undefined, issuer, 'is the issuer that was asked', rfc('9207', '2.4')),
];

const clock = (seconds) => (Number.isFinite(seconds) ? new Date(seconds * 1000).toUTCString() : 'no time');
const LEEWAY = 60;

// checkIDToken is OpenID Connect Core §3.1.3.7 and §3.1.3.8. Nothing is asked of the nonce if it is undefined.
export async function checkIDToken(token, { jwks, issuer, clientID, nonce, accessToken }) {
  const jwt = decode(token);
  if (!jwt) return [check('id_token', 'is a JWT', step('6'), false)];
  const { claims: c, header } = jwt;
  const now = Date.now() / 1000;
  const audience = [c.aud].flat();
  const wrong = await fault(jwt, jwks);
  const all = [
    equal('iss', c.iss, issuer, 'is the issuer', step('2')),
    check('aud', 'has this client', step('3'), audience.includes(clientID), audience.join(' ')),
    c.azp === undefined && audience.length === 1 ? idle('azp', 'is not there: the client is the only audience', step('4, 5'))
      : equal('azp', c.azp, clientID, 'is this client', step('4, 5')),
    check('signature', `is that of the key “${header.kid}” of the JWKS`, step('6'), !wrong, wrong),
    equal('alg', header.alg, 'RS256', 'is RS256, which counts for a client that has registered no other', step('7')),
    check('exp', 'is yet to come', step('9'), now < c.exp, clock(c.exp)),
    check('iat', 'is now, give or take a minute', step('10'), Math.abs(now - c.iat) < LEEWAY, clock(c.iat)),
  ];
  if (nonce !== undefined) all.push(equal('nonce', c.nonce, nonce, 'is the one that was sent', step('11')));
  const half = base64url((await sha256(accessToken)).slice(0, 16));
  all.push(equal('at_hash', c.at_hash, half, 'is the left half of the access token’s SHA-256', core('§3.1.3.8', 'CodeFlowTokenValidation')));
  return all;
}

export const checkSubject = (got, idToken, rule, section, anchor) => equal('sub', got, decode(idToken)?.claims.sub, rule, core(section, anchor));

export const checkRotated = (before, after) => check('refresh_token', 'is a new one: at a public client each is good for one use', rfc('9700', '4.14.2'),
  typeof after === 'string' && after !== before, 'the one from before');
export const checkSuccessor = (expected, got) => check('refresh_token', 'is the same successor as before', rfc('9700', '4.14.2'), got === expected, 'another one');
export const checkRefused = (x, rule, clause = rfc('9700', '4.14.2')) => equal('error', x.json?.error, 'invalid_grant', rule, clause);
export const checkState = (got, want) => equal('state', got, want, 'is the one that was sent',
  { label: 'OIDC RP-Initiated Logout §3', url: 'https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout' });
