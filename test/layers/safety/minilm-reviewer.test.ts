import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMinilmClassifier } from '../../../layers/safety/index.ts';
import { embeddingLength, longestSentence } from '../../../layers/safety/minilm-reviewer.ts';

const heads = readFileSync(new URL('../../../models/safety/weights/minilm-heads.jsonl', import.meta.url), 'utf8');

describe('the heads over MiniLM', () => {
  it('score the end of a text by its embedding', async () => {
    const seen: string[] = [];
    const embed = async (text: string) => {
      seen.push(text);
      return new Float32Array(embeddingLength);
    };
    const scores = await createMinilmClassifier(embed, heads).classify('a'.repeat(400));
    expect(seen).toEqual(['a'.repeat(longestSentence)]);
    // Nothing is known of an empty embedding but the heads' biases.
    for (const line of heads.trimEnd().split('\n')) {
      const { category, bias } = JSON.parse(line) as { category: 'hate' | 'illicit'; bias: number };
      expect(scores[category]).toBeCloseTo(1 / (1 + Math.exp(-bias)), 10);
    }
  });

  it('stop when the caller has gone', async () => {
    const gone = AbortSignal.abort(new Error('gone'));
    await expect(createMinilmClassifier(async () => new Float32Array(embeddingLength), heads).classify('text', gone)).rejects.toThrow(
      'gone',
    );
  });

  it('refuse heads of another length', () => {
    expect(() => createMinilmClassifier(async () => new Float32Array(2), '{"category":"hate","bias":0,"weights":[1,2]}\n')).toThrow(
      'length',
    );
  });
});
