/**
 * Thresholds from texts that a model was not trained on, all of them from training sources: the evaluation sets have no say. A threshold lies as low
 * as the false alarms allow, on ordinary texts and on harmless prompts with alarming words; for injections it is where F1 is best.
 */
import type { ClassifiedCategory } from '../../layers/safety/categories.ts';
import { loadLinearHeads } from '../../layers/safety/heads/linear-heads.ts';
import type { Thresholds } from '../../layers/safety/verdict.ts';
import { readWindows } from '../../layers/safety/windows.ts';
import type { Example } from './examples.ts';
import { hideAttacks } from './hide-attacks.ts';
import { atThreshold, mean, type Scored } from './metrics.ts';

/** Share of harmless texts that may reach a category's threshold. */
const allowedAlarms: Readonly<Partial<Record<ClassifiedCategory, number>>> = {
  illicit: 0.01,
  'illicit/violent': 0.005,
  hate: 0.01,
  'hate/threatening': 0.005,
  harassment: 0.01,
  'self-harm': 0.005,
  sexual: 0.01,
  'sexual/minors': 0.005,
  violence: 0.01,
  'violence/graphic': 0.005,
};
/** Share of the prompts with alarming words that may reach it. */
const allowedHardAlarms = 0.012;
const hardSource = 'benign-prompts';
const lowest = 0.3;
/** The mean of the sources' shares, and the share of the prompts with alarming words: what the project's goals allow. */
const allowedInjectionAlarms = [0.03, 0.06] as const;
const penalties = [0.2, 0.35, 0.5];
const longest = 16;

export interface ChosenThresholds {
  readonly thresholds: Thresholds;
  /** See the header of the weights. */
  readonly windowPenalty: number;
}

/** @param weights packed with a window penalty of zero */
export function chooseThresholds(weights: Uint8Array, heldOut: readonly Example[]): ChosenThresholds {
  const classifier = loadLinearHeads(weights);
  const isHarmless = (example: Example) => !Object.values(example.labels).includes(1) && example.labels.prompt_injection === 0;
  const harmless = heldOut.filter(isHarmless);
  const isHard = harmless.map(({ source }) => source === hardSource);
  const scores = harmless.map(({ text }) => readWindows(text).map((window) => classifier.score(window.text)));
  const found: Partial<Record<ClassifiedCategory, number>> = {};
  for (const [name, share] of Object.entries(allowedAlarms)) {
    // The keys are those of the table above.
    const category = name as ClassifiedCategory;
    const highest = scores.map((windows) => windows.reduce((most, score) => Math.max(most, score[category] ?? 0), 0));
    const threshold = Math.max(
      exceededBy(highest, share),
      exceededBy(
        highest.filter((_, index) => isHard[index]),
        allowedHardAlarms,
      ),
    );
    found[category] = Math.round(Math.min(0.99, Math.max(lowest, threshold + 0.01)) * 100) / 100;
  }
  const injection = chooseForInjection((text) => injectionLogits(classifier, text), harmless, heldOut);
  return { thresholds: { ...found, prompt_injection: injection.threshold }, windowPenalty: injection.windowPenalty };
}

/** The lowest of the scores that no more than a share of them exceed. */
function exceededBy(scores: readonly number[], share: number): number {
  return [...scores].sort((a, b) => b - a)[Math.floor(scores.length * share)] ?? lowest;
}

type Logits = readonly { readonly logit: number; readonly place: number }[];

/** Log-odds of each window, and the logarithm that the penalty multiplies. */
function injectionLogits(classifier: ReturnType<typeof loadLinearHeads>, text: string): Logits {
  return readWindows(text).map((window) => {
    const score = classifier.score(window.text).prompt_injection ?? 0;
    return { logit: Math.log((score + 1e-9) / (1 - score + 1e-9)), place: Math.log(Math.min(1 + window.windowsBefore, longest)) };
  });
}

/**
 * Threshold and penalty together: the best mean of F1, over each source that has attacks and harmless texts and over attacks between forty
 * sentences, within the false alarms allowed. Sources count alike, or the largest would decide.
 */
function chooseForInjection(
  logitsOf: (text: string) => Logits,
  harmless: readonly Example[],
  heldOut: readonly Example[],
): { threshold: number; windowPenalty: number } {
  const attacks = heldOut.filter(({ labels }) => labels.prompt_injection === 1);
  const sentences = harmless
    .filter(({ source }) => source === 'wikipedia')
    .flatMap(({ text }) => text.split(/(?<=\.) /))
    .filter((sentence) => sentence.length > 30);
  const short = attacks.map(({ text }) => text).filter((text) => text.length < 300);
  const hidden = sentences.length > 41 && short.length > 0 ? hideAttacks(sentences, short) : [];
  const texts = [
    ...harmless.map(({ source, text }) => ({ source, logits: logitsOf(text), isBad: false })),
    ...attacks.map(({ source, text }) => ({ source, logits: logitsOf(text), isBad: true })),
    ...hidden.map(({ text, isBad }) => ({ source: 'hidden', logits: logitsOf(text), isBad })),
  ];
  let best = { threshold: 0.5, windowPenalty: 0.35, f1: -1 };
  for (const windowPenalty of penalties) {
    const bySource = new Map<string, Scored[]>();
    for (const { source, logits, isBad } of texts) {
      const logit = logits.reduce((most, window) => Math.max(most, window.logit - windowPenalty * window.place), -20);
      const scored = bySource.get(source) ?? [];
      bySource.set(source, scored);
      scored.push({ score: 1 / (1 + Math.exp(-logit)), isBad });
    }
    for (let percent = 30; percent <= 90; percent += 1) {
      const threshold = percent / 100;
      const ordinary = [...bySource].filter(([source]) => source !== 'hidden' && source !== hardSource).map(([, scored]) => scored);
      const alarms = mean(ordinary.filter(hasHarmless).map((scored) => atThreshold(scored, threshold).falseAlarms));
      const hardAlarms = atThreshold(bySource.get(hardSource) ?? [], threshold).falseAlarms;
      if (alarms > allowedInjectionAlarms[0] || hardAlarms > allowedInjectionAlarms[1]) continue;
      const mixed = [...bySource.values()].filter((scored) => hasHarmless(scored) && scored.some(({ isBad }) => isBad));
      const f1 = mean(mixed.map((scored) => atThreshold(scored, threshold).f1));
      if (f1 > best.f1) best = { threshold, windowPenalty, f1 };
    }
  }
  return { threshold: best.threshold, windowPenalty: best.windowPenalty };
}

const hasHarmless = (scored: readonly Scored[]) => scored.some(({ isBad }) => !isBad);
