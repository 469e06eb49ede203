/**
 * `npm run penstock -- doctor`: what would be deployed, what it costs when nobody calls, and whether the account is ready for it. With
 * `--pin-images` it writes down first which images that is.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { catalog } from '../models/catalog.ts';
import { createAccountView } from './aws-account.ts';
import { checkAccount } from './check-account.ts';
import { loadSettings, profileOf, type Settings } from './config.ts';
import { type EndpointPlan, instanceTypesOf } from './endpoint-plan.ts';
import { estimateIdleCost } from './estimate-cost.ts';
import { loadPinnedImages, pinImages, savePinnedImages } from './pinned-images.ts';
import { planEndpoints } from './plan-endpoints.ts';
import { projectPath } from './project-path.ts';

try {
  const { values } = parseArgs({
    options: { context: { type: 'string', short: 'c', multiple: true, default: [] }, 'pin-images': { type: 'boolean' } },
  });
  const flags: Record<string, unknown> = Object.fromEntries(values.context.map((flag) => flag.split(/=(.*)/s, 2)));
  const { context } = JSON.parse(readFileSync(projectPath('cdk.json'), 'utf8'));
  const find = (key: string) => flags[key] ?? context[key];
  process.exitCode = values['pin-images'] === true ? await pin(loadSettings(find)) : await examine(loadSettings(find, loadPinnedImages()));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function plan(settings: Settings): readonly EndpointPlan[] {
  return planEndpoints(catalog, { ...settings, leastCopies: profileOf(settings).leastCopies });
}

async function pin(settings: Settings): Promise<number> {
  const { imageDigest } = createAccountView();
  const date = new Date().toISOString().slice(0, 10);
  const pins = await pinImages({ endpoints: plan(settings), regions: settings.regions, imageDigest, date });
  savePinnedImages(pins);
  for (const pinned of Object.values(pins)) print(`${pinned?.image} is pinned as ${pinned?.digest}: commit infra/pinned-images.json.`);
  return 0;
}

async function examine(settings: Settings): Promise<number> {
  const aws = createAccountView();
  const endpoints = plan(settings);
  print(`Would deploy ${settings.name} (${settings.profile}) to account ${settings.account}, ${settings.regions.join(' and ')}:`);
  for (const endpoint of endpoints) {
    const { name, components } = endpoint;
    const models = components.map(({ model, deployment: { copies } }) => `${model.id} (${copies.min} to ${copies.max} copies)`);
    print(`  ${name} on ${instanceTypesOf(endpoint).join(', else ')}: ${models.join(', ')}`);
  }
  print('\nUS dollars a month when nobody calls:');
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
