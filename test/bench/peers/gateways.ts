/** Ours and the others, each as a process of its own before the same stand-in of a model, called in the same way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../models/local/free-port.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION } from '../../support/sagemaker-runtime.ts';
import { installLitellm, installPortkey, LITELLM_VERSION, PORTKEY_VERSION } from './install-peers.ts';

export interface Gateway extends AsyncDisposable {
  readonly name: string;
  /** Base URL with `/v1`. */
  readonly url: string;
  readonly model: string;
  /** What every request carries. */
  readonly headers: Readonly<Record<string, string>>;
  /** The same with a key that may use 1,000 tokens; `undefined` where there are no such limits. */
  limited(): Promise<Readonly<Record<string, string>> | undefined>;
}

const MODEL = 'smollm2-135m-instruct';
/** Each may try a call again as often as ours does by default. */
const RETRIES = 3;
const STARTS_WITHIN_MS = 90_000;

/** Everything on: limits on key, project and organisation, every answer kept in a SQLite file. */
export async function startPenstock(upstreamUrl: string): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
  const runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [upstreamUrl] } } } },
  });
  const port = await freePort();
  const { PENSTOCK_API_KEY: _, ...inherited } = process.env;
  const child = start(process.execPath, [new URL('../../../functions/gateway/local.ts', import.meta.url).pathname], {
    ...inherited,
    PORT: String(port),
    PENSTOCK_DATA: folder,
    KEEP_ANSWERS: 'always',
    AWS_REGION: TEST_REGION,
    AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
  });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, `${url}/readyz`);
  const admin = async (method: string, path: string, body: object) => {
    const headers = { authorization: 'Bearer sk-local', 'content-type': 'application/json' };
    const response = await fetch(`${url}/v1/admin/${path}`, { method, headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return (await response.json()) as { key?: string };
  };
  const createKey = async (limits: object) => {
    const { key } = await admin('POST', 'api_keys', { name: 'bench', project_id: 'bench', organization_id: 'bench', limits });
    return { authorization: `Bearer ${key}` };
  };
  for (const owner of ['projects', 'organizations']) await admin('PUT', `${owner}/bench/limits`, { tokens_total: 1e12 });
  return {
    name: 'Penstock',
    url: `${url}/v1`,
    model: MODEL,
    headers: await createKey({ requests_per_minute: 1e9, tokens_per_minute: 1e12, dollars_per_month: 1e5, concurrent_requests: 1e6 }),
    // A day's limit, so that no minute ends in the middle of the run.
    limited: () => createKey({ tokens_per_day: 1_000 }),
    async [Symbol.asyncDispose]() {
      await stop(child);
      await runtime[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As its documentation starts it, with one worker. Limits of keys need its database, or, as here, a custom authentication that names them. */
export async function startLitellm(upstreamUrl: string): Promise<Gateway> {
  const home = await installLitellm();
  const folder = mkdtempSync(join(tmpdir(), 'penstock-litellm-'));
  const master = `sk-${crypto.randomUUID()}`;
  writeFileSync(
    join(folder, 'limits.py'),
    `from litellm.proxy._types import UserAPIKeyAuth

async def authenticate(request, api_key):
    limit = 1000 if api_key.startswith("sk-limited") else None
    return UserAPIKeyAuth(api_key=api_key, tpm_limit=limit)
`,
  );
  const config = {
    model_list: [{ model_name: '*', litellm_params: { model: 'openai/*', api_base: `${upstreamUrl}/v1`, api_key: 'sk-mock' } }],
    general_settings: { master_key: master, custom_auth: 'limits.authenticate' },
    litellm_settings: { telemetry: false },
    router_settings: { num_retries: RETRIES },
  };
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config)); // JSON is YAML
  const port = await freePort();
  const program = 'from litellm import run_server; run_server()';
  const options = ['--config', 'config.yaml', '--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'];
  const env = { ...process.env, LITELLM_TELEMETRY: 'False', LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_LOG: 'ERROR' };
  const child = start(join(home, 'bin', 'python3'), ['-c', program, ...options], env, folder);
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, `${url}/health/readiness`);
  return {
    name: `LiteLLM ${LITELLM_VERSION}`,
    url: `${url}/v1`,
    model: 'stand-in',
    headers: { authorization: `Bearer sk-${crypto.randomUUID()}` },
    limited: async () => ({ authorization: `Bearer sk-limited-${crypto.randomUUID()}` }),
    async [Symbol.asyncDispose]() {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** It listens on every interface unless it is kept on loopback. */
const LOOPBACK = `const { Server } = require('node:net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (options, ...rest) {
  const port = typeof options === 'object' ? options.port : options;
  return listen.call(this, { port, host: '127.0.0.1' }, rest.findLast((one) => typeof one === 'function'));
};
`;

/** The open gateway has no keys of its own, so no limits either. */
export async function startPortkey(upstreamUrl: string): Promise<Gateway> {
  const home = await installPortkey();
  const folder = mkdtempSync(join(tmpdir(), 'penstock-portkey-'));
  writeFileSync(join(folder, 'loopback.cjs'), LOOPBACK);
  const port = await freePort();
  const file = join(home, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js');
  const args = ['-r', join(folder, 'loopback.cjs'), file, `--port=${port}`, '--headless'];
  const child = start(process.execPath, args, { ...process.env, NODE_ENV: 'production' });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, `${url}/`);
  const target = { provider: 'openai', api_key: 'sk-x', custom_host: `${upstreamUrl}/v1` };
  return {
    name: `Portkey ${PORTKEY_VERSION}`,
    url: `${url}/v1`,
    model: 'stand-in',
    headers: { authorization: 'Bearer sk-x', 'x-portkey-config': JSON.stringify({ retry: { attempts: RETRIES }, ...target }) },
    limited: async () => undefined,
    async [Symbol.asyncDispose]() {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd?: string): ChildProcess {
  const child = spawn(program, args, { env, stdio: 'ignore', ...(cwd === undefined ? {} : { cwd }) });
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
}

async function untilReady(child: ChildProcess, url: string): Promise<void> {
  const giveUpAt = Date.now() + STARTS_WITHIN_MS;
  for (;;) {
    if (child.exitCode !== null || Date.now() > giveUpAt) throw new Error(`it did not start (exit code ${child.exitCode})`);
    const isReady = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return;
    await sleep(100);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
