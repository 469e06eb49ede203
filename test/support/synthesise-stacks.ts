import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { buildApp } from '../../infra/build-app.ts';
import { loadSettings, type Settings } from '../../infra/config.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';

/** The regions of the production profile, as tests synthesise it. */
export const REGIONS = ['eu-west-1', 'us-west-2'];
export const DOMAIN = { name: 'api.example.com', certificateArn: 'arn:aws:acm:us-east-1:111111111111:certificate/0' };

/** Stands for the image that `doctor --pin-images` would find. */
export const DIGEST = `sha256:${'a'.repeat(64)}`;

/** By its name without the installation's: `gateway-eu-west-1`. */
export type Stacks = (stack: string) => Template;

/**
 * Synthesises in this process, cdk-nag and CDK's own validation included: any finding throws. The functions are placeholders; what is in them is
 * for other tests.
 */
export async function synthesise(
  changes: Partial<Settings>,
  models: readonly ServedModel[] = catalog,
  alter: (app: App) => void = () => {},
): Promise<Stacks> {
  const { default: file } = await import(projectPath('cdk.json'), { with: { type: 'json' } });
  const app = new App({ context: { ...file.context, penstock: { ...file.context.penstock, ...changes } } });
  const settings = loadSettings((key) => app.node.tryGetContext(key));
  buildApp(app, settings, models, placeholders());
  alter(app);
  app.synth();
  return (stack) => Template.fromStack(app.node.findChild(`penstock-${stack}`) as Stack); // stacks are the only children by these names
}

/** Everything that production has. */
export function synthesiseProduction(): Promise<Stacks> {
  const contact = { alarmEmail: 'ops@example.com', monthlyBudget: 5000 };
  return synthesise({ profile: 'production', regions: REGIONS, domain: DOMAIN, containerDigests: { vllm: DIGEST }, ...contact });
}

let made: string | undefined;

function placeholders(): string {
  if (made !== undefined) return made;
  const folder = mkdtempSync(join(tmpdir(), 'penstock-functions-'));
  for (const name of ['event-function', 'web-function', 'jobs-function', 'canary-function', 'encodings-layer']) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'index.mjs'), 'export {};\n');
  }
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  made = folder;
  return folder;
}

export interface PolicyStatement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

export function statementsOf(template: Template): PolicyStatement[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  return policies.flatMap((policy) => policy['Properties'].PolicyDocument.Statement as PolicyStatement[]); // CloudFormation's own form
}
