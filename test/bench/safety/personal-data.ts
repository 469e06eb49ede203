/** Generated personal data and secrets, their check digits right, and look-alikes whose check digits are wrong or which are something else. */
import { createHash } from 'node:crypto';
import type { SpanKind } from '../../../layers/safety/index.ts';
import { createRandom } from '../../../models/safety/examples.ts';

export interface PlantedText {
  readonly text: string;
  readonly kind: SpanKind;
  readonly value: string;
}

const sentences = [
  'Please use {} for the booking.',
  'My details: {}',
  'I wrote {} on the form, is that right?',
  'The customer gave us {}, thanks.',
  'Contact: {}. Best wishes',
  '{} is what they sent me',
  'Hi, can you check ({}) again?',
  'see "{}" below',
];

type Random = () => number;
const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
const digits = (random: Random, count: number) => Array.from({ length: count }, () => Math.floor(random() * 10)).join('');
const from = (random: Random, alphabet: string, count: number) => Array.from({ length: count }, () => pick(random, [...alphabet])).join('');
const letters = 'abcdefghijklmnopqrstuvwxyz';
const hex = '0123456789abcdef';
const alphanumeric = `${letters}${letters.toUpperCase()}0123456789`;

/** Appends the Luhn digit, computed here by its textbook rule. */
function withLuhn(payload: string): string {
  const sum = [...payload].reverse().reduce((total, digit, index) => {
    const value = index % 2 === 0 ? Number(digit) * 2 : Number(digit);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return payload + ((10 - (sum % 10)) % 10);
}

function iban(random: Random): string {
  const [country, length] = pick(random, [
    ['DE', 18],
    ['FR', 23],
    ['ES', 20],
    ['AT', 16],
    ['PL', 24],
    ['BE', 12],
  ] as const);
  const account = digits(random, length);
  const value = BigInt([...`${account}${country}00`].map((sign) => (sign >= 'A' ? String(sign.charCodeAt(0) - 55) : sign)).join(''));
  return `${country}${String(98n - (value % 97n)).padStart(2, '0')}${account}`;
}

const base58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
function bitcoin(random: Random): string {
  const payload = Buffer.from([0, ...Array.from({ length: 20 }, () => Math.floor(random() * 256))]);
  const hash = (data: Buffer) => createHash('sha256').update(data).digest();
  let value = BigInt(`0x${Buffer.concat([payload, hash(hash(payload)).subarray(0, 4)]).toString('hex')}`);
  let address = '';
  for (; value > 0n; value /= 58n) address = base58[Number(value % 58n)] + address;
  return `1${address}`;
}

const grouped = (text: string, size: number, separator: string) => text.match(new RegExp(`.{1,${size}}`, 'g'))?.join(separator) ?? text;
const card = (random: Random) => {
  const plain = withLuhn(pick(random, ['4', '51', '55', '2720']).padEnd(4, '0') + digits(random, 11));
  return pick(random, [plain, grouped(plain, 4, ' '), grouped(plain, 4, '-')]);
};

const makers: readonly (readonly [SpanKind, (random: Random) => string])[] = [
  [
    'email',
    (r) =>
      `${from(r, letters, 5)}${pick(r, ['.', '_', '+', ''])}${from(r, letters, 6)}@${from(r, letters, 7)}.${pick(r, ['com', 'org', 'co.uk', 'de', 'io'])}`,
  ],
  ['card', card],
  ['card', (r) => withLuhn(`37${digits(r, 12)}`)],
  ['iban', (r) => pick(r, [iban(r), grouped(iban(r), 4, ' ')])],
  ['national_id', (r) => `${100 + Math.floor(r() * 500)}-${10 + Math.floor(r() * 80)}-${1000 + Math.floor(r() * 8000)}`],
  ['ip', (r) => Array.from({ length: 4 }, () => 1 + Math.floor(r() * 250)).join('.')],
  ['ip', (r) => `2001:db8:${from(r, hex, 4)}::${from(r, hex, 3)}`],
  ['mac', (r) => grouped(from(r, hex, 12), 2, pick(r, [':', '-']))],
  ['crypto_wallet', bitcoin],
  ['crypto_wallet', (r) => `0x${from(r, hex, 40)}`],
  [
    'phone',
    (r) =>
      pick(r, [
        `+49 30 ${digits(r, 1)}2${digits(r, 5)}`,
        `(415) 555-${2000 + Math.floor(r() * 7000)}`,
        `+1 212-555-${2000 + Math.floor(r() * 7000)}`,
        `+44 20 7946 0${digits(r, 3)}`,
      ]),
  ],
  ['api_key', (r) => `AKIA${from(r, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`],
  ['api_key', (r) => `ghp_${from(r, alphanumeric, 36)}`],
  ['api_key', (r) => `sk-proj-${from(r, alphanumeric, 48)}`],
  ['api_key', (r) => `xoxb-${digits(r, 12)}-${digits(r, 12)}-${from(r, alphanumeric, 24)}`],
  ['api_key', (r) => `AIza${from(r, `${alphanumeric}-_`, 34)}${pick(r, [...alphanumeric])}`],
  ['api_key', (r) => `sk_live_${from(r, alphanumeric, 24)}`],
  ['api_key', (r) => `glpat-${from(r, alphanumeric, 20)}`],
  ['api_key', (r) => `hf_${from(r, alphanumeric, 34)}`],
  [
    'jwt',
    (r) =>
      `${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.${Buffer.from(`{"sub":"${digits(r, 8)}"}`).toString('base64url')}.${from(r, alphanumeric, 43)}`,
  ],
  ['private_key', (r) => `-----BEGIN PRIVATE KEY-----\n${grouped(from(r, alphanumeric, 256), 64, '\n')}\n-----END PRIVATE KEY-----`],
  ['url_credentials', (r) => `postgres://${from(r, letters, 5)}:${from(r, alphanumeric, 9)}@db.example.com/app`],
];

/** `count` texts for each maker. */
export function plantPersonalData(count: number): PlantedText[] {
  const random = createRandom(3);
  return makers.flatMap(([kind, make]) =>
    Array.from({ length: count }, () => {
      const value = make(random);
      return { kind, value, text: pick(random, sentences).replace('{}', () => value) };
    }),
  );
}

const lookAlikes: readonly ((random: Random) => string)[] = [
  // Right shape, wrong check digit.
  (r) => spoil(withLuhn(`4${digits(r, 14)}`)),
  (r) => grouped(spoil(withLuhn(`51${digits(r, 13)}`)), 4, ' '),
  (r) => spoil(iban(r)),
  (r) => spoil(bitcoin(r)),
  // Something else.
  (r) => `${Math.floor(r() * 4)}.${Math.floor(r() * 20)}.${Math.floor(r() * 20)}`,
  (r) => `version ${Math.floor(r() * 9)}.${Math.floor(r() * 9)}.${Math.floor(r() * 9)}.${Math.floor(r() * 9)}`,
  (r) => `2024-0${1 + Math.floor(r() * 8)}-1${Math.floor(r() * 9)} 12:${10 + Math.floor(r() * 49)}:${10 + Math.floor(r() * 49)}`,
  (r) => `order ${digits(r, 9)}`,
  (r) => `${from(r, hex, 8)}-${from(r, hex, 4)}-4${from(r, hex, 3)}-a${from(r, hex, 3)}-${from(r, hex, 12)}`,
  (r) => `commit ${from(r, hex, 40)}`,
  (r) => `sha256:${from(r, hex, 64)}`,
  () => 'scikit-learn@1.4.2',
  (r) => `logo@2x.png and icon-${digits(r, 2)}@3x.png`,
  (r) => `git@github.com:acme/site-${digits(r, 2)}.git`,
  (r) => `ISBN 978-3-16-${digits(r, 6)}-0`,
  (r) => `${digits(r, 1)}.${digits(r, 5)}, ${digits(r, 2)}.${digits(r, 4)}`,
  () => 'std::vector<int>::iterator and sk-learn-contributors',
  (r) => `EUR ${1 + Math.floor(r() * 9)},${digits(r, 3)},${digits(r, 3)}.00`,
  () => 'the password: required field, and token: optional',
];

/** The last digit or letter becomes another one. */
function spoil(value: string): string {
  const last = value.at(-1) ?? '0';
  const other = last >= '0' && last <= '9' ? String((Number(last) + 3) % 10) : last === 'a' ? 'b' : 'a';
  return value.slice(0, -1) + other;
}

/** Texts in which nothing should be found. */
export function plantLookAlikes(count: number): string[] {
  const random = createRandom(4);
  return lookAlikes.flatMap((make) => Array.from({ length: count }, () => pick(random, sentences).replace('{}', () => make(random))));
}
