import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createKeySigner } from '../../../../functions/gateway/client-tokens/key-signer.ts';
import { testSigner } from '../../../contracts/signer.ts';

const privateJwk = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey.export({ format: 'jwk' });

describe('a signer with a key of its own', () => {
  testSigner(() => createKeySigner(privateJwk('P-256')));

  it('does not sign with a key of another curve', async () => {
    await expect(createKeySigner(privateJwk('P-384')).sign(new Uint8Array(1))).rejects.toThrow();
  });
});
