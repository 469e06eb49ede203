import { join } from 'node:path';
import { Arn, ArnFormat, CfnOutput, Duration, Fn, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { Alarm, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { LambdaDeploymentConfig, LambdaDeploymentGroup } from 'aws-cdk-lib/aws-codedeploy';
import type { Role } from 'aws-cdk-lib/aws-iam';
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import {
  type Alias,
  FunctionUrlAuthType,
  InvokeMode,
  WebFunction,
  WebFunctionAuthType,
  WebFunctionCode,
  WebFunctionRuntime,
} from 'aws-cdk-lib/aws-lambda';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import { profileOf, provisionedConcurrencyOf, type Settings } from '../config.ts';
import { createEventFunction, createFunctionLog } from '../constructs/event-function.ts';
import { identifyBundle } from '../constructs/identify-bundle.ts';
import {
  createEncodingsLayer,
  createModelFilesLayer,
  ENCODINGS_ENVIRONMENT,
  MODEL_FILES_ENVIRONMENT,
} from '../constructs/model-files-layer.ts';
import { allow, allowEndpoints, allowSwitches, createPipelineRole, endpointArns, otherRegions } from '../constructs/pipeline-role.ts';
import type { EndpointPlan } from '../endpoint-plan.ts';
import { WHOLE_CPU_MB } from '../function-memory.ts';
import {
  firstApiKeyName,
  GATEWAY_DOMAIN_OUTPUT,
  gatewayName,
  jobsName,
  LIVE,
  originSecretName,
  switchesName,
  tableName,
} from '../names.ts';

export interface GatewayStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
  readonly bundlesFolder: string;
}

interface GatewayParts {
  readonly settings: Settings;
  readonly role: Role;
  readonly logs: LogGroup;
  readonly environment: Readonly<Record<string, string>>;
  readonly bundlesFolder: string;
}

/** An answer takes SageMaker eight minutes at most; the rest is for waiting before and telling afterwards. */
const TIMEOUT = Duration.minutes(9);

/** What answers callers in one region: the event function behind its own address, which only the CDN may use. */
export class GatewayStack extends Stack {
  constructor(scope: Construct, id: string, { settings, endpoints, bundlesFolder, ...props }: GatewayStackProps) {
    super(scope, id, { ...props, description: 'Penstock: the OpenAI-compatible gateway' });
    const { signingKey } = profileOf(settings);
    const logs = createFunctionLog(this, settings);
    const role = this.#createRole(settings, endpoints, logs);
    const environment = {
      ...(settings.domain === undefined ? {} : { PENSTOCK_PUBLIC_ORIGIN: `https://${settings.domain.name}` }),
      ...otherRegions(this, settings),
      ...(settings.keepAnswers === undefined ? {} : { KEEP_ANSWERS: settings.keepAnswers }),
      PENSTOCK_TABLE: tableName(settings),
      PENSTOCK_SWITCHES_PARAMETER: this.#createSwitches(settings),
      PENSTOCK_ORIGIN_SECRET_ARN: this.#secretArn(originSecretName(settings)),
      PENSTOCK_API_KEY_ARN: this.#secretArn(firstApiKeyName(settings)),
      PENSTOCK_JOBS_QUEUE: `https://sqs.${this.region}.${this.urlSuffix}/${this.account}/${jobsName(settings)}`,
      ...(signingKey ? { PENSTOCK_SIGNING_KEY_ARN: this.#createSigningKey(role) } : {}),
    };
    const parts: GatewayParts = { settings, role, logs, environment, bundlesFolder };
    const domain = settings.gateway === 'web' ? this.#createWebFunction(parts) : this.#createEventFunction(parts);
    new CfnOutput(this, GATEWAY_DOMAIN_OUTPUT, { value: domain, description: 'Origin of the CDN' });
  }

  /** @returns the domain of its address: public, because OpenAI's SDKs cannot sign; the function checks the CDN's secret and the caller's key. */
  #createEventFunction({ settings, role, logs, environment, bundlesFolder }: GatewayParts): string {
    const provisionedConcurrency = provisionedConcurrencyOf(settings);
    const { gradualDeployment } = profileOf(settings);
    const gateway = createEventFunction(this, 'Gateway', {
      functionName: gatewayName(settings),
      description: 'Penstock gateway',
      bundlesFolder,
      bundle: 'event-function',
      memoryMb: WHOLE_CPU_MB,
      timeout: TIMEOUT,
      layers: [createModelFilesLayer(this), createEncodingsLayer(this, bundlesFolder)],
      role,
      logs,
      environment: { ...MODEL_FILES_ENVIRONMENT, ...ENCODINGS_ENVIRONMENT, ...environment },
    });
    const live = gateway.addAlias(LIVE, provisionedConcurrency === 0 ? {} : { provisionedConcurrentExecutions: provisionedConcurrency });
    const { url } = live.addFunctionUrl({ authType: FunctionUrlAuthType.NONE, invokeMode: InvokeMode.RESPONSE_STREAM });
    if (gradualDeployment) this.#deployByCanary(live);
    return Fn.select(2, Fn.split('/', url));
  }

  /** Tokenizers and weights lie in its package, where its code looks by itself. */
  #createWebFunction({ settings, role, logs, environment, bundlesFolder }: GatewayParts): string {
    const folder = join(bundlesFolder, 'web-function');
    const gateway = new WebFunction(this, 'WebGateway', {
      webFunctionName: gatewayName(settings),
      runtime: WebFunctionRuntime.NODEJS_24_X,
      code: WebFunctionCode.fromAssetToManagedBucket(folder, identifyBundle(folder)),
      entryPoint: 'functions/gateway/index.mjs',
      defaultEndpointAuth: WebFunctionAuthType.APPLICATION_MANAGED,
      maxConcurrencyPerEnvironment: 64,
      timeout: TIMEOUT,
      role,
      logGroup: logs,
      environment,
    });
    return gateway.endpoint.domainName;
  }

  #createRole(settings: Settings, endpoints: readonly EndpointPlan[], logs: LogGroup): Role {
    const description = 'Penstock gateway: its endpoints, its table, its secrets, its log';
    const role = createPipelineRole(this, { description, tableName: tableName(settings), logs });
    allowEndpoints(role, endpointArns(this, endpoints, settings));
    allow(
      role,
      ['secretsmanager:GetSecretValue'],
      [originSecretName(settings), firstApiKeyName(settings)].map((name) => `${this.#secretArn(name)}-??????`),
    );
    allowSwitches(role, this, settings);
    allow(role, ['sqs:SendMessage'], [this.formatArn({ service: 'sqs', resource: jobsName(settings) })]);
    return role;
  }

  /** @returns its name. What operators write into it stays: CloudFormation writes its own text only when it makes it. */
  #createSwitches(settings: Settings): string {
    const parameterName = switchesName(settings);
    new StringParameter(this, 'Switches', {
      parameterName,
      stringValue: '{}',
      description: 'What Penstock changes without a deployment: docs/operations.md#switch-without-a-deployment',
    });
    return parameterName;
  }

  /** @returns its ARN. What it signs lives for hours, so it may go with the stack; another region's key is as good. */
  #createSigningKey(role: Role): string {
    const key = new Key(this, 'SigningKey', {
      description: 'Signs the client secrets of Penstock',
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    allow(role, ['kms:GetPublicKey', 'kms:Sign'], [key.keyArn]);
    return key.keyArn;
  }

  /** Without the six characters that Secrets Manager adds: it understands both forms, and a policy needs the long one. */
  #secretArn(name: string): string {
    return Arn.format(
      { service: 'secretsmanager', resource: 'secret', resourceName: name, arnFormat: ArnFormat.COLON_RESOURCE_NAME },
      this,
    );
  }

  /** A tenth of the calls for five minutes; an error of the new version takes it back. */
  #deployByCanary(alias: Alias): void {
    const failing = new Alarm(this, 'NewVersionFails', {
      alarmDescription: 'The gateway fails, so a deployment in progress is taken back. Runbook: docs/operations.md#newversionfails',
      metric: alias.metricErrors({ period: Duration.minutes(1), statistic: Stats.SUM }),
      threshold: 3,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    new LambdaDeploymentGroup(this, 'Deployment', {
      alias,
      deploymentConfig: LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
      alarms: [failing],
    });
  }
}
