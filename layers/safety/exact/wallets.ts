import { createHash } from 'node:crypto';
import { alphanumerics, classOf, endOf, hexDigits, isAlphanumeric } from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

const base58Alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const bech32Alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
/** A zero in base58. */
const ones = classOf((code) => code === 49);
/** Of bech32: a prefix of two characters, the separator, and a checksum of six. Base58check has 26. */
const shortestAddress = 14;
/** Version byte of a base58check address to its chain. */
const versions: ReadonlyMap<number, string> = new Map([
  [0x00, 'bitcoin'],
  [0x05, 'bitcoin'],
  [0x1e, 'dogecoin'],
  [0x30, 'litecoin'],
  [0x32, 'litecoin'],
  [0x41, 'tron'],
  [0x4c, 'dash'],
]);

/** Addresses of crypto wallets: base58check, bech32 (BIP 173, BIP 350), and Ethereum's 40 hexadecimal digits. */
export function recogniseWallets(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (run.traits.longestWord < shortestAddress) return;
  for (let start = 0; start < text.length; start += 1) {
    if (!isAlphanumeric(text.charCodeAt(start))) continue;
    const end = endOf(text, start, alphanumerics);
    const before = codeBefore(run, start);
    if (!isAlphanumeric(before) && (run.isOver || end < text.length)) {
      const chain = chainOf(text.slice(start, end));
      if (chain !== undefined) report('crypto_wallet', start, end, chain);
    }
    start = end;
  }
}

function chainOf(word: string): string | undefined {
  if (word.length === 42 && word.startsWith('0x') && endOf(word, 2, hexDigits) === 42) return 'ethereum';
  const lower = word.toLowerCase();
  if (word.length >= shortestAddress && word.length <= 90 && (lower === word || word.toUpperCase() === word)) {
    if ((lower.startsWith('bc1') || lower.startsWith('ltc1') || lower.startsWith('tb1')) && passesBech32(lower))
      return lower.startsWith('l') ? 'litecoin' : 'bitcoin';
  }
  if (word.length < 26 || word.length > 35) return undefined;
  const bytes = decodeBase58(word);
  if (bytes === undefined || bytes.length !== 25) return undefined;
  const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
  const check = sha256(sha256(bytes.subarray(0, 21)));
  return check.subarray(0, 4).equals(bytes.subarray(21)) ? versions.get(bytes[0] ?? -1) : undefined;
}

function decodeBase58(word: string): Uint8Array | undefined {
  let value = 0n;
  for (const character of word) {
    const digit = base58Alphabet.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  const zeros = endOf(word, 0, ones);
  const hex = value.toString(16);
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')]);
}

function passesBech32(word: string): boolean {
  const separator = word.lastIndexOf('1');
  const prefix = [...word.slice(0, separator)].map((character) => character.charCodeAt(0));
  const values = [...word.slice(separator + 1)].map((character) => bech32Alphabet.indexOf(character));
  if (values.includes(-1)) return false;
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let sum = 1;
  for (const value of [...prefix.map((code) => code >> 5), 0, ...prefix.map((code) => code & 31), ...values]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    generators.forEach((generator, index) => {
      if ((top >> index) & 1) sum ^= generator;
    });
  }
  return sum === 1 || sum === 0x2bc830a3;
}
