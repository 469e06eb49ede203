import fc from 'fast-check';
import type { SafetyFilter } from '../../../layers/safety/index.ts';
import { createRandom } from '../../../models/safety/examples.ts';
import { hostileText } from '../../support/hostile-text.ts';
import { plantPersonalData } from './personal-data.ts';
import { atMost, both, type Report } from './report.ts';
import { tokensOf } from './texts.ts';

/** The streaming law, what is held, and what it costs. */
export function reportStreams(rules: SafetyFilter, withHeads: SafetyFilter, prose: string, report: Report): void {
  const random = createRandom(9);
  const texts = [...fc.sample(hostileText, { numRuns: 500, seed: 9 }), ...plantPersonalData(23).map((planted) => planted.text)].slice(
    0,
    1000,
  );
  let differences = 0;
  let leaks = 0;
  let runs = 0;
  for (const text of texts) {
    const expected = rules.check(text, 'output');
    for (let round = 0; round < 20; round += 1) {
      runs += 1;
      const stream = rules.stream('output');
      let released = '';
      for (let start = 0; start < text.length; ) {
        const end = round === 0 ? start + 1 : start + 1 + Math.floor(random() * (round * 3));
        released += stream.push(text.slice(start, end)).released;
        // What is out must be the beginning of what will be out in the end.
        if (!expected.redactedText.startsWith(released)) leaks += 1;
        start = end;
      }
      released += stream.flush().released;
      if (released !== expected.redactedText) differences += 1;
    }
  }
  report.line(
    `random chunkings (${runs})`,
    `${differences} differences, ${leaks} releases that were not a prefix of the final text`,
    both(atMost(differences, 0), atMost(leaks, 0)),
  );

  const tokens = tokensOf(prose.slice(0, 200_000));
  const held: number[] = [];
  const one = rules.stream('output');
  for (const token of tokens) {
    one.push(token);
    held.push(one.heldLength);
  }
  held.sort((a, b) => a - b);
  const mean = held.reduce((sum, count) => sum + count, 0) / held.length;
  const p95 = held[Math.floor(held.length * 0.95)] ?? 0;
  report.line(
    `characters held on prose (${tokens.length} tokens)`,
    `mean ${mean.toFixed(2)}, p95 ${p95}, most ${held.at(-1)}`,
    both(atMost(mean, 5), atMost(p95, 12)),
  );
  for (const [name, filter] of [
    ['rules', rules],
    ['rules and heads', withHeads],
  ] as const) {
    const microseconds = cpuPerToken(filter, tokens);
    report.line(`CPU per token, ${name}`, `${microseconds.toFixed(2)} us`, atMost(microseconds, 10, ' us'));
  }
}

function cpuPerToken(filter: SafetyFilter, tokens: readonly string[]): number {
  const times: number[] = [];
  for (let round = 0; round < 7; round += 1) {
    const stream = filter.stream('output');
    const before = process.cpuUsage();
    for (const token of tokens) stream.push(token);
    stream.flush();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / tokens.length);
  }
  return times.sort((a, b) => a - b)[3] ?? 0;
}

/** How long a check takes, and that no repeated character makes it slow. */
export function reportSpeed(rules: SafetyFilter, withHeads: SafetyFilter, prose: string, report: Report): void {
  const text = prose.slice(2000, 2512);
  const times: number[] = [];
  for (let round = 0; round < 600; round += 1) {
    const start = performance.now();
    withHeads.check(text, 'input');
    if (round >= 100) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  report.line(
    'check of 512 characters, rules and heads',
    `p50 ${times[250]?.toFixed(3)} ms, p95 ${times[475]?.toFixed(3)} ms`,
    atMost(times[250] ?? 0, 1, ' ms'),
  );
  const single = [...Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)), ' ', '\n', 'é', '機', '😀', '\u0301'];
  // What took longest of some thousands of random patterns, and what each recogniser begins with.
  const slowOnes = [
    '12 ',
    '/22',
    '128-',
    '123/',
    ' 1235',
    '=0',
    '+1',
    '0-',
    'M.',
    'sk-',
    '0xsk-',
    'eyJ-',
    'glpat-',
    'xoxb-1',
    '+1::9A',
    '1,',
  ];
  const beginnings = [
    '1-',
    'a.',
    'a.a.a.@',
    '1 ',
    '@a',
    ':a',
    '=1',
    '://',
    'secret:',
    'key=',
    'ssn 12 ',
    'born 1 ',
    '+1234567 ',
    'GB82 ',
    'b o ',
  ];
  const patterns = [...slowOnes, ...beginnings];
  for (const [name, pieces] of [
    ['one repeated character', single],
    ['a repeated pattern', patterns],
  ] as const) {
    const slowest = pieces
      .map((piece) => ({ piece, milliseconds: cpuOfCheck(rules, piece) }))
      .sort((a, b) => b.milliseconds - a.milliseconds)[0];
    report.line(
      `100 kB of ${name}, the slowest, CPU`,
      `${slowest?.milliseconds.toFixed(1)} ms (${JSON.stringify(slowest?.piece)})`,
      atMost(slowest?.milliseconds ?? 0, 50, ' ms'),
    );
  }
}

/** CPU time is what a loaded machine measures truly; the best of five rounds. */
function cpuOfCheck(filter: SafetyFilter, piece: string): number {
  const long = piece.repeat(Math.ceil(100_000 / piece.length));
  const rounds = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    filter.check(long, 'input');
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.min(...rounds);
}
