import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { CANARY_ENVIRONMENT, loadCanaryConfig } from '../../functions/canary/config.ts';
import { encodeMetrics } from '../../functions/canary/encode-metrics.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { DOMAIN, REGIONS, type Stacks, statementsOf, synthesise, synthesiseProduction } from '../support/synthesise-stacks.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty

let production: Stacks;
let demo: Stacks;

beforeAll(async () => {
  production = await synthesiseProduction();
  demo = await synthesise({ canaryMinutes: 10 });
});

const environmentOf = (template: Template): Record<string, unknown> =>
  Object.values(template.findResources('AWS::Lambda::Function'))[0]?.['Properties'].Environment.Variables;

describe('the canary', () => {
  it('is there in production, and elsewhere when the settings say so', async () => {
    for (const region of REGIONS) expect(() => production(`canary-${region}`)).not.toThrow();
    expect(() => demo('canary-eu-west-1')).not.toThrow();
    const none = await synthesise({ profile: 'production', unpinnedImages: true, canaryMinutes: 0 });
    for (const stacks of [none, await synthesise({})]) expect(() => stacks('canary-eu-west-1')).toThrow();
    expect(JSON.stringify(none('operations-eu-west-1').toJSON())).not.toContain('Canary');
  });

  it('comes by a schedule, and once: a second try would hide what the first one found', () => {
    for (const [stacks, rate] of [
      [production, 'rate(5 minutes)'],
      [demo, 'rate(10 minutes)'],
    ] as const) {
      stacks('canary-eu-west-1').hasResourceProperties('AWS::Events::Rule', {
        ScheduleExpression: rate,
        State: 'ENABLED',
        Targets: [Match.objectLike({ RetryPolicy: Match.objectLike({ MaximumRetryAttempts: 0 }) })],
      });
      stacks('canary-eu-west-1').hasResourceProperties('AWS::Lambda::EventInvokeConfig', { MaximumRetryAttempts: 0 });
      stacks('canary-eu-west-1').hasResourceProperties('AWS::Lambda::Function', { Architectures: ['arm64'], Runtime: 'nodejs24.x' });
    }
  });

  it('calls the public address: your domain, or what the edge stack tells', () => {
    expect(environmentOf(production('canary-us-west-2'))['CANARY_BASE_URL']).toBe(`https://${DOMAIN.name}/v1`);
    const { CANARY_BASE_URL: output } = environmentOf(demo('canary-eu-west-1'));
    expect(output).toEqual({ 'Fn::GetStackOutput': { StackName: 'penstock-edge', Region: 'us-east-1', OutputName: 'BaseUrl' } });
    const { BaseUrl } = demo('edge').toJSON()['Outputs'];
    expect(JSON.stringify(BaseUrl.Value)).toMatch(/https:\/\/.*DomainName.*\/v1/);
  });

  it('is told what it reads, and nothing else', () => {
    const environment = environmentOf(production('canary-eu-west-1'));
    expect(Object.keys(environment).sort()).toEqual(Object.keys(CANARY_ENVIRONMENT).sort());
    const config = loadCanaryConfig({ ...environment, CANARY_API_KEY_ARN: 'arn' } as Record<string, string>); // the ARN is a reference
    expect(config.models).toEqual([model.id]);
    const [lambda] = Object.values(production('canary-eu-west-1').findResources('AWS::Lambda::Function'));
    expect(lambda?.['Properties'].Timeout * 1000).toBeGreaterThan(config.deadlineMs);
  });

  it('has a role that reads its own key and nothing else', () => {
    const statements = statementsOf(production('canary-eu-west-1'));
    const [secret] = Object.keys(production('canary-eu-west-1').findResources('AWS::SecretsManager::Secret'));
    expect(statements.flatMap(({ Action }) => [Action].flat())).toEqual([
      'secretsmanager:GetSecretValue',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ]);
    expect(statements[0]?.Resource).toEqual({ Ref: secret });
  });

  it('raises an alarm by the metric that it publishes, also when it says nothing', () => {
    const failed = JSON.parse(
      encodeMetrics({
        namespace: 'Penstock/penstock',
        model: model.id,
        timestamp: 0,
        measurement: { timeToFirstTokenMs: 1, tokensPerSecond: 1, completionTokens: 2, requestId: undefined },
      }),
    );
    const [{ Namespace, Dimensions, Metrics }] = failed._aws.CloudWatchMetrics;
    production('canary-us-west-2').hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace,
      MetricName: 'CanarySuccess',
      Dimensions: Dimensions[0].map((Name: string) => ({ Name, Value: failed[Name] })),
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      TreatMissingData: 'breaching',
      AlarmActions: [Match.anyValue()],
    });
    // And all of them are on the dashboard.
    const board = JSON.stringify(production('operations-us-west-2').findResources('AWS::CloudWatch::Dashboard')).replaceAll('\\', '');
    for (const { Name } of Metrics) expect(board).toContain(`"${Namespace}","${Name}","Model","${model.id}"`);
  });

  it('asks adapters too', async () => {
    const { deployment: _, ...rest } = model;
    const adapter: ServedModel = {
      ...rest,
      id: 'tuned',
      endpoint: { ...model.endpoint, inferenceComponent: 'tuned' },
      adapter: { base: model.id, artifact: 'adapters/tuned.tar.gz', rank: 8 },
    };
    const stack = (await synthesise({ canaryMinutes: 5 }, [model, adapter]))('canary-eu-west-1');
    expect(environmentOf(stack)['CANARY_MODELS']).toBe(JSON.stringify([model.id, 'tuned']));
    stack.resourceCountIs('AWS::CloudWatch::Alarm', 2);
  });
});
