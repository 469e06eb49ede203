import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { projectPath } from '../../infra/project-path.ts';
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

  it('has a runbook for every alarm that calls somebody or takes a deployment back', async () => {
    const page = await readFile(projectPath('docs/operations.md'), 'utf8');
    const anchors = new Set(
      [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const stacks = [production('operations-eu-west-1'), production('gateway-eu-west-1'), production('edge'), demo('inference-eu-west-1')];
    const texts = stacks.flatMap((stack) =>
      ['Alarm', 'CompositeAlarm'].flatMap((kind) =>
        Object.values(stack.findResources(`AWS::CloudWatch::${kind}`)).map((alarm) => String(alarm['Properties'].AlarmDescription ?? '')),
      ),
    );
    const runbooks = texts.flatMap((text) => /docs\/operations\.md#(\S+)/.exec(text)?.[1] ?? []);
    expect(runbooks.length).toBeGreaterThan(6);
    for (const runbook of runbooks) expect([...anchors]).toContain(runbook);
  });
});
