import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { ENVIRONMENT } from '../../functions/gateway/environment.ts';
import { QUEUE_GRACE_MS } from '../../functions/gateway/generation/hand-over.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { statementsOf, synthesise } from '../support/synthesise-stacks.ts';

let jobs: Template;
let gateway: Template;

beforeAll(async () => {
  const demo = await synthesise({});
  jobs = demo('jobs-eu-west-1');
  gateway = demo('gateway-eu-west-1');
});

describe('the jobs', () => {
  it('come again only when their function has ended, and three times at most', () => {
    const [worker] = Object.values(jobs.findResources('AWS::Lambda::Function'));
    const [queue] = Object.values(jobs.findResources('AWS::SQS::Queue', { Properties: { QueueName: 'penstock-jobs' } }));
    expect(queue?.['Properties'].VisibilityTimeout).toBeGreaterThan(worker?.['Properties'].Timeout);
    // So long nobody else goes on with what a dead function has begun.
    expect(queue?.['Properties'].VisibilityTimeout * 1000).toBeLessThan(QUEUE_GRACE_MS);
    expect(queue?.['Properties'].RedrivePolicy).toMatchObject({ maxReceiveCount: 3 });
    const [failed] = Object.values(jobs.findResources('AWS::SQS::Queue', { Properties: { QueueName: 'penstock-jobs-failed' } }));
    expect(failed?.['Properties'].MessageRetentionPeriod).toBe(14 * 24 * 3600);
  });

  it('fail one by one', () => {
    jobs.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: Match.anyValue() },
    });
  });

  it('are encrypted at rest and on their way', () => {
    jobs.allResourcesProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true });
    const policies = Object.values(jobs.findResources('AWS::SQS::QueuePolicy'));
    expect(policies).toHaveLength(2);
    for (const { Properties } of policies) {
      expect(Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      );
    }
  });

  it('go where the gateway sends them', () => {
    const [gatewayFunction] = Object.values(gateway.findResources('AWS::Lambda::Function'));
    expect(JSON.stringify(gatewayFunction?.['Properties'].Environment.Variables.PENSTOCK_JOBS_QUEUE)).toContain(
      '/111111111111/penstock-jobs"',
    );
    const send = statementsOf(gateway).filter(({ Action }) => [Action].flat().includes('sqs:SendMessage'));
    expect(JSON.stringify(send)).toContain(':sqs:eu-west-1:111111111111:penstock-jobs"');
    expect(send).toHaveLength(1);
  });

  it('have a role without any managed policy, wildcard action or wildcard resource', () => {
    for (const role of Object.values(jobs.findResources('AWS::IAM::Role'))) expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
    for (const { Action, Resource } of statementsOf(jobs)) {
      for (const action of [Action].flat()) expect(action).not.toContain('*');
      expect([Resource].flat()).not.toContain('*');
    }
  });

  it('are told only names that they read', () => {
    const [worker] = Object.values(jobs.findResources('AWS::Lambda::Function'));
    const names = Object.keys(worker?.['Properties'].Environment.Variables);
    expect(names.length).toBeGreaterThan(0);
    expect(Object.keys(ENVIRONMENT)).toEqual(expect.arrayContaining(names));
  });
});

describe('the jobs of models with an asynchronous endpoint', () => {
  const withAsync = (model: ServedModel) =>
    ({ ...model, deployment: { ...model.deployment, asynchronous: { maxInstances: 1 } } }) as ServedModel; // with one setting more

  it('ask it, look into its bucket alone, and put back into their queue what is not there yet', async () => {
    const stack = await synthesise({}, catalog.map(withAsync));
    const [worker] = Object.values(stack('jobs-eu-west-1').findResources('AWS::Lambda::Function'));
    const { PENSTOCK_OFFLINE_BUCKET: bucket, PENSTOCK_JOBS_QUEUE: queue } = worker?.['Properties'].Environment.Variables ?? {};
    expect(JSON.stringify(bucket)).toContain('Results');
    expect(JSON.stringify(queue)).toContain('{"Ref":"Queue');
    const statements = statementsOf(stack('jobs-eu-west-1'));
    const resourcesOf = (action: string) =>
      JSON.stringify(statements.filter(({ Action }) => [Action].flat().includes(action)).map(({ Resource }) => Resource));
    for (const model of catalog)
      expect(resourcesOf('sagemaker:InvokeEndpointAsync')).toContain(`endpoint/${model.endpoint.inferenceComponent}-async`);
    for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:ListBucket'])
      expect(resourcesOf(action)).toContain('Results');
    expect(resourcesOf('sqs:SendMessage')).toContain('Queue');
    // The endpoint finds what it is asked there.
    const reads = statementsOf(stack('inference-eu-west-1')).filter(({ Action }) => [Action].flat().includes('s3:GetObject'));
    expect(JSON.stringify(reads)).toContain('/requests/*');
  });

  it('may do none of it without one', () => {
    const [worker] = Object.values(jobs.findResources('AWS::Lambda::Function'));
    expect(worker?.['Properties'].Environment.Variables).not.toHaveProperty('PENSTOCK_OFFLINE_BUCKET');
    expect(JSON.stringify(statementsOf(jobs))).not.toMatch(/"s3:|Async|SendMessage/);
  });
});
