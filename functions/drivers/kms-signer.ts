import { createPublicKey } from 'node:crypto';
import { StoreUnavailableError } from '../gateway/errors.ts';
import type { PublicKey, Signer } from '../gateway/services.ts';
import { type AwsClientOptions, createAwsJsonClient } from './aws-json-client.ts';

const KMS = { name: 'kms', target: 'TrentService', version: '1.1' } as const;

/** Signs with a key that never leaves AWS KMS. @param keyArn a key of the spec ECC_NIST_P256 for SIGN_VERIFY. */
export function createKmsSigner(keyArn: string, options: AwsClientOptions = {}): Signer {
  const client = createAwsJsonClient(KMS, options);
  const call = async <Output>(operation: string, input: object): Promise<Output> => {
    try {
      return await client.call<Output>(operation, { KeyId: keyArn, ...input });
    } catch (error) {
      throw new StoreUnavailableError(`the KMS key ${keyArn}`, { cause: error });
    }
  };
  let publicKey: Promise<PublicKey> | undefined;
  const load = async () => {
    const { PublicKey } = await call<{ PublicKey: string }>('GetPublicKey', {});
    return readPublicKey(PublicKey, keyArn);
  };
  return {
    publicKey() {
      publicKey ??= load().catch((error: unknown) => {
        publicKey = undefined; // the next one tries again
        throw error;
      });
      return publicKey;
    },
    async sign(data) {
      const message = { Message: Buffer.from(data).toString('base64'), MessageType: 'RAW', SigningAlgorithm: 'ECDSA_SHA_256' };
      const { Signature } = await call<{ Signature: string }>('Sign', message);
      return joseSignature(Buffer.from(Signature, 'base64'));
    },
  };
}

function readPublicKey(spki: string, keyArn: string): PublicKey {
  const { kty, crv, x, y } = createPublicKey({ key: Buffer.from(spki, 'base64'), format: 'der', type: 'spki' }).export({ format: 'jwk' });
  if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined) {
    throw new Error(`The KMS key ${keyArn} must have the spec ECC_NIST_P256; it is ${crv ?? kty}.`);
  }
  return { kty, crv, x, y };
}

const FIELD_BYTES = 32;

/** KMS gives the two numbers in DER (RFC 3279 2.2.3), JOSE wants them side by side (RFC 7518 3.4). */
export function joseSignature(der: Uint8Array): Uint8Array {
  const signature = new Uint8Array(2 * FIELD_BYTES);
  let at = 2; // past SEQUENCE and its length, which is under 128
  for (const end of [FIELD_BYTES, 2 * FIELD_BYTES]) {
    const length = der[at + 1] ?? 0;
    const integer = der.subarray(at + 2, at + 2 + length);
    const digits = integer.subarray(Math.max(0, length - FIELD_BYTES)); // a zero before keeps a number positive
    signature.set(digits, end - digits.length);
    at += 2 + length;
  }
  return signature;
}
