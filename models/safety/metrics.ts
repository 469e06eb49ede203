/** Figures of a ranking: pairs of a score and whether the text is bad. */
export interface Scored {
  readonly score: number;
  readonly isBad: boolean;
}

/** Chance that a bad text scores higher than a harmless one, ties counted half (the area under the ROC curve). */
export function areaUnderCurve(scored: readonly Scored[]): number {
  const sorted = [...scored].sort((a, b) => a.score - b.score);
  let rankSum = 0;
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (end < sorted.length && sorted[end]?.score === sorted[start]?.score) end += 1;
    for (let index = start; index < end; index += 1) if (sorted[index]?.isBad === true) rankSum += (start + end + 1) / 2;
    start = end;
  }
  const bad = sorted.filter((item) => item.isBad).length;
  return (rankSum - (bad * (bad + 1)) / 2) / (bad * (sorted.length - bad));
}

/** At a threshold: F1, recall, and the share of harmless texts that reach it. */
export function atThreshold(scored: readonly Scored[], threshold: number): { f1: number; recall: number; falseAlarms: number } {
  let hits = 0;
  let alarms = 0;
  let bad = 0;
  for (const { score, isBad } of scored) {
    if (isBad) bad += 1;
    if (score < threshold) continue;
    if (isBad) hits += 1;
    else alarms += 1;
  }
  return { f1: (2 * hits) / (hits + alarms + bad || 1), recall: hits / (bad || 1), falseAlarms: alarms / (scored.length - bad || 1) };
}

export const mean = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** The mean of folds' areas, and each of them. */
export function formatFolds(areas: readonly number[]): string {
  return `${mean(areas).toFixed(3)} (${areas.map((area) => area.toFixed(3)).join(', ')})`;
}
