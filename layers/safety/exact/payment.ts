import { digits, endOf, isAlphanumeric, isDigit, isLetter, isUpper } from './characters.ts';
import { passesLuhn, passesMod97 } from './checksums.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

/** Lengths of an IBAN by country, from the SWIFT registry. */
const ibanLengths: Readonly<Record<string, number>> = Object.fromEntries(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 ' +
    'GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 ' +
    'MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 ' +
    'TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);

const shortestCard = 12;
const shortestIban = 15;
const isSeparator = (code: number) => code === 32 || code === 45;

/** Payment cards: a known network's prefix and length (ISO/IEC 7812), Luhn, in one piece or in groups. */
export function recogniseCards(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (run.traits.digits < shortestCard) return;
  for (let index = 0; index < text.length; index += 1) {
    if (!isDigit(text.charCodeAt(index))) continue;
    const before = codeBefore(run, index);
    const groupStart = index;
    index = endOf(text, index, digits) - 1;
    if (isAlphanumeric(before) || before === 46 || before === 95 || !mayBeginCard(text, groupStart, index + 1)) continue;
    const card = findCard(text, groupStart);
    if (card === undefined) continue;
    report('card', groupStart, card.end, card.network);
    index = card.end - 1;
  }
}

/** The networks begin with 2 to 6, and no card is written with fewer than four digits first. */
function mayBeginCard(text: string, start: number, end: number): boolean {
  const first = text.charCodeAt(start);
  return end - start >= 4 && first >= 50 && first <= 54;
}

function findCard(text: string, start: number): { end: number; network: string } | undefined {
  const four = Number(text.slice(start, start + 4));
  let length = 0;
  let end = start;
  let separator = 0;
  let groups = 0;
  while (length <= 19) {
    const groupEnd = endOf(text, end, digits);
    // Cards are written 4-4-4-4, 4-6-5 or in one piece: smaller groups are rows of numbers.
    if (groupEnd - end < 3) return undefined;
    length += groupEnd - end;
    end = groupEnd;
    groups += 1;
    const next = text.charCodeAt(end);
    if (isLetter(next) || next === 95) return undefined;
    const network = length >= shortestCard && (groups === 1 || groups >= 3) ? networkOf(four, length) : undefined;
    if (network !== undefined && isCardNumber(text.slice(start, end))) return { end, network };
    if (!isSeparator(next) || (separator !== 0 && next !== separator)) return undefined;
    separator = next;
    end += 1;
  }
  return undefined;
}

function isCardNumber(written: string): boolean {
  const digits = written.replace(/[ -]/g, '');
  return passesLuhn(digits) && new Set(digits).size > 1;
}

/** @param four the first four digits */
function networkOf(four: number, length: number): string | undefined {
  const two = Math.floor(four / 100);
  if (four >= 4000 && four <= 4999) return length === 13 || length === 16 || length === 19 ? 'visa' : undefined;
  if (length === 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))) return 'mastercard';
  if (length === 15 && (two === 34 || two === 37)) return 'amex';
  if (length >= 14 && (two === 36 || two === 38 || two === 39 || (four >= 3000 && four <= 3059) || four === 3095)) return 'diners';
  if (length >= 16 && (two === 65 || four === 6011 || (four >= 6440 && four <= 6499))) return 'discover';
  if (length >= 16 && two === 62) return 'unionpay';
  if (length >= 16 && four >= 3528 && four <= 3589) return 'jcb';
  if (
    length >= 12 &&
    (four === 5018 || four === 5020 || four === 5038 || four === 5893 || four === 6304 || (four >= 6759 && four <= 6763))
  ) {
    return 'maestro';
  }
  return undefined;
}

/** International bank account numbers (ISO 13616): in one piece in any case, or in groups of capitals and digits. */
export function recogniseIban(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (run.traits.digits === run.traits.alphanumerics || run.traits.alphanumerics < shortestIban) return;
  for (let index = 0; index + shortestIban <= text.length; index += 1) {
    if (!isLetter(text.charCodeAt(index)) || !isDigit(text.charCodeAt(index + 2)) || !isDigit(text.charCodeAt(index + 3))) continue;
    const length = ibanLengths[text.slice(index, index + 2).toUpperCase()];
    if (length === undefined || isAlphanumeric(codeBefore(run, index))) continue;
    const end = collectIban(text, index, length);
    if (end > 0) report('iban', index, end, text.slice(index, index + 2).toUpperCase());
  }
}

/** End of a valid IBAN of this length, 0 when there is none. */
function collectIban(text: string, start: number, length: number): number {
  let iban = '';
  let index = start;
  let grouped = false;
  for (; index < text.length && iban.length < length; index += 1) {
    const code = text.charCodeAt(index);
    if (isAlphanumeric(code)) iban += text[index];
    else if (isSeparator(code) && isAlphanumeric(text.charCodeAt(index + 1))) grouped = true;
    else return 0;
  }
  if (iban.length < length || isAlphanumeric(text.charCodeAt(index))) return 0;
  if (grouped && ![...iban].every((character) => isUpper(character.charCodeAt(0)) || isDigit(character.charCodeAt(0)))) return 0;
  return passesMod97(iban.toUpperCase()) ? index : 0;
}
