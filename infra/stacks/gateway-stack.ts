import { CfnOutput, Duration, IgnoreMode, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  HttpVersion,
  OriginRequestPolicy,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { FunctionUrlOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  Architecture,
  Code,
  Function as EventFunction,
  FunctionUrlAuthType,
  InvokeMode,
  LayerVersion,
  LoggingFormat,
  Runtime,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { Settings } from '../config.ts';
import type { EndpointPlan } from '../plan-endpoints.ts';
import { projectPath } from '../project-path.ts';

export interface GatewayStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
}

/** An answer takes SageMaker eight minutes at most; the rest is for waiting before and telling afterwards. */
const TIMEOUT = Duration.minutes(9);

/** What callers reach: the function that answers, and the CDN in front of it. */
export class GatewayStack extends Stack {
  constructor(scope: Construct, id: string, props: GatewayStackProps) {
    super(scope, id, { ...props, description: 'Penstock: the OpenAI-compatible gateway' });
    const originSecret = this.#createSecret('OriginSecret', 'What the CDN adds to each request, so that the function admits no other way');
    const apiKey = this.#createSecret('ApiKey', 'The first API key. Read it with: aws secretsmanager get-secret-value');
    const logs = new LogGroup(this, 'Logs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
    const role = new Role(this, 'Role', {
      description: 'Penstock gateway: invoke its endpoints, read its secrets, write its log',
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    });
    role.addToPolicy(
      new PolicyStatement({ actions: ['sagemaker:InvokeEndpointWithResponseStream'], resources: this.#endpointArns(props.endpoints) }),
    );
    role.addToPolicy(
      new PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources: [originSecret.secretArn, apiKey.secretArn] }),
    );
    role.addToPolicy(new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [`${logs.logGroupArn}:*`] }));

    const gateway = new EventFunction(this, 'Gateway', {
      description: 'Penstock gateway',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: 1769, // one whole CPU
      timeout: TIMEOUT,
      handler: 'index.handler',
      code: Code.fromAsset(projectPath('dist/functions/event-function')),
      layers: [
        new LayerVersion(this, 'Tokenizers', {
          description: 'Compiled vocabularies and chat templates',
          code: Code.fromAsset(projectPath('models'), { exclude: ['*', '!tokenizers', '!tokenizers/**'], ignoreMode: IgnoreMode.GIT }),
          compatibleArchitectures: [Architecture.ARM_64],
        }),
      ],
      role,
      logGroup: logs,
      loggingFormat: LoggingFormat.JSON,
      environment: {
        PENSTOCK_TOKENIZERS: '/opt/tokenizers',
        PENSTOCK_ORIGIN_SECRET_ARN: originSecret.secretArn,
        PENSTOCK_API_KEY_ARN: apiKey.secretArn,
      },
    });
    // OpenAI's SDKs cannot sign requests, so the address is public and the function checks the CDN's secret and the caller's key.
    const address = gateway.addFunctionUrl({ authType: FunctionUrlAuthType.NONE, invokeMode: InvokeMode.RESPONSE_STREAM });
    const distribution = new Distribution(this, 'Cdn', {
      comment: `Penstock gateway of ${this.region}`,
      httpVersion: HttpVersion.HTTP2_AND_3,
      defaultBehavior: {
        origin: new FunctionUrlOrigin(address, {
          customHeaders: { 'x-penstock-origin': originSecret.secretValue.unsafeUnwrap() }, // a dynamic reference, not the value
          readTimeout: Duration.seconds(60),
          keepaliveTimeout: Duration.seconds(60),
        }),
        allowedMethods: AllowedMethods.ALLOW_ALL,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        compress: false, // a compressed stream arrives in blocks
      },
    });
    new CfnOutput(this, 'BaseUrl', {
      value: `https://${distribution.distributionDomainName}/v1`,
      description: 'baseURL of an OpenAI client',
    });
    new CfnOutput(this, 'ApiKeySecret', { value: apiKey.secretName, description: 'Holds the first API key' });
  }

  #createSecret(id: string, description: string): Secret {
    return new Secret(this, id, { description, generateSecretString: { passwordLength: 48, excludePunctuation: true } });
  }

  /** Exactly the endpoints and components that the catalog routes to. */
  #endpointArns(endpoints: readonly EndpointPlan[]): string[] {
    const arn = (resource: string, resourceName: string) => this.formatArn({ service: 'sagemaker', resource, resourceName });
    return endpoints.flatMap(({ name, components }) => [
      arn('endpoint', name),
      ...components.map((component) => arn('inference-component', component.name)),
    ]);
  }
}
