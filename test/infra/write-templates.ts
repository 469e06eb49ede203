/**
 * Writes the templates of every variant into a folder, for linters: each profile in one and two regions, as event function, as web function and as a private network, with
 * our catalog and with one that asks for everything. `.ci/cfn-lint` lints them. Argument: the folder.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type { Settings } from '../../infra/config.ts';
import { PROFILES } from '../../infra/profiles.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { fullCatalog } from '../support/full-catalog.ts';
import { DIGEST, DOMAIN, REGIONS, synthesise } from '../support/synthesise-stacks.ts';

const EVERYTHING: Partial<Settings> = {
  domain: DOMAIN,
  alarmEmail: 'ops@example.com',
  monthlyBudget: 5000,
  canaryMinutes: 5,
  containerDigests: { vllm: DIGEST, lmi: DIGEST },
};

const VARIANTS: readonly (readonly [name: string, changes: Partial<Settings>, models: readonly ServedModel[]])[] = [
  ['plain', { unpinnedImages: true }, catalog],
  ['web', { gateway: 'web', unpinnedImages: true, regions: REGIONS }, catalog],
  ['private', { privateNetwork: true, unpinnedImages: true, regions: REGIONS }, catalog],
  ['everything', { ...EVERYTHING, regions: REGIONS }, fullCatalog],
];

const [folder = ''] = process.argv.slice(2);
/** What is the same in two variants is looked at once. */
const seen = new Set<string>();
for (const profile of Object.keys(PROFILES) as (keyof typeof PROFILES)[]) {
  for (const [name, changes, models] of VARIANTS) {
    let made: App | undefined;
    await synthesise({ profile, ...changes }, models, (app) => {
      made = app;
    });
    const stacks = made?.node.children.filter((child) => child instanceof Stack) ?? [];
    for (const stack of stacks) write(`${profile}-${name}`, stack);
  }
}
process.stdout.write(`${seen.size} templates\n`);

function write(variant: string, stack: Stack): void {
  const text = JSON.stringify(Template.fromStack(stack).toJSON(), null, 1);
  const digest = createHash('sha256').update(`${stack.region}\n${text}`).digest('hex');
  if (seen.has(digest)) return;
  seen.add(digest);
  mkdirSync(join(folder, variant), { recursive: true });
  writeFileSync(join(folder, variant, `${stack.stackName}.template.json`), text);
}
