import { GetSecretValueCommand, SecretsManagerClient, type SecretsManagerClientConfig } from '@aws-sdk/client-secrets-manager';

/**
 * Reads secrets by ARN.
 * @param options laid over the SDK's ordinary configuration, which is enough by itself.
 * @throws (when reading) an error that names the secret and never its text.
 */
export function createSecretsManager(options: SecretsManagerClientConfig = {}): (arn: string) => Promise<string> {
  const client = new SecretsManagerClient(options);
  return async function getSecret(arn) {
    try {
      const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: arn }));
      if (SecretString === undefined) throw new Error('it holds bytes, not text');
      return SecretString;
    } catch (error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown';
      throw new Error(`The secret ${arn} cannot be read (${reason}). Does it exist, and may this function's role read it?`, {
        cause: error,
      });
    }
  };
}
