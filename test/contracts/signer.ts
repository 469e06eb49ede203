/** The contract of the port `Signer`. Node's own verification is the reference. */
import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { PublicKey, Signer } from '../../functions/gateway/services.ts';

export function testSigner(create: () => Signer): void {
  const verifies = (key: PublicKey, data: Uint8Array, signature: Uint8Array) =>
    verify('sha256', data, { key: createPublicKey({ key: { ...key }, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, signature);

  describe('a signature', () => {
    // Numbers that begin with zeros are shorter in DER: one in 128 signatures has one.
    it('is one of the public key, for these bytes alone', async () => {
      const signer = create();
      const key = await signer.publicKey();
      for (let turn = 0; turn < 40; turn += 1) {
        const data = Buffer.from(`head.payload-${turn}`);
        const signature = await signer.sign(data);
        expect(signature).toHaveLength(64);
        expect(verifies(key, data, signature)).toBe(true);
        expect(verifies(key, Buffer.from('head.other'), signature)).toBe(false);
      }
    });

    it('is made for data of any length that KMS takes', async () => {
      const signer = create();
      for (const length of [1, 4096]) {
        const data = Buffer.alloc(length, 'a');
        expect(verifies(await signer.publicKey(), data, await signer.sign(data))).toBe(true);
      }
    });
  });

  it('tells its public key and nothing of the private one', async () => {
    const key = await create().publicKey();
    expect(Object.keys(key).sort()).toEqual(['crv', 'kty', 'x', 'y']);
    expect(key).toMatchObject({ kty: 'EC', crv: 'P-256' });
  });
}
