import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { createSafetyPolicies } from '../../../../functions/gateway/safety/policies.ts';
import { createTenantSafety } from '../../../../functions/gateway/safety/tenant-safety.ts';
import type { Table } from '../../../../functions/gateway/services/table.ts';
import { loadLinearHeads, parseSafetyPolicy } from '../../../../layers/safety/index.ts';

const classifier = loadLinearHeads(readFileSync(new URL('../../../../models/safety/weights/linear-heads.bin', import.meta.url)));

function setUp() {
  let nowMs = 1_000_000;
  const clock = { now: () => nowMs };
  const memory = createMemoryTable(clock);
  const written: string[] = [];
  let isDown = false;
  const table: Table = {
    ...memory,
    async read(key) {
      if (isDown) throw new Error('the store is down');
      return memory.read(key);
    },
    async write(change) {
      written.push(`${change.key.partition}/${change.key.sort}`);
      return memory.write(change);
    },
  };
  const logged: string[] = [];
  const log = { write: (_: string, event: string) => void logged.push(event) };
  let compilations = 0;
  const policies = createSafetyPolicies({ table, clock, log }, (policy) => {
    compilations += 1;
    return createTenantSafety(policy, classifier, { minilm: undefined, guard: undefined, log });
  });
  return {
    policies,
    written,
    compilations: () => compilations,
    pass: (ms: number) => {
      nowMs += ms;
    },
    breakStore: (down: boolean) => {
      isDown = down;
    },
  };
}

describe('policies in a process', () => {
  it('are compiled and written down once, however many tenants have one and however often it is looked for', async () => {
    const { policies, written, compilations, pass } = setUp();
    await policies.set({ type: 'organization', id: 'acme' }, parseSafetyPolicy({ dryRun: true }).settings);
    for (let round = 0; round < 3; round += 1) {
      for (const projectId of ['a', 'b', 'c']) await policies.find({ organizationId: 'acme', projectId });
      pass(4_000);
    }
    expect(compilations()).toBe(1);
    expect(written.filter((key) => key.startsWith('safety-policy-versions/'))).toHaveLength(1);
  });

  it('stay compiled while they are used, when there are more than are kept', async () => {
    const { policies, compilations, pass } = setUp();
    const count = 70;
    for (let index = 0; index < count; index += 1)
      await policies.set({ type: 'project', id: `p${index}` }, parseSafetyPolicy({ guard: { timeoutMs: 100 + index } }).settings);
    for (let index = 0; index < count; index += 1) {
      await policies.find({ organizationId: 'acme', projectId: 'p0' });
      await policies.find({ organizationId: 'acme', projectId: `p${index}` });
      pass(4_000);
    }
    expect(compilations()).toBe(count);
  });

  it('are not forgotten as none when the store is down', async () => {
    const { policies, pass, breakStore } = setUp();
    await policies.set({ type: 'default' }, parseSafetyPolicy({}).settings);
    expect(await policies.find({ organizationId: 'acme', projectId: 'web' })).toBeDefined();
    pass(4_000);
    breakStore(true);
    await expect(policies.find({ organizationId: 'acme', projectId: 'web' })).rejects.toThrow('down');
    breakStore(false);
    expect(await policies.find({ organizationId: 'acme', projectId: 'web' })).toBeDefined();
  });
});
