import type { SafetyFilter, SpanKind } from '../../../layers/safety/index.ts';
import type { PlantedText } from './personal-data.ts';
import { atLeast, atMost, percent, type Report } from './report.ts';

/** Recall of the recognisers by kind on generated values, and how many look-alikes they take for one. */
export function reportRules(filter: SafetyFilter, planted: readonly PlantedText[], lookAlikes: readonly string[], report: Report): void {
  const byKind = new Map<SpanKind, { found: number; leaked: number; count: number }>();
  for (const { text, kind, value } of planted) {
    const counts = byKind.get(kind) ?? { found: 0, leaked: 0, count: 0 };
    byKind.set(kind, counts);
    const { verdict, redactedText } = filter.check(text, 'output');
    counts.count += 1;
    if (verdict.findings.some((finding) => finding.kind === kind)) counts.found += 1;
    if (redactedText.includes(value)) counts.leaked += 1;
  }
  let found = 0;
  let count = 0;
  for (const [kind, counts] of byKind) {
    if (kind !== 'phone') {
      found += counts.found;
      count += counts.count;
    }
    report.line(
      kind,
      `recall ${(counts.found / counts.count).toFixed(3)} of ${counts.count}, leaked whole ${counts.leaked}`,
      atLeast(counts.found / counts.count, kind === 'phone' ? 0.9 : 0.99),
    );
  }
  report.line('all but phones', `recall ${(found / count).toFixed(4)}`, atLeast(found / count, 0.99));
  const hit = lookAlikes.filter((text) => filter.check(text, 'output').verdict.findings.length > 0);
  report.line(
    `look-alikes (${lookAlikes.length})`,
    `${percent(hit.length / lookAlikes.length)} hit`,
    atMost((hit.length / lookAlikes.length) * 100, 5, ' %'),
  );
  for (const text of hit.slice(0, 5)) report.note(`    hit: ${text}`);
}
