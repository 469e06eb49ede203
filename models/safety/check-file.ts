/**
 * Judges a file with the safety filter: `npm run safety -- check FILE [--policy POLICY.json] [--direction input|output] [--json | --redact]`.
 * `-` reads the standard input. Ends with 1 when the policy blocks the text, with 2 when the command or the policy is wrong.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type CheckedText, compileDenylists, createSafetyFilter, type Direction, parseSafetyPolicy } from '../../layers/safety/index.ts';
import { loadHeadsFromFile } from './load-heads.ts';

const usage = 'Usage: npm run safety -- check FILE [--policy POLICY.json] [--direction input|output] [--json | --redact]';

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      policy: { type: 'string' },
      direction: { type: 'string', default: 'input' },
      json: { type: 'boolean', default: false },
      redact: { type: 'boolean', default: false },
    },
  });
  const [command, file, ...rest] = positionals;
  if (command !== 'check' || file === undefined || rest.length > 0) throw new Error(usage);
  const policy = parseSafetyPolicy(values.policy === undefined ? {} : JSON.parse(readFileSync(values.policy, 'utf8')));
  const filter = createSafetyFilter(policy, { classifier: loadHeadsFromFile(), denylists: compileDenylists(policy.settings) });
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  const checked = filter.check(text, parseDirection(values.direction));
  process.stdout.write(
    values.redact ? checked.redactedText : values.json ? `${JSON.stringify(checked.verdict, undefined, 2)}\n` : describe(text, checked),
  );
  return checked.verdict.action === 'block' && !checked.verdict.dryRun ? 1 : 0;
}

function parseDirection(text: string): Direction {
  if (text === 'input' || text === 'output') return text;
  throw new Error(`--direction is input or output, not ${text}.`);
}

function describe(text: string, { verdict }: CheckedText): string {
  const lines = [`action    ${verdict.action}${verdict.dryRun ? ' (dry run)' : ''}`, `policy    ${verdict.policyDigest.slice(0, 12)}`];
  const best = Object.entries(verdict.scores).sort(([, a], [, b]) => b - a);
  for (const [category, score] of best.slice(0, 3)) lines.push(`score     ${score.toFixed(3)} ${category}`);
  if (verdict.flagged.length > 0) lines.push(`flagged   ${verdict.flagged.join(', ')}`);
  for (const { kind, rule, start, action } of verdict.findings) {
    const before = text.slice(0, start).split('\n');
    lines.push(`found     line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}: ${kind} (${rule}), ${action}`);
  }
  return `${lines.join('\n')}\n`;
}
