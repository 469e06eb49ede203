import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSecretsManager } from '../../../functions/drivers/secrets-manager.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

describe('a secret in Secrets Manager', () => {
  let moto: Moto;
  let secrets: SecretsManagerClient;
  const create = async (value: { SecretString: string } | { SecretBinary: Uint8Array }, name: string) =>
    (await secrets.send(new CreateSecretCommand({ Name: name, ...value }))).ARN ?? '';

  beforeAll(async () => {
    moto = await startMoto();
    secrets = new SecretsManagerClient(moto.client);
  }, 300_000);
  afterAll(() => moto.stop());

  it('is its text, by its ARN with and without the six characters at the end', async () => {
    const arn = await create({ SecretString: 'sk-é🎉' }, 'penstock/one');
    const getSecret = createSecretsManager(moto.client);
    expect(await getSecret(arn)).toBe('sk-é🎉');
    expect(await getSecret(arn.replace(/-\w{6}$/, ''))).toBe('sk-é🎉');
  });

  it('that is not there is named, with what to do', async () => {
    const arn = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:penstock/none';
    const getSecret = createSecretsManager(moto.client);
    await expect(getSecret(arn)).rejects.toThrow(`The secret ${arn} cannot be read (ResourceNotFoundException`);
  });

  it('that holds bytes is refused without showing them', async () => {
    const arn = await create({ SecretBinary: Buffer.from('hidden words') }, 'penstock/bytes');
    const error = await createSecretsManager(moto.client)(arn).catch(String);
    expect(error).toContain('bytes, not text');
    expect(error).not.toContain('hidden');
  });
});
