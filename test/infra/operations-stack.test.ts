import { readFile } from 'node:fs/promises';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { projectPath } from '../../infra/project-path.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { type Stacks, synthesise, synthesiseProduction } from '../support/synthesise-stacks.ts';

let demo: Stacks;
let production: Stacks;

beforeAll(async () => {
  demo = await synthesise({});
  production = await synthesiseProduction();
});

describe('operations', () => {
  it('tells somebody when errors use up the budget too fast, in two windows each', () => {
    const composites = production('operations-eu-west-1').findResources('AWS::CloudWatch::CompositeAlarm');
    expect(Object.values(composites)).toHaveLength(2);
    for (const alarm of Object.values(composites)) expect(alarm['Properties'].AlarmActions).toHaveLength(1);
    production('operations-eu-west-1').hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
  });

  it('watches the spending once', () => {
    production('operations-eu-west-1').resourceCountIs('AWS::Budgets::Budget', 1);
    production('operations-us-west-2').resourceCountIs('AWS::Budgets::Budget', 0);
    demo('operations-eu-west-1').resourceCountIs('AWS::Budgets::Budget', 0);
  });

  it('tells somebody when background responses fail or wait', () => {
    for (const [MetricName, queue] of [
      ['ApproximateNumberOfMessagesVisible', 'penstock-jobs-failed'],
      ['ApproximateAgeOfOldestMessage', 'penstock-jobs'],
    ]) {
      production('operations-us-west-2').hasResourceProperties('AWS::CloudWatch::Alarm', {
        MetricName,
        Dimensions: [{ Name: 'QueueName', Value: queue }],
        AlarmActions: [Match.anyValue()],
      });
    }
  });

  it('tells somebody when the public name is down, in the region of its metric', () => {
    production('edge').hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: 'AWS/Route53',
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^Alarms') }],
    });
    production('edge').hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
  });
});

describe('every alarm', () => {
  const alarmsOf = (template: Template) =>
    ['Alarm', 'CompositeAlarm'].flatMap((kind) => Object.entries(template.findResources(`AWS::CloudWatch::${kind}`)));
  let templates: readonly Template[];
  beforeAll(async () => {
    const [model] = catalog;
    const batches = { ...model, deployment: { ...model?.deployment, asynchronous: { maxInstances: 1 } } } as ServedModel; // ours, with one more
    const all = await synthesise({ alarmEmail: 'ops@example.com' }, [batches]);
    const kinds = ['inference', 'jobs', 'gateway', 'operations'].map((kind) => `${kind}-eu-west-1`);
    templates = [...kinds.map(all), ...[...kinds, 'canary-eu-west-1', 'edge', 'data', 'weights-eu-west-1'].map(production)];
  });

  it('calls somebody, starts something, takes a deployment back, or is part of one that does', () => {
    for (const template of templates) {
      const text = JSON.stringify(template.toJSON()['Resources']);
      for (const [id, { Properties }] of alarmsOf(template)) {
        const uses = text.split(`"Ref":"${id}"`).length - 1 + text.split(`"Fn::GetAtt":["${id}","Arn"]`).length - 1;
        expect((Properties.AlarmActions?.length ?? 0) + uses, id).toBeGreaterThan(0);
      }
    }
  });

  it('has a runbook, and every runbook an alarm', async () => {
    const page = await readFile(projectPath('docs/operations.md'), 'utf8');
    const [, runbooks = ''] = page.split(/^## Runbooks$/m);
    const headings = [...runbooks.matchAll(/^### (.*)$/gm)].map(([, title = '']) => title.toLowerCase());
    const texts = templates.flatMap((template) => alarmsOf(template).map(([, { Properties }]) => Properties));
    const named = texts.flatMap(({ AlarmDescription, AlarmActions }) => {
      const [, anchor] = /docs\/operations\.md#(\S+)/.exec(String(AlarmDescription ?? '')) ?? [];
      if (anchor === undefined) expect(AlarmActions).toBeUndefined(); // a part of another alarm, which has one
      return anchor ?? [];
    });
    expect([...new Set(named)].sort()).toEqual(headings.toSorted());
  });
});
