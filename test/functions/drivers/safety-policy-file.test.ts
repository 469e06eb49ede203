import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPolicyFile } from '../../../functions/drivers/safety-policy-file.ts';

let folder: string;
let path: string;
let nowMs: number;
let logged: string[];
const clock = { now: () => nowMs };
const log = { write: (_: string, event: string) => void logged.push(event) };
const write = (policy: string) => writeFile(path, policy);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-policy-file-'));
  path = join(folder, 'policy.json');
  nowMs = 1_000_000;
  logged = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a policy file', () => {
  it('is read once, and again after it has changed', async () => {
    await write('{"streaming":"hold"}');
    const file = createPolicyFile(path, clock, log);
    expect((await file?.read())?.settings.streaming).toBe('hold');
    await write('{"streaming":"off","dryRun":true}');
    expect((await file?.read())?.settings.streaming).toBe('hold');
    nowMs += 1_000;
    expect((await Promise.all([file?.read(), file?.read()])).map((policy) => policy?.settings.streaming)).toEqual(['off', 'off']);
    nowMs += 1_000;
    await file?.read();
    expect(logged).toEqual(['safety-policy-read', 'safety-policy-read']);
  });

  it.each([
    ['no JSON', '{'],
    ['no policy', '{"streaming":"sometimes"}'],
  ])('leaves the last good policy in force when it becomes %s, and says so once', async (_, content) => {
    await write('{"streaming":"hold"}');
    const file = createPolicyFile(path, clock, log);
    await file?.read();
    await write(content);
    for (let look = 0; look < 3; look += 1) {
      nowMs += 1_000;
      expect((await file?.read())?.settings.streaming).toBe('hold');
    }
    expect(logged).toEqual(['safety-policy-read', 'safety-policy-unusable']);
  });

  it('leaves it in force when the file is gone', async () => {
    await write('{"streaming":"hold"}');
    const file = createPolicyFile(path, clock, log);
    await file?.read();
    await rm(path);
    nowMs += 1_000;
    expect((await file?.read())?.settings.streaming).toBe('hold');
  });

  it('lets nothing pass as judged while there has never been a policy', async () => {
    const file = createPolicyFile(path, clock, log);
    await expect(file?.read()).rejects.toThrow('ENOENT');
    await write('{}');
    expect((await file?.read())?.settings.dryRun).toBe(false);
  });

  it('is none where none is named', () => {
    expect(createPolicyFile(undefined, clock, log)).toBeUndefined();
  });
});
