import { describe, expect, it } from 'vitest';
import { compileDenylist, createSafetyFilter, parseSafetyPolicy } from '../../../layers/safety/index.ts';

const both = (action: string) => ({ input: action, output: action });

describe('a policy', () => {
  it('has the digest of its content, however it was written', () => {
    const one = parseSafetyPolicy({ dryRun: false, pii: { input: 'redact', output: 'flag' } });
    const same = parseSafetyPolicy({ pii: { output: 'flag', input: 'redact' } });
    const other = parseSafetyPolicy({ pii: { output: 'flag', input: 'flag' } });
    expect(one.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(same.digest).toBe(one.digest);
    expect(other.digest).not.toBe(one.digest);
  });

  it('lists every problem with its path', () => {
    const bad = {
      streaming: 'sometimes',
      phoneCountries: ['XX'],
      categories: { hate: { input: 'redact', output: 'block', threshold: 2 } },
      extra: 1,
    };
    expect(() => parseSafetyPolicy(bad)).toThrow(
      /streaming:.*[\s\S]*phoneCountries\.0:.*US[\s\S]*categories\.hate\.input:[\s\S]*categories\.hate\.threshold:[\s\S]*extra:/,
    );
  });

  it('acts by kind and direction', () => {
    const filter = createSafetyFilter(
      parseSafetyPolicy({ pii: { ...both('flag'), kinds: { email: { input: 'redact', output: 'allow' } } }, secrets: both('block') }),
    );
    const text = 'jane@example.com and 4111111111111111';
    expect(filter.check(text, 'input').redactedText).toBe('[EMAIL] and 4111111111111111');
    expect(filter.check(text, 'output').verdict.findings.map(({ kind }) => kind)).toEqual(['card']);
    expect(filter.check('key AKIAIOSFODNN7EXAMPLE', 'output').verdict.action).toBe('block');
  });

  it('in a dry run says what it would do and does nothing', () => {
    const filter = createSafetyFilter(parseSafetyPolicy({ dryRun: true, secrets: both('block') }));
    const stream = filter.stream('output');
    const text = 'key AKIAIOSFODNN7EXAMPLE end';
    const released = stream.push(text).released;
    const last = stream.flush();
    expect(released + last.released).toBe(text);
    expect(last.verdict).toMatchObject({ action: 'block', dryRun: true });
  });

  it('blocks before the piece, and nothing comes out afterwards', () => {
    const filter = createSafetyFilter(parseSafetyPolicy({}), { denylists: [compileDenylist('words', [{ text: 'project falcon' }])] });
    const stream = filter.stream('output');
    const first = stream.push('About project fal');
    expect(first).toEqual({ released: 'About ' });
    const blocked = stream.push('con: it is');
    expect(blocked).toMatchObject({
      released: '',
      verdict: { action: 'block', findings: [{ kind: 'denylist', rule: 'words', start: 6, end: 20 }] },
    });
    expect(stream.push(' more').released).toBe('');
    expect(stream.flush().released).toBe('');
  });
});
