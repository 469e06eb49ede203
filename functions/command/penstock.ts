/** `npm run penstock -- keys|limits|endpoints|safety-policy|usage|privacy|doctor ...`: runs a gateway's admin API from a terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { type CommandConfig, loadCommandConfig } from './config.ts';
import { COMMAND_HELP, HELP } from './help.ts';
import { runSafetyPolicy } from './safety-policy.ts';
import { showEndpoints, showKeys, showUsage } from './show.ts';

const text = { type: 'string' } as const;
const OPTIONS = {
  ...{
    name: text,
    project: text,
    organization: text,
    scopes: text,
    models: text,
    priority: text,
    grace: text,
    from: text,
    to: text,
    by: text,
    user: text,
    file: text,
  },
  'expires-in': text,
  limit: { type: 'string', multiple: true },
  csv: { type: 'boolean' },
  json: { type: 'boolean' },
  'seed-leak': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** What `GET /v1/usage` sums by. */
const USAGE_GROUPS = ['day', 'model', 'api_key', 'project'];

type Values = ReturnType<typeof parse>['values'];

try {
  if (process.argv[2] === 'doctor') await examineAccount(process.argv.slice(3));
  else {
    const { values, positionals } = parse(process.argv.slice(2));
    const [command = ''] = positionals;
    const help = values.help === true || positionals.length === 0 ? (COMMAND_HELP[command] ?? HELP) : undefined;
    process.stdout.write(help ?? (await run(positionals, values)));
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split('. ');
    throw new Error(`${sentence.replace(/\.$/, '')}.\n\`npm run penstock -- --help\` lists the commands.`);
  }
}

async function run([command, action, ...rest]: readonly string[], values: Values): Promise<string> {
  if (command === 'privacy' && action === 'prove') return provePrivacy(values['seed-leak'] === true);
  if (command !== 'usage' && command !== 'endpoints' && action === undefined && command !== undefined && command in COMMAND_HELP) {
    throw new Error(`\`${command}\` needs to know what to do.\n\n${COMMAND_HELP[command] ?? ''}`);
  }
  const call = createCaller(loadCommandConfig());
  if (command === 'safety-policy') return show(await runSafetyPolicy(call, action ?? '', rest, values.file));
  const [first = '', second = ''] = rest.map(encodeURIComponent);
  switch (`${command} ${action ?? ''}`.trim()) {
    case 'keys list':
      return values.json === true ? show(await call('GET', '/admin/api_keys')) : showKeys(await call('GET', '/admin/api_keys'));
    case 'keys create':
      return show(
        await call('POST', '/admin/api_keys', {
          ...readKey(values),
          ...(values.project === undefined ? {} : { project_id: values.project }),
          ...(values.organization === undefined ? {} : { organization_id: values.organization }),
          ...(values['expires-in'] === undefined ? {} : { expires_in_seconds: readSeconds('expires-in', values['expires-in']) }),
        }),
      );
    case 'keys update':
      return show(await call('POST', `/admin/api_keys/${need(first, 'the id of a key')}`, readChanges(values)));
    case 'keys rotate':
      return show(
        await call(
          'POST',
          `/admin/api_keys/${need(first, 'the id of a key')}/rotate`,
          values.grace === undefined ? {} : { grace_seconds: readSeconds('grace', values.grace) },
        ),
      );
    case 'keys revoke':
      return show(await call('DELETE', `/admin/api_keys/${need(first, 'the id of a key')}`));
    case 'limits get':
      return show(await call('GET', limitsPath(first, second)));
    case 'limits set':
      return show(await call('PUT', limitsPath(first, second), readLimits(values) ?? {}));
    case 'endpoints':
      return values.json === true ? show(await call('GET', '/admin/endpoints')) : showEndpoints(await call('GET', '/admin/endpoints'));
    case 'usage':
      return usage(call, values);
    case 'privacy delete':
      return show(
        await call('POST', '/admin/users/forget', {
          user: need(values.user ?? '', 'the user: --user ID'),
          ...(values.organization === undefined ? {} : { organization_id: values.organization }),
        }),
      );
    default:
      throw new Error(
        `There is no command \`${[command, action].join(' ').trim()}\`.\n` +
          `\`npm run penstock -- ${command !== undefined && command in COMMAND_HELP ? `${command} ` : ''}--help\` lists those that there are.`,
      );
  }
}

