import { expect, it } from 'vitest';
import { DRILL, expectedText } from '../faults/region-loss.ts';
import { startTwoRegions } from '../support/two-regions.ts';

it('a region is lost and comes back, and no client that may be answered sees an error', async () => {
  await using regions = await startTwoRegions();
  const expected = await expectedText();
  const seen: string[] = [];
  for (const { run } of DRILL) seen.push(await run(regions, expected));
  expect(seen).toHaveLength(DRILL.length);
});
