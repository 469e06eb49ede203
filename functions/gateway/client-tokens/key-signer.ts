import type { CryptoKey, JWK } from 'jose';
import type { Signer } from '../services.ts';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Signs with a private key that this process has. @throws (when signing) a key that is not of the curve P-256. */
export function createKeySigner(privateJwk: JWK): Signer {
  const { kty = '', crv = '', x = '', y = '' } = privateJwk;
  let key: Promise<CryptoKey> | undefined;
  return {
    async publicKey() {
      return { kty, crv, x, y };
    },
    async sign(data) {
      key ??= crypto.subtle.importKey('jwk', privateJwk, ECDSA, false, ['sign']);
      return new Uint8Array(await crypto.subtle.sign(ECDSA, await key, new Uint8Array(data)));
    },
  };
}
