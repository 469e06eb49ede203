import type { SafetyFilter, SpanKind } from '../../../layers/safety/index.ts';
import { plantLookAlikes, plantPersonalData } from './personal-data.ts';
import type { Report } from './report.ts';

/** Recall of the recognisers by kind on generated values, and how many look-alikes they take for one. */
export function reportRules(filter: SafetyFilter, report: Report): void {
  const byKind = new Map<SpanKind, { found: number; leaked: number; count: number }>();
  for (const { text, kind, value } of plantPersonalData(40)) {
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
      kind === 'phone' ? '>= 0.90' : '>= 0.99',
    );
  }
  report.line('all but phones', `recall ${(found / count).toFixed(4)}`, '>= 0.99');
  const lookAlikes = plantLookAlikes(20);
  const hit = lookAlikes.filter((text) => filter.check(text, 'output').verdict.findings.length > 0);
  report.line(`look-alikes (${lookAlikes.length})`, `${((hit.length / lookAlikes.length) * 100).toFixed(1)} % hit`, '<= 5 %');
  for (const text of hit.slice(0, 5)) report.note(`    hit: ${text}`);
}
