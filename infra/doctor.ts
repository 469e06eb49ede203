/** `npm run penstock -- doctor`: what would be deployed, what it costs when nobody calls, and whether the account is ready for it. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { catalog } from '../models/catalog.ts';
import { createAccountView } from './aws-account.ts';
import { checkAccount } from './check-account.ts';
import { loadSettings, profileOf } from './config.ts';
import { instanceTypesOf } from './endpoint-plan.ts';
import { estimateIdleCost, PRICES_OF } from './estimate-cost.ts';
import { planEndpoints } from './plan-endpoints.ts';
import { projectPath } from './project-path.ts';

try {
  process.exitCode = await examine();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function examine(): Promise<number> {
  const { values } = parseArgs({ options: { context: { type: 'string', short: 'c', multiple: true, default: [] } } });
  const flags: Record<string, unknown> = Object.fromEntries(values.context.map((flag) => flag.split(/=(.*)/s, 2)));
  const { context } = JSON.parse(readFileSync(projectPath('cdk.json'), 'utf8'));
  const settings = loadSettings((key) => flags[key] ?? context[key]);
  const endpoints = planEndpoints(catalog, { ...settings, leastCopies: profileOf(settings).leastCopies });
  const aws = createAccountView();

  print(`Would deploy ${settings.name} (${settings.profile}) to account ${settings.account}, ${settings.regions.join(' and ')}:`);
  for (const plan of endpoints) {
    const { name, components } = plan;
    const models = components.map(({ model, deployment: { copies } }) => `${model.id} (${copies.min} to ${copies.max} copies)`);
    print(`  ${name} on ${instanceTypesOf(plan).join(', else ')}: ${models.join(', ')}`);
  }
  print(`\nUS dollars a month when nobody calls (fixed prices: us-east-1, ${PRICES_OF}):`);
  const lines = await estimateIdleCost(settings, endpoints, (region, type) => aws.hourlyPrice(region, type).catch(() => undefined));
  for (const { what, dollars, source } of lines)
    print(`  ${(dollars === undefined ? 'unknown' : dollars.toFixed(2)).padStart(10)}  ${what}  (${source})`);
  const known = lines.reduce((sum, { dollars = 0 }) => sum + dollars, 0);
  print(
    `  ${known.toFixed(2).padStart(10)}  together${lines.some(({ dollars }) => dollars === undefined) ? ', without what is unknown' : ''}`,
  );

  print('\nThe account:');
  const findings = await checkAccount(aws, settings, endpoints);
  for (const { good, text } of findings) print(`  ${good ? 'ok ' : 'NO '} ${text}`);
  return findings.every(({ good }) => good) ? 0 : 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
