/**
 * What a decode step of eight short answers costs beside a long one: CPU time of the engine's process, so that other load matters little.
 *
 *   node test/bench/engine/long-neighbour.ts [TOKENS of the long one, default 2000; 0 for none]
 */
import { EngineClient } from '../../../models/local/engine/engine-client.ts';
import { generate, request } from '../../support/engine-requests.ts';
import { openRealModel } from '../../support/real-model.ts';
import { freshPrompt } from './contestants.ts';

const SHORT = { answers: 8, promptTokens: 68 };
const STEPS = 24;
const longTokens = Number(process.argv[2] ?? 2000);

const engine = await EngineClient.start({
  model: await openRealModel('fast'),
  threads: 1,
  profile: false,
  limits: { slots: SHORT.answers + 1, maxQueue: 10, kvTokens: 16_384, prefillChunk: 64, prefixCacheBytes: 0, draftTokens: 7 },
});
/** By answer: how many tokens it has. */
const counts: number[] = [];
let heard: () => void = () => undefined;
const begin = (promptTokens: number) => {
  const answer = counts.push(0) - 1;
  void generate(engine, request(freshPrompt(promptTokens), 4000), () => {
    counts[answer] = (counts[answer] ?? 0) + 1;
    heard();
  });
};
/** Until every answer has so many tokens more. */
const advance = async (tokens: number) => {
  const goal = counts.map((count) => count + tokens);
  while (goal.some((least, answer) => (counts[answer] ?? 0) < least)) {
    await new Promise<void>((resolve) => {
      heard = resolve;
    });
  }
};

if (longTokens > 0) {
  begin(longTokens);
  await advance(1);
}
for (let i = 0; i < SHORT.answers; i++) begin(SHORT.promptTokens);
await advance(4); // all decode, in caches that will not grow
const before = process.cpuUsage();
await advance(STEPS);
const { user, system } = process.cpuUsage(before);
console.log(
  `${SHORT.answers} short answers beside one of ${longTokens}: ${((user + system) / 1000 / STEPS).toFixed(1)} ms of CPU time a step`,
);
await engine.stop();
