import { describe, expect, it } from 'vitest';
import { VerdictTally } from '../../../../functions/gateway/generation/verdicts.ts';
import { compileDenylist, createSafetyFilter, parseSafetyPolicy } from '../../../../layers/safety/index.ts';

const policy = parseSafetyPolicy({
  pii: { input: 'redact', output: 'flag', kinds: { ip: { input: 'allow', output: 'allow' } } },
  denylists: { rivals: { input: 'block', output: 'flag' } },
});
const filter = createSafetyFilter(policy, { denylists: [compileDenylist('rivals', [{ text: 'acme' }])] });

describe('verdicts of a generation', () => {
  it('are nothing until a policy has judged, and its digest as soon as one has', () => {
    const tally = new VerdictTally();
    expect(tally.verdicts).toBeNull();
    tally.note('input', filter.check('The sea is blue.', 'input').verdict);
    expect(tally.verdicts).toEqual({ policyDigest: policy.digest, action: 'allow', dryRun: false, input: {}, output: {} });
  });

  it('count what was found by its label, keep the severest action, and hold no piece of any text', () => {
    const tally = new VerdictTally();
    tally.note('input', filter.check('Write to ada@example.com and bob@example.com from 10.0.0.1.', 'input').verdict);
    tally.note('input', filter.check('Buy acme shares.', 'input').verdict);
    tally.note('output', filter.check('Ask eve@example.com about acme.', 'output').verdict);
    tally.noteLabel('output', { policyDigest: policy.digest, action: 'flag', dryRun: false }, 'prompt_leak');
    expect(tally.verdicts).toEqual({
      policyDigest: policy.digest,
      action: 'block',
      dryRun: false,
      input: { email: 2, 'denylist:rivals': 1 },
      output: { email: 1, 'denylist:rivals': 1, prompt_leak: 1 },
    });
    expect(JSON.stringify(tally.verdicts)).not.toMatch(/example|acme|10\.0/);
  });
});
