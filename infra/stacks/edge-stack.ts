import { CfnOutput, type CfnResource, Duration, SecretValue, Stack, type StackProps } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  Function as EdgeFunction,
  type FunctionAssociation,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  HttpVersion,
  KeyValueStore,
  OriginRequestPolicy,
  SecurityPolicyProtocol,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Alarm, ComparisonOperator, Metric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { CfnHealthCheck } from 'aws-cdk-lib/aws-route53';
import type { Construct } from 'constructs';
import { profileOf, type Settings } from '../config.ts';
import { createAlarmTopic } from '../constructs/alarm-topic.ts';
import { createFirewall } from '../constructs/firewall.ts';
import { stackOutput } from '../constructs/stack-output.ts';
import { chooseRegionCode } from '../edge/choose-region.ts';
import { tellHostCode } from '../edge/tell-host.ts';
import { BASE_URL_OUTPUT, firstApiKeyName, GATEWAY_DOMAIN_OUTPUT, gatewayStackName, originSecretName } from '../names.ts';

export interface EdgeStackProps extends StackProps {
  readonly settings: Settings;
}

/** The one public name: CloudFront, its firewall, and the choice of the region that answers. */
export class EdgeStack extends Stack {
  constructor(scope: Construct, id: string, { settings, ...props }: EdgeStackProps) {
    super(scope, id, { ...props, description: 'Penstock: the public name of all regions' });
    const { firewall, probe } = profileOf(settings);
    const domains = Object.fromEntries(settings.regions.map((region) => [region, gatewayDomain(settings, region)]));
    const [first = ''] = Object.values(domains);
    const secret = SecretValue.secretsManager(originSecretName(settings)).unsafeUnwrap(); // a dynamic reference, not the value
    const { domain } = settings;
    const distribution = new Distribution(this, 'Cdn', {
      comment: `Penstock ${settings.name}`,
      httpVersion: HttpVersion.HTTP2_AND_3,
      ...(firewall ? { webAclId: createFirewall(this, 'Firewall').attrArn } : {}),
      ...(domain === undefined
        ? {}
        : {
            domainNames: [domain.name],
            certificate: Certificate.fromCertificateArn(this, 'Certificate', domain.certificateArn),
            minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
          }),
      defaultBehavior: {
        origin: new HttpOrigin(first, {
          customHeaders: { 'x-penstock-origin': secret },
          readTimeout: Duration.seconds(60),
          keepaliveTimeout: Duration.seconds(60),
        }),
        allowedMethods: AllowedMethods.ALLOW_ALL,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        compress: false, // a compressed stream arrives in blocks
        functionAssociations: [settings.regions.length > 1 ? this.#chooseRegion(domains) : this.#tellHost()],
      },
    });
    const host = domain?.name ?? distribution.distributionDomainName;
    if (probe) this.#probe(host, settings);
    new CfnOutput(this, BASE_URL_OUTPUT, { value: `https://${host}/v1`, description: 'baseURL of an OpenAI client' });
    new CfnOutput(this, 'CdnName', { value: distribution.distributionDomainName, description: 'Target of the public name in your DNS' });
    new CfnOutput(this, 'FirstApiKey', {
      value: firstApiKeyName(settings),
      description: `The secret in ${settings.regions[0]} that holds it`,
    });
  }

  #tellHost(): FunctionAssociation {
    const teller = new EdgeFunction(this, 'TellHost', {
      code: FunctionCode.fromInline(tellHostCode),
      runtime: FunctionRuntime.JS_2_0,
      comment: 'Tells the gateway which host was called',
    });
    return { function: teller, eventType: FunctionEventType.VIEWER_REQUEST };
  }

  #chooseRegion(domains: Readonly<Record<string, string>>): FunctionAssociation {
    const keyValueStore = new KeyValueStore(this, 'Regions', {
      comment: 'Key "drained": regions that get no requests, separated by commas',
    });
    const chooser = new EdgeFunction(this, 'ChooseRegion', {
      code: FunctionCode.fromInline(chooseRegionCode(domains)),
      runtime: FunctionRuntime.JS_2_0,
      keyValueStore,
      comment: 'Sends a request to the nearest region that is not drained',
    });
    // cfn-lint 1.58 does not know yet that Fn::GetStackOutput gives text
    (chooser.node.defaultChild as CfnResource).addMetadata('cfn-lint', { config: { ignore_checks: ['E1022'] } });
    new CfnOutput(this, 'RegionsStore', { value: keyValueStore.keyValueStoreArn, description: 'Put "drained" here to take a region out' });
    return { function: chooser, eventType: FunctionEventType.VIEWER_REQUEST };
  }

  /** Route 53 calls the public name from several continents; its metric is in us-east-1. */
  #probe(host: string, settings: Settings): void {
    const check = new CfnHealthCheck(this, 'Probe', {
      healthCheckConfig: {
        type: 'HTTPS',
        fullyQualifiedDomainName: host,
        resourcePath: '/healthz',
        port: 443,
        enableSni: true,
        requestInterval: 30,
        failureThreshold: 3,
      },
    });
    new Alarm(this, 'PublicNameDown', {
      alarmDescription: 'The public name does not answer. Runbook: docs/operations.md#publicnamedown',
      metric: new Metric({
        namespace: 'AWS/Route53',
        metricName: 'HealthCheckStatus',
        dimensionsMap: { HealthCheckId: check.attrHealthCheckId },
        statistic: Stats.MINIMUM,
        period: Duration.minutes(1),
      }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 3,
      treatMissingData: TreatMissingData.BREACHING,
    }).addAlarmAction(new SnsAction(createAlarmTopic(this, settings)));
  }
}

function gatewayDomain(settings: Settings, region: string): string {
  return stackOutput(gatewayStackName(settings, region), region, GATEWAY_DOMAIN_OUTPUT);
}
