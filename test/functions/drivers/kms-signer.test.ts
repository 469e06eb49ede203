import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAwsJsonClient } from '../../../functions/drivers/aws-json-client.ts';
import { createKmsSigner, joseSignature } from '../../../functions/drivers/kms-signer.ts';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import { testSigner } from '../../contracts/signer.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

describe('a key in KMS', () => {
  let moto: Moto;
  let keyArn: string;

  const createKey = async (KeySpec: string) => {
    const kms = createAwsJsonClient({ name: 'kms', target: 'TrentService', version: '1.1' }, moto.client);
    const { KeyMetadata } = await kms.call<{ KeyMetadata: { Arn: string } }>('CreateKey', { KeySpec, KeyUsage: 'SIGN_VERIFY' });
    return KeyMetadata.Arn;
  };
  beforeAll(async () => {
    moto = await startMoto();
    keyArn = await createKey('ECC_NIST_P256');
  }, 300_000);
  afterAll(() => moto.stop());

  testSigner(() => createKmsSigner(keyArn, moto.client));

  it('of another kind is refused by name', async () => {
    const arn = await createKey('ECC_NIST_P384');
    await expect(createKmsSigner(arn, moto.client).publicKey()).rejects.toThrow(`${arn} must have the spec ECC_NIST_P256; it is P-384`);
  });

  it('that is not there makes tokens unavailable, until it is', async () => {
    const missing = createKmsSigner(`${keyArn}0`, moto.client);
    await expect(missing.publicKey()).rejects.toThrow(StoreUnavailableError);
    await expect(missing.sign(new Uint8Array(1))).rejects.toThrow(StoreUnavailableError);
    await expect(missing.publicKey()).rejects.toThrow(StoreUnavailableError);
  });
});

describe('a signature in DER', () => {
  it('has the same numbers in JOSE`s form, however short they are', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const data = Buffer.from('data');
    const lengths = new Set<number>();
    // Each number has 31 bytes or fewer once in 256 times, and 33 half the time.
    for (let turn = 0; turn < 2_000; turn += 1) {
      const der = sign('sha256', data, privateKey);
      lengths.add(der.length);
      expect(verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, joseSignature(der))).toBe(true);
    }
    expect(lengths.size).toBeGreaterThan(2);
  });

  it('with tiny numbers is padded (RFC 7518 3.4)', () => {
    expect(Buffer.from(joseSignature(Buffer.from('3006020101020102', 'hex'))).toString('hex')).toBe(`${'0'.repeat(63)}1${'0'.repeat(63)}2`);
  });
});
