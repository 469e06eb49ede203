import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const file = new URL('../../../functions/command/penstock.ts', import.meta.url).pathname;

function prove(...options: readonly string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [file, 'privacy', 'prove', ...options], (error, out) => resolve({ code: Number(error?.code ?? 0), out }));
  });
}

describe('npm run penstock -- privacy prove', () => {
  it('finds nothing that a gateway leaves behind', { timeout: 120_000 }, async () => {
    const { code, out } = await prove();
    expect(out).toMatch(/\d\d canaries, 0 leaks/);
    expect(out).not.toContain('LEAK');
    expect(code).toBe(0);
  });

  it('finds a leak that was put in', { timeout: 120_000 }, async () => {
    const { code, out } = await prove('--seed-leak');
    expect(out).toMatch(/LEAK {3}a whole answer: debug\.log/);
    expect(out).toMatch(/LEAK {3}a deleted user's answer: debug\.log/);
    expect(code).toBe(1);
  });
});
