// A back end that takes our access tokens by section C of the Userdocks contract, and is as strict as the
// vendor's server SDK where that is strict: one chunk, one string for aud, typ JWT to the letter.
import { createPublicKey, verify } from 'node:crypto';
import { connect } from 'node:net';

export class Backend {
  #options;
  #pem;

  // apiUri may have a path, which is not used; issuer and clientId are what tokens must say.
  constructor(options) {
    this.#options = options;
  }

  // key fetches the public key over a bare connection, and remembers it for ever. It throws unless all of
  // the answer came in one piece: the SDK joins pieces with commas.
  async key() {
    if (this.#pem) return this.#pem;
    const { hostname, port } = new URL(this.#options.apiUri);
    const request = [
      'GET /api/v1/public-key HTTP/1.1', `Host: ${hostname}:${port}`, 'Connection: close', 'accept: application/json;utf-8',
      'X-API-KEY-Type: read', `X-API-KEY: ${this.#options.apiKey}`, `X-CLIENT-ID: ${this.#options.clientId}`, '', '',
    ].join('\r\n');
    const chunks = [];
    await new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(request));
      socket.on('data', (chunk) => chunks.push(chunk)).on('end', resolve).on('error', reject);
    });
    if (chunks.length !== 1) throw new Error(`the key answer came in ${chunks.length} pieces`);
    const [head, body] = chunks[0].toString('latin1').split('\r\n\r\n');
    if (/^transfer-encoding:|^content-encoding:/im.test(head)) throw new Error('the key answer is encoded');
    if (Number(/^content-length: (\d+)/im.exec(head)?.[1]) !== body.length) throw new Error('the key answer has no length, or another');
    const { data, items } = JSON.parse(body);
    this.#pem = data?.publicKey ?? items[0].value;
    return this.#pem;
  }

  // verify tells what is wrong with a token; "" if nothing.
  async verify(authorization) {
    const key = createPublicKey(await this.key());
    const [header, payload, signature, ...more] = authorization.replace(/^Bearer /, '').split('.');
    if (!signature || more.length) return 'not three segments';
    const read = (segment) => JSON.parse(Buffer.from(segment, 'base64url').toString());
    let h;
    let claims;
    try {
      [h, claims] = [read(header), read(payload)];
    } catch {
      return 'not JSON';
    }
    if (h.alg !== 'RS256') return 'alg';
    if (h.typ !== 'JWT') return 'typ';
    if (!verify('RSA-SHA256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) return 'signature';
    if (claims.iss !== this.#options.issuer) return 'iss';
    if (claims.aud !== this.#options.clientId) return 'aud';
    if (!(Number(claims.exp) >= Math.floor(Date.now() / 1000))) return 'exp';
    return '';
  }
}
