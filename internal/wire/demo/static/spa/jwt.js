// Tokens in the browser: taken apart, and verified by WebCrypto.

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function bytesOf(text) {
  if (!/^[\w-]*$/.test(text)) throw new Error('not base64url');
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

export async function sha256(text) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

// draw is 256 random bits in 43 characters, which is a code verifier as RFC 7636 §4.1 recommends it.
export const draw = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

// decode takes a compact JWS (RFC 7515 §7.1) apart; undefined if it is none.
export function decode(token) {
  try {
    const parts = token.split('.');
    if (parts.length !== 3) return undefined;
    const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(utf8.decode(bytesOf(part))));
    return { parts, header, claims, signature: bytesOf(parts[2]) };
  } catch {
    return undefined;
  }
}

// Whoever verifies says which algorithms count, whatever the token's own header claims (RFC 8725 §3.1).
const algorithms = {
  RS256: { type: 'RSA', name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  ES256: { type: 'EC', name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
};

// fault is why a token's signature does not hold by the key that it names (RFC 7515 §4.1.4); '' if it does.
export async function fault(jwt, jwks) {
  const algorithm = Object.hasOwn(algorithms, jwt.header.alg) ? algorithms[jwt.header.alg] : undefined;
  if (!algorithm) return 'its alg is not one that is taken here';
  const { kid } = jwt.header;
  const found = (Array.isArray(jwks?.keys) ? jwks.keys : []).filter((key) => kid && key.kid === kid);
  if (found.length !== 1) return 'its kid names no key of the JWKS';
  const [{ kty, crv, n, e, x, y, alg }] = found;
  if (kty !== algorithm.type || (alg && alg !== jwt.header.alg)) return 'its key is for another algorithm';
  try {
    const key = await crypto.subtle.importKey('jwk', { kty, crv, n, e, x, y }, algorithm, false, ['verify']);
    const holds = await crypto.subtle.verify(algorithm, key, jwt.signature, new TextEncoder().encode(jwt.parts.slice(0, 2).join('.')));
    return holds ? '' : 'the key did not make it';
  } catch {
    return 'its key cannot be read';
  }
}
