import { mkdtemp, rm } from 'node:fs/promises';
import { constants, getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../models/local/free-port.ts';
import { Supervisor } from '../../../models/local/supervisor.ts';

let logFolder: string;
let said: string[];
let hear: (sentence: string) => void;
let supervisor: Supervisor;

beforeEach(async () => {
  logFolder = await mkdtemp(join(tmpdir(), 'penstock-supervisor-'));
  said = [];
  hear = () => undefined;
  supervisor = new Supervisor({
    logFolder,
    say: (sentence) => {
      said.push(sentence);
      hear(sentence);
    },
  });
});
afterEach(async () => {
  supervisor.kill();
  await rm(logFolder, { recursive: true, force: true });
});

/** Resolves when the supervisor says a sentence like this. */
function heard(pattern: RegExp): Promise<void> {
  return new Promise((resolve) => {
    hear = (sentence) => {
      if (pattern.test(sentence)) resolve();
    };
  });
}

const child = (port: number, ...words: string[]) => ({
  name: 'container',
  file: new URL('../../support/child-server.ts', import.meta.url).pathname,
  arguments: [String(port), ...words],
  environment: process.env,
  readyUrl: `http://127.0.0.1:${port}/`,
});

describe('Supervisor', () => {
  it('starts a child, restarts it when it crashes, and says both aloud', async () => {
    const port = await freePort();
    await supervisor.start(child(port));
    const first = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    const again = heard(/container is ready again/);
    await fetch(`http://127.0.0.1:${port}/exit/7`);
    await again;
    expect(said[0]).toMatch(/container stopped \(exit code 7\).*Restarting in 0\.5 s/);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).not.toBe(first);
  });

  it('repeats the last words of a child that cannot start', async () => {
    await expect(supervisor.start(child(await freePort(), 'The model folder is empty.'))).rejects.toThrow(
      /container did not start: The model folder is empty\./,
    );
    expect(said).toEqual([]);
  });

  it('lets a child yield to others, also after a restart', async () => {
    const port = await freePort();
    await supervisor.start({ ...child(port), yields: true });
    const pid = async () => Number(await (await fetch(`http://127.0.0.1:${port}/`)).text());
    const first = await pid();
    expect(getPriority(first)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
    const again = heard(/container is ready again/);
    await fetch(`http://127.0.0.1:${port}/exit/7`);
    await again;
    const second = await pid();
    expect(second).not.toBe(first);
    expect(getPriority(second)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
  });

  it('stops its children and does not take that for a crash', async () => {
    const port = await freePort();
    await supervisor.start(child(port));
    await supervisor.stop(['container']);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    expect(said).toEqual([]);
  });
});
