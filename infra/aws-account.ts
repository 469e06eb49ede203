import { BatchGetImageCommand, ECRClient } from '@aws-sdk/client-ecr';
import { GetProductsCommand, PricingClient } from '@aws-sdk/client-pricing';
import { ListServiceQuotasCommand, ServiceQuotasClient } from '@aws-sdk/client-service-quotas';
import { GetParameterCommand, ParameterNotFound, SSMClient } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import type { AccountView } from './check-account.ts';

/** The price list is in a few regions only, and the same in each. */
const PRICE_LIST_REGION = 'us-east-1';

/** Laid over the SDK's ordinary configuration. */
export interface AwsOptions {
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** The account that the SDK's ordinary configuration names (environment, profile, role). */
export function createAccountView(config: AwsOptions = {}): AccountView {
  const quota = async (region: string, service: string, name: string): Promise<number | undefined> => {
    const client = new ServiceQuotasClient({ ...config, region });
    for (let NextToken: string | undefined; ; ) {
      const page = await client.send(new ListServiceQuotasCommand({ ServiceCode: service, MaxResults: 100, NextToken }));
      const found = page.Quotas?.find(({ QuotaName }) => QuotaName === name);
      if (found !== undefined) return found.Value;
      if (page.NextToken === undefined) return undefined;
      NextToken = page.NextToken;
    }
  };
  return {
    async callerAccount() {
      const { Account = '' } = await new STSClient({ ...config, region: PRICE_LIST_REGION }).send(new GetCallerIdentityCommand());
      return Account;
    },
    async bootstrapVersion(region) {
      try {
        const { Parameter } = await new SSMClient({ ...config, region }).send(
          new GetParameterCommand({ Name: '/cdk-bootstrap/hnb659fds/version' }),
        );
        return Number(Parameter?.Value);
      } catch (error) {
        if (error instanceof ParameterNotFound) return undefined;
        throw error;
      }
    },
    endpointQuota: (region, instanceType) => quota(region, 'sagemaker', `${instanceType} for endpoint usage`),
    concurrentExecutions: (region) => quota(region, 'lambda', 'Concurrent executions'),
    /** Asked as SageMaker asks: AWS's repositories let every account do this, and nothing else. */
    async imageDigest(region, { registry, repository, tag }, digest) {
      const { images = [] } = await new ECRClient({ ...config, region }).send(
        new BatchGetImageCommand({
          registryId: registry,
          repositoryName: repository,
          imageIds: [digest === undefined ? { imageTag: tag } : { imageDigest: digest }],
        }),
      );
      return images[0]?.imageId?.imageDigest;
    },
    async hourlyPrice(region, instanceType) {
      const equals = (Field: string, Value: string) => ({ Type: 'TERM_MATCH' as const, Field, Value });
      const { PriceList = [] } = await new PricingClient({ ...config, region: PRICE_LIST_REGION }).send(
        new GetProductsCommand({
          ServiceCode: 'AmazonSageMaker',
          Filters: [equals('instanceName', instanceType), equals('regionCode', region), equals('component', 'Hosting')],
        }),
      );
      return readHourlyPrice(PriceList.map(String));
    },
  };
}

/** An entry of the price list nests terms, offers and dimensions, of which an instance has one each. */
export function readHourlyPrice(entries: readonly string[]): number | undefined {
  for (const entry of entries) {
    const terms: Record<string, { priceDimensions: Record<string, { pricePerUnit: { USD?: string } }> }> =
      JSON.parse(entry).terms?.OnDemand ?? {};
    const prices = Object.values(terms).flatMap(({ priceDimensions }) => Object.values(priceDimensions));
    const dollars = Number(prices[0]?.pricePerUnit.USD);
    if (dollars > 0) return dollars;
  }
  return undefined;
}
