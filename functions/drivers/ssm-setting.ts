import type { GetParameterResult } from '@aws-sdk/client-ssm';
import { StoreUnavailableError } from '../gateway/errors.ts';
import type { SettingText } from '../gateway/services.ts';
import { type AwsClientOptions, AwsError, createAwsJsonClient } from './aws-json-client.ts';

const SSM = { name: 'ssm', target: 'AmazonSSM', version: '1.1' } as const;

/** A text in a parameter of AWS Systems Manager. */
export function createSsmSetting(name: string, options: AwsClientOptions = {}): SettingText {
  const client = createAwsJsonClient(SSM, options);
  return {
    async read() {
      try {
        const { Parameter } = await client.call<GetParameterResult>('GetParameter', { Name: name });
        return Parameter?.Value;
      } catch (error) {
        if (error instanceof AwsError && error.name === 'ParameterNotFound') return undefined;
        throw new StoreUnavailableError(`the parameter ${name}`, { cause: error });
      }
    },
  };
}
