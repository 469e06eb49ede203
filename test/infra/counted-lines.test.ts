import { glob, readFile } from 'node:fs/promises';
import { Match } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { createJsonLog } from '../../functions/drivers/json-log.ts';
import { writeVerdicts } from '../../functions/gateway/safety/verdict-log.ts';
import type { Log } from '../../functions/gateway/services.ts';
import { projectPath } from '../../infra/project-path.ts';
import { type Stacks, synthesise, synthesiseProduction } from '../support/synthesise-stacks.ts';

let production: Stacks;
let web: Stacks;
beforeAll(async () => {
  production = await synthesiseProduction();
  web = await synthesise({ gateway: 'web' });
});

interface MetricFilter {
  readonly FilterPattern: string;
  readonly MetricTransformations: readonly [
    {
      readonly MetricName: string;
      readonly MetricNamespace: string;
      readonly Dimensions: readonly { readonly Key: string; readonly Value: string }[];
    },
  ];
}

const filtersOf = (stacks: Stacks, stack: string): MetricFilter[] =>
  Object.values(stacks(stack).findResources('AWS::Logs::MetricFilter')).map((filter) => filter['Properties'] as MetricFilter);

/** `$.field` of a line. */
const select = (line: Readonly<Record<string, unknown>>, selector: string) => line[selector.replace(/^\$\./, '')];

/**
 * What CloudWatch counts of a line, by the two forms that our filters have: a text is equal, and a dimension is the text of a field.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
 */
function countedBy(filters: readonly MetricFilter[], line: string): string[] {
  const fields = JSON.parse(line);
  return filters.flatMap(({ FilterPattern, MetricTransformations: [{ MetricName, Dimensions }] }) => {
    const [, selector, value] = /^\{ (\$\.\w+) = "([^"]*)" \}$/.exec(FilterPattern) ?? expect.fail(`another form: ${FilterPattern}`);
    if (select(fields, selector ?? '') !== value) return [];
    return [[MetricName, ...Dimensions.map(({ Key, Value }) => `${Key}=${select(fields, Value)}`)].join(' ')];
  });
}

/** The line that the functions' own log writes. */
function lineOf(write: (log: Log) => void): string {
  const lines: string[] = [];
  write(createJsonLog((line) => lines.push(line)));
  expect(lines).toHaveLength(1);
  return lines.join('');
}

const verdicts = { policyDigest: 'd', action: 'block', dryRun: false, input: { email: 1 }, output: { violence: 2 } } as const;

describe.each([
  ['gateway', () => filtersOf(production, 'gateway-eu-west-1')],
  ['gateway as a web function', () => filtersOf(web, 'gateway-eu-west-1')],
  ['jobs', () => filtersOf(production, 'jobs-us-west-2')],
])('the lines of the %s', (_, filters) => {
  it.each<[string, (log: Log) => void, string[]]>([
    ['what a policy finds in a prompt', (log) => writeVerdicts(log, 'input', 'req_1', verdicts), ['SafetyInput Action=block']],
    ['what a policy finds in an answer', (log) => writeVerdicts(log, 'output', 'req_1', verdicts), ['SafetyOutput Action=block']],
    ['an error', (log) => log.write('error', 'stream-failed', { requestId: 'req_1' }), ['Errors Event=stream-failed']],
    ['a warning', (log) => log.write('warn', 'stage-failed', { stage: 'x' }), ['Warnings Event=stage-failed']],
    ['nothing of what is only told', (log) => log.write('info', 'generation-begun', { generationId: 'gen_1' }), []],
  ])('are counted: %s', (_what, write, metrics) => {
    expect(countedBy(filters(), lineOf(write))).toEqual(metrics);
  });

  it('are counted in the namespace of the installation', () => {
    for (const { MetricTransformations } of filters()) expect(MetricTransformations[0].MetricNamespace).toBe('Penstock/penstock');
  });
});

describe('what is counted', () => {
  it('is on the dashboard, told apart by its dimension', () => {
    const board = JSON.stringify(production('operations-eu-west-1').findResources('AWS::CloudWatch::Dashboard')).replaceAll('\\', '');
    for (const { MetricTransformations } of filtersOf(production, 'gateway-eu-west-1')) {
      const [{ MetricName, MetricNamespace, Dimensions }] = MetricTransformations;
      expect(board).toContain(`SEARCH('{"${MetricNamespace}",${Dimensions.map(({ Key }) => Key).join(',')}} MetricName="${MetricName}"'`);
    }
  });

  it('uses up the budget of errors too: a stream that broke was answered with 200', () => {
    for (const name of ['FastBurn', 'SlowBurn']) {
      const alarms = Object.entries(production('operations-eu-west-1').findResources('AWS::CloudWatch::Alarm'));
      const parts = alarms.filter(([id]) => id.startsWith(name));
      expect(parts).toHaveLength(2);
      for (const [, { Properties }] of parts) {
        expect(Properties.Metrics).toEqual(
          expect.arrayContaining([
            expect.objectContaining({ Expression: 'IF(requests > 0, (failures + FILL(broken, 0)) / requests, 0)' }),
            expect.objectContaining({
              Id: 'broken',
              MetricStat: expect.objectContaining({
                Metric: expect.objectContaining({ MetricName: 'Errors', Dimensions: [{ Name: 'Event', Value: 'stream-failed' }] }),
              }),
            }),
          ]),
        );
      }
    }
  });

  it('costs nothing while it does not come: no filter has a value for lines that do not match', () => {
    production('gateway-eu-west-1').allResourcesProperties('AWS::Logs::MetricFilter', {
      MetricTransformations: [Match.objectLike({ DefaultValue: Match.absent() })],
    });
  });

  it('is explained: docs/operations.md has every error and warning that a function may log', async () => {
    const written = new Set<string>();
    for await (const path of glob('functions/**/*.ts', { cwd: projectPath('.') })) {
      const source = await readFile(projectPath(path), 'utf8');
      // `log.write('error', 'event'`, and where both depend on something, those of the warning.
      for (const [, event, either] of source.matchAll(
        /log\.write\(\s*(?:'(?:error|warn)'|[^,()]* \? 'warn'[^,()]*),\s*(?:'([\w-]+)'|[^,()]* \? '([\w-]+)')/g,
      ))
        written.add(event ?? either ?? '');
    }
    expect(written.size).toBeGreaterThan(10);
    const page = await readFile(projectPath('docs/operations.md'), 'utf8');
    const [, section = ''] = /### Errors and warnings in the log\n([\s\S]*?)\n#/.exec(page) ?? [];
    const explained = [...section.matchAll(/^\| `([\w-]+)`/gm)].map(([, event = '']) => event);
    for (const event of written) expect(explained).toContain(event);
  });
});
