import type { GetSecretValueResponse } from '@aws-sdk/client-secrets-manager';
import { type AwsClientOptions, createAwsJsonClient } from './aws-json-client.ts';

const SECRETS_MANAGER = { name: 'secretsmanager', target: 'secretsmanager', version: '1.1' } as const;

/**
 * Reads secrets by ARN.
 * @throws (when reading) an error that names the secret and never its text.
 */
export function createSecretsManager(options: AwsClientOptions = {}): (arn: string) => Promise<string> {
  const client = createAwsJsonClient(SECRETS_MANAGER, options);
  return async function getSecret(arn) {
    try {
      const { SecretString } = await client.call<GetSecretValueResponse>('GetSecretValue', { SecretId: arn });
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
