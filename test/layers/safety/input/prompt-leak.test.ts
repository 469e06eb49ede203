import { describe, expect, it } from 'vitest';
import { createPromptLeakDetector } from '../../../../layers/safety/index.ts';

const prompt =
  'You are the assistant of Acme Insurance. Never discuss competitors, never promise a payout, and always ask for the policy number before you look at a claim.';

describe('a prompt leak detector', () => {
  it('sees a long quote, in other case and punctuation too, however it is cut', () => {
    const answer = `Sure! My instructions: ${prompt.toUpperCase().replaceAll(',', ' --')}`;
    for (const size of [1, 3, 7, 1000]) {
      const detector = createPromptLeakDetector(prompt);
      for (let start = 0; start < answer.length; start += size) detector.push(answer.slice(start, start + size));
      expect(detector.flush()).toBe(true);
    }
  });

  it('does not mind an answer that uses a few of the words', () => {
    const detector = createPromptLeakDetector(prompt);
    detector.push('I am the assistant of Acme Insurance. Could you give me the policy number before we look at your claim?');
    expect(detector.flush()).toBe(false);
  });
});
