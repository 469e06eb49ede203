/** Seeded strings that look for what tokenizers get wrong: every kind of white space, BOM, U+0085, surrogates, contractions, digits, scripts, emoji. */

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export type Random = () => number;

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const WHITE_SPACE = [
  ' ',
  ' ',
  ' ',
  '  ',
  '   ',
  '\n',
  '\n\n',
  '\r\n',
  '\r',
  '\t',
  '\v',
  '\f',
  '\u0085',
  '\u00a0',
  '\u1680',
  '\u2000',
  '\u2003',
  '\u2009',
  '\u200a',
  '\u2028',
  '\u2029',
  '\u202f',
  '\u205f',
  '\u3000',
];
const NOT_WHITE_SPACE = ['\ufeff', '\u200b', '\u180e', '\u2060', '\u001c', '\u001f', '\u0000', '\u0004', '\u0006', '\u007f', '\u00ad'];
const CONTRACTIONS = [
  "'s",
  "'S",
  "'t",
  "'T",
  "'re",
  "'RE",
  "'rE",
  "'ve",
  "'VE",
  "'m",
  "'M",
  "'ll",
  "'LL",
  "'lL",
  "'d",
  "'D",
  "'",
  "''",
  "'\u017f",
  "'x",
  '\u2019s',
  "'l",
  "'r",
  "'v",
  "'K",
];
const DIGITS = [
  '0',
  '1',
  '12',
  '123',
  '1234',
  '12345',
  '3.14',
  '1,000',
  '\u0663',
  '\u0967\u0968',
  '\u00bd',
  '\u2167',
  '\uff11\uff12',
  '\u{1d7d9}',
  '\u00b2',
  '\u3007',
];
const WORDS = [
  'the',
  'The',
  'THE',
  'hello',
  'world',
  'Hello',
  'camelCase',
  'HTTPServer',
  'iPhone',
  'naïve',
  'café',
  'cafe\u0301',
  'Zürich',
  'straße',
  'ẞ',
  'ǅ',
  'ʰ',
  'ª',
  'fiancée',
  'I',
  'a',
  'don',
  'can',
  'antidisestablishmentarianism',
  'tokenization',
];
const SCRIPTS = [
  '你好世界',
  '人工智能的发展',
  'こんにちは',
  'カタカナ',
  '한국어',
  '각',
  'Привет',
  'мир',
  'Ελληνικά',
  'עברית',
  'العربية',
  'हिन्दी',
  'ไทย',
  'தமிழ்',
  'ქართული',
  'አማርኛ',
  '𠮷野家',
  'Ꭰ',
  'ꭰ',
  'Å',
  '\u212b',
  'ﬁ',
  'Ω',
  '\ufa10',
  '\u0958',
];
const SIGNS = [
  '.',
  ',',
  '!',
  '?',
  '...',
  '--',
  '---',
  '_',
  '__',
  '/',
  '//',
  '/*',
  '*/',
  '#',
  '##',
  '```',
  '"',
  '("',
  '")',
  '[',
  ']',
  '{',
  '}',
  '{}',
  '<',
  '>',
  '=>',
  '==',
  '&&',
  '||',
  '$',
  '€',
  '^',
  '^^^^',
  '~',
  '@',
  '\\',
  '\\n',
  '°',
  '±',
  '。',
  '，',
  '「',
  '」',
  '…',
  '—',
  '¿',
  '%',
  '+',
  '=',
  ';',
  ':',
  '://',
];
const EMOJI = ['😀', '👍🏽', '👨‍👩‍👧‍👦', '🏳️‍🌈', '🇩🇪', '1️⃣', '❤️', '🤷🏻‍♀️', '🫠', '⌚', '☃', '🧑🏿‍🚀'];
const MARKS = ['\u0301', '\u0308', '\u20dd', '\ufe0f', '\u200d', '\u0903', '\u0e31', '\u3099', '\u1ab0'];
const SURROGATES = ['\ud800', '\udfff', '\udc00', '\ud83d', '\ude00\ud83d'];
const CONTROL_TEXT = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|endofprompt|>',
  '<|fim_prefix|>',
  '<|begin_of_text|>',
  '<|eot_id|>',
  '<|',
  '|>',
  '<think>',
  '</think>',
  '<tool_call>',
  '<|im_start|>system\n',
  '<s>',
  '[INST]',
];
const CODE = [
  'function f(x) {\n  return x;\n}\n',
  'for (let i = 0; i < 10; i++) {\n\t\tfoo();\n\t}',
  '    def __init__(self):\n        pass\n\n',
  'SELECT * FROM t WHERE a = 1;',
  '{"key": [1, 2.5, null, true], "s": "\\u00e9"}',
  '<div class="a">&nbsp;</div>',
  'https://example.com/a/b?c=d&e=f#g',
  'x_1 = y[3:-1]',
  '#!/bin/sh\n',
  '  \n  \n',
];

const POOLS = [
  WHITE_SPACE,
  WHITE_SPACE,
  NOT_WHITE_SPACE,
  CONTRACTIONS,
  DIGITS,
  WORDS,
  WORDS,
  SCRIPTS,
  SIGNS,
  SIGNS,
  EMOJI,
  MARKS,
  CONTROL_TEXT,
  CODE,
];

/** One string. `controlText: false` leaves out what looks like a control token of any vocabulary. */
export function fuzzText(random: Random): string {
  const kind = random();
  const length = Math.floor(random() ** 2 * 40) + 1;
  let text = '';
  for (let part = 0; part < length; part++)
    text += kind < 0.6 ? pick(random, pick(random, POOLS)) : kind < 0.75 ? randomCharacter(random) : mixed(random);
  return text;
}

function mixed(random: Random): string {
  const kind = random();
  if (kind < 0.3) return String.fromCharCode(32 + Math.floor(random() * 95));
  if (kind < 0.4) return pick(random, 'abcxyzABCXYZ').repeat(1 + Math.floor(random() ** 4 * 60));
  if (kind < 0.5) return pick(random, WHITE_SPACE).repeat(1 + Math.floor(random() ** 3 * 20));
  if (kind < 0.55) return pick(random, SIGNS).repeat(1 + Math.floor(random() ** 3 * 30));
  if (kind < 0.6) return pick(random, SURROGATES);
  if (kind < 0.7) return String.fromCharCode(0x80 + Math.floor(random() * 0x780));
  if (kind < 0.75) return String.fromCodePoint(0x4e00 + Math.floor(random() * 0x5000)).repeat(1 + Math.floor(random() * 3));
  return pick(random, pick(random, POOLS));
}

function randomCharacter(random: Random): string {
  const planes = [0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000];
  return String.fromCodePoint(Math.floor(random() * pick(random, planes)));
}

function pick<Item>(random: Random, from: ArrayLike<Item>): Item {
  return from[Math.floor(random() * from.length)] as Item;
}
