import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { type RunningPenstock, runToEnd, startPenstock } from '../support/start-penstock.ts';

const MODEL = 'smollm2-135m-instruct';
const longAnswer = { model: MODEL, prompt: 'Once upon a time', max_tokens: 400, temperature: 0, stream: true } as const;
let penstock: RunningPenstock | undefined;

afterEach(async () => {
  await penstock?.stop();
  penstock = undefined;
});

async function start(environment: Readonly<Record<string, string>> = {}): Promise<{ penstock: RunningPenstock; client: OpenAI }> {
  penstock = await startPenstock([], environment);
  return { penstock, client: new OpenAI({ baseURL: penstock.url, apiKey: 'sk-local', maxRetries: 0 }) };
}

/** Process ids by child, from the supervisor's own children. */
async function childPid(running: RunningPenstock, file: string): Promise<number> {
  const { execFileSync } = await import('node:child_process');
  const lines = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' }).split('\n');
  const line = lines.find((text) => text.includes(file) && new RegExp(`^\\s*\\d+\\s+${running.supervisor.pid}\\s`).test(text));
  if (line === undefined) throw new Error(`no ${file} below ${running.supervisor.pid}`);
  return Number(line.trim().split(/\s+/)[0]);
}

describe('when a part dies', () => {
  it('gives an error event when the container is killed in mid-stream, and serves the next request', async () => {
    // With retries the answer goes on when the container is back before the last of them.
    const { penstock: running, client } = await start({ MAX_RETRIES: '0' });
    const stream = await client.completions.create(longAnswer);
    const reading = (async () => {
      let seen = 0;
      for await (const _ of stream) {
        seen += 1;
        if (seen === 5) process.kill(await childPid(running, 'container/main.ts'), 'SIGKILL');
      }
    })();
    await expect(reading).rejects.toThrow(/failed while it worked on this request|cannot be reached/);
    await running.shows(/container is ready again/);
    const next = await client.completions.create({ ...longAnswer, stream: false, max_tokens: 3 });
    expect(next.choices[0]?.text).not.toBe('');
  });

  it('leaves nothing behind when the supervisor is killed: the same port starts again', async () => {
    const { penstock: first } = await start();
    const exited = once(first.supervisor, 'exit');
    first.supervisor.kill('SIGKILL');
    await exited;
    await portIsFree(first.port);
    const again = await startPenstock(['--port', String(first.port)]);
    expect(await again.stop()).toBe(0);
  });

  it('finishes a running stream on Ctrl-C and then exits 0', async () => {
    const { penstock: running, client } = await start();
    const stream = await client.completions.create({ ...longAnswer, max_tokens: 60 });
    let stopped: Promise<number | null> | undefined;
    let text = '';
    let finishReason: string | null = null;
    for await (const chunk of stream) {
      stopped ??= running.stop();
      text += chunk.choices[0]?.text ?? '';
      finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
    }
    expect(finishReason).toMatch(/length|stop/);
    expect(text.length).toBeGreaterThan(60);
    expect(await stopped).toBe(0);
  });
});

describe('a start that cannot succeed', () => {
  it('says that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const { code, terminal } = await runToEnd(['--port', String(port)]);
    server.close();
    expect(code).toBe(1);
    expect(terminal.trim()).toBe(`Port ${port} is taken. Stop what uses it, or choose another: npm start -- --port ${(port ?? 0) + 1}`);
  });

  it('has no default key where others can call', async () => {
    const { code, terminal } = await runToEnd(['--host', '0.0.0.0']);
    expect(code).toBe(1);
    expect(terminal).toMatch(/^0\.0\.0\.0 can be reached from other machines: set PENSTOCK_API_KEY/);
  });

  it('refuses a file that is no GGUF in one sentence', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-e2e-'));
    const file = join(folder, 'model.gguf');
    await writeFile(file, 'not a model at all');
    const { code, terminal } = await runToEnd(['--model', file, '--port', '18080'], { PENSTOCK_CACHE: folder });
    await rm(folder, { recursive: true, force: true });
    expect(code).toBe(1);
    expect(terminal.trim().split('\n')).toHaveLength(1);
    expect(terminal).toContain(file);
  });
});

describe('hostile callers', () => {
  it('answers 413 to 64 MiB before reading them', async () => {
    const { penstock: running } = await start();
    const call = request(`${running.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-local', 'content-type': 'application/json', 'content-length': String(64 * 1024 * 1024) },
    });
    call.on('error', () => undefined); // the server may close while we still send
    call.write('{"model": "');
    const [response] = await once(call, 'response');
    expect(response.statusCode).toBe(413);
    call.destroy();
  });
});

async function portIsFree(port: number): Promise<void> {
  for (;;) {
    const taken = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      () => true,
      () => false,
    );
    if (!taken) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
