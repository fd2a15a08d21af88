// What all scripts share: one line per step, and the end at the first false expectation.
// No line ever shows a token: where two of them are compared, the check is on the comparison.
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';

// Node 18 has what the OAuth libraries sign with, but not where they look for it.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;

export async function step(name, run) {
  try {
    await run();
  } catch (err) {
    console.log(`FAIL  ${name}\n      ${err.message}`);
    process.exit(1);
  }
  console.log(`ok    ${name}`);
}

// devJSON reads what the server wrote when it was ready; its path is the script's first argument.
export const devJSON = () => argument(2, 'path/to/dev.json');

// seed reads what the server was started with; its path is the second argument of the scripts that need it.
export const seed = () => argument(3, 'path/to/dev.json path/to/seed.json');

function argument(i, usage) {
  const path = process.argv[i];
  if (!path) {
    console.log(`usage: node SCRIPT.mjs ${usage}`);
    process.exit(2);
  }
  return JSON.parse(readFileSync(path, 'utf8'));
}

// installedVersion reads node_modules itself: the packages' exports maps hide package.json.
export function installedVersion(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;
}

// jwtPart decodes one segment as both SDKs do: plain atob, no url-safe alphabet.
export function jwtPart(token, index) {
  return JSON.parse(atob(token.split('.')[index]));
}

export const jwtHeader = (token) => jwtPart(token, 0);
export const jwtClaims = (token) => jwtPart(token, 1);