type Call = (method: string, path: string, body?: object) => Promise<string>;

function createCaller({ url, key }: CommandConfig): Call {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      throw new Error(`No gateway answers at ${url}: start one with npm start, or set PENSTOCK_URL.`, { cause: error });
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(messageIn(answer) ?? `${url}${path} answered ${response.status}.`);
    return answer;
  };
}

function messageIn(answer: string): string | undefined {
  try {
    const { error } = JSON.parse(answer) as { error?: { message?: string } };
    return error?.message;
  } catch {
    return undefined;
  }
}

function readKey(values: Values): object {
  const limits = readLimits(values);
  return {
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(values.scopes === undefined ? {} : { scopes: values.scopes.split(',') }),
    ...(values.models === undefined ? {} : { models: values.models === 'all' ? null : values.models.split(',') }),
    ...(values.priority === undefined ? {} : { priority: values.priority }),
    ...(limits === undefined ? {} : { limits }),
  };
}

function readChanges(values: Values): object {
  const changes = readKey(values);
  if (Object.keys(changes).length === 0) throw new Error('Say what to change: --name, --scopes, --models, --priority or --limit.');
  return changes;
}

function readSeconds(option: string, value: string): number {
  if (!/^\d+$/.test(value)) throw new Error(`--${option} takes a whole number of seconds, not ${value}.`);
  return Number(value);
}

function readLimits(values: Values): Record<string, number> | undefined {
  if (values.limit === undefined) return undefined;
  return Object.fromEntries(
    values.limit
      .filter((pair) => pair !== 'none')
      .map((pair) => {
        const [name = '', number = ''] = pair.split('=');
        if (!/^\d+(\.\d+)?$/.test(number)) throw new Error(`--limit takes NAME=NUMBER, not ${pair}.`);
        return [name, Number(number)];
      }),
  );
}

function limitsPath(owner: string, id: string): string {
  if (owner !== 'project' && owner !== 'organization') throw new Error('Name whose limits: project ID or organization ID.');
  return `/admin/${owner}s/${need(id, `the id of the ${owner}`)}/limits`;
}

async function usage(call: Call, values: Values): Promise<string> {
  const query = new URLSearchParams();
  const time = (name: 'from' | 'to', value: string | undefined) => {
    if (value === undefined) return;
    const at = Date.parse(value);
    if (Number.isNaN(at)) throw new Error(`--${name} takes a date such as 2026-11-24 or 2026-11-24T10:00Z, not ${value}.`);
    query.set(name === 'from' ? 'start_time' : 'end_time', String(Math.floor(at / 1000)));
  };
  time('from', values.from);
  time('to', values.to);
  const unknown = values.by?.split(',').find((group) => !USAGE_GROUPS.includes(group));
  if (unknown !== undefined) throw new Error(`--by takes any of ${USAGE_GROUPS.join(',')}, not ${unknown}.`);
  if (values.by !== undefined) query.set('group_by', values.by);
  if (values.organization !== undefined) query.set('organization_id', values.organization);
  if (values.csv === true) query.set('format', 'csv');
  const answer = await call('GET', `/usage?${query}`);
  if (values.csv === true) return answer;
  return values.json === true ? show(answer) : showUsage(answer);
}

async function provePrivacy(seedsLeak: boolean): Promise<string> {
  const file = new URL('../../test/faults/prove-privacy.ts', import.meta.url).pathname;
  const proof = spawn(process.execPath, [file, ...(seedsLeak ? ['--seed-leak'] : [])], { stdio: 'inherit' });
  const [code] = await once(proof, 'exit');
  if (code !== 0) throw new Error('Something was left behind.');
  return '';
}

/** `infra` is a program of its own: no function imports it. */
async function examineAccount(options: readonly string[]): Promise<void> {
  const doctor = spawn(process.execPath, [new URL('../../infra/doctor.ts', import.meta.url).pathname, ...options], { stdio: 'inherit' });
  const [code] = await once(doctor, 'exit');
  process.exitCode = code ?? 1;
}

function need(value: string, what: string): string {
  if (value === '') throw new Error(`Name ${what}.`);
  return value;
}

/** JSON as it came, set for reading. */
function show(answer: string): string {
  return `${JSON.stringify(JSON.parse(answer), null, 2)}\n`;
}
