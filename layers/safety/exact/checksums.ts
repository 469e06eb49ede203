/** Check digits. Every function takes digits (or letters and digits, where the standard has them) without separators. */

const digitAt = (digits: string, index: number): number => digits.charCodeAt(index) - 48;

/** Sum of digit x weight. */
function weightedSum(digits: string, weights: readonly number[]): number {
  return weights.reduce((sum, weight, index) => sum + weight * digitAt(digits, index), 0);
}

/** ISO/IEC 7812-1 annex B: cards, Canadian SIN, Swedish personnummer. */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = digits.length - 1, double = false; index >= 0; index -= 1, double = !double) {
    const value = double ? digitAt(digits, index) * 2 : digitAt(digits, index);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

/** ISO/IEC 7064 MOD 97-10 as IBAN uses it (ISO 13616): the first four characters go to the end, letters count from 10. */
export function passesMod97(iban: string): boolean {
  let remainder = 0;
  for (let index = 0; index < iban.length; index += 1) {
    const code = iban.charCodeAt((index + 4) % iban.length);
    remainder = code >= 65 ? (remainder * 100 + code - 55) % 97 : (remainder * 10 + code - 48) % 97;
  }
  return remainder === 1;
}

const verhoeffTimes = [
  '0123456789',
  '1234067895',
  '2340178956',
  '3401289567',
  '4012395678',
  '5987604321',
  '6598710432',
  '7659821043',
  '8765932104',
  '9876543210',
];
const verhoeffTurns = ['0123456789', '1576283094', '5803796142', '8916043527', '9453126870', '4286573901', '2793806415', '7046913258'];

/** Verhoeff (1969): Aadhaar. */
export function passesVerhoeff(digits: string): boolean {
  let state = 0;
  for (let index = 0; index < digits.length; index += 1) {
    const turn = verhoeffTurns[index % 8] ?? '';
    const turned = digitAt(turn, digitAt(digits, digits.length - 1 - index));
    state = digitAt(verhoeffTimes[state] ?? '', turned);
  }
  return state === 0;
}

/** UK NHS number: ten digits, modulus 11. */
export function passesNhs(digits: string): boolean {
  const check = 11 - (weightedSum(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11);
  return check !== 10 && check % 11 === digitAt(digits, 9);
}

/** Dutch BSN: the eleven test. */
export function passesBsn(digits: string): boolean {
  return weightedSum(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0;
}

/** Polish PESEL. */
export function passesPesel(digits: string): boolean {
  return (10 - (weightedSum(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10 === digitAt(digits, 10);
}

/** Australian tax file number, nine digits. */
export function passesTfn(digits: string): boolean {
  return weightedSum(digits, [1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 === 0;
}

/** German tax id: ISO/IEC 7064 MOD 11,10, and exactly one digit is repeated among the first ten. */
export function passesGermanTaxId(digits: string): boolean {
  let product = 10;
  for (let index = 0; index < 10; index += 1) {
    const sum = (digitAt(digits, index) + product) % 10 || 10;
    product = (sum * 2) % 11;
  }
  const check = 11 - product;
  const different = new Set(digits.slice(0, 10)).size;
  return digits[0] !== '0' && (different === 9 || different === 8) && (check === 10 ? 0 : check) === digitAt(digits, 10);
}

/** Brazilian CPF: eleven digits, two of them checks. */
export function passesCpf(digits: string): boolean {
  if (new Set(digits).size === 1) return false;
  const check = (length: number) => {
    let sum = 0;
    for (let index = 0; index < length; index += 1) sum += digitAt(digits, index) * (length + 1 - index);
    return ((sum * 10) % 11) % 10;
  };
  return check(9) === digitAt(digits, 9) && check(10) === digitAt(digits, 10);
}

/** Chinese resident identity number, GB 11643-1999: ISO/IEC 7064 MOD 11-2. */
export function passesChineseId(id: string): boolean {
  const sum = weightedSum(id, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
  return '10X98765432'[sum % 11] === id[17]?.toUpperCase();
}

/** Japanese My Number: twelve digits. */
export function passesMyNumber(digits: string): boolean {
  const remainder = weightedSum(digits, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
  return (remainder <= 1 ? 0 : 11 - remainder) === digitAt(digits, 11);
}

/** Korean resident registration number. Numbers given out since October 2020 have no check digit. */
export function passesKoreanId(digits: string): boolean {
  return (11 - (weightedSum(digits, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11)) % 10 === digitAt(digits, 12);
}

/** Spanish DNI and NIE: the letter is the number modulo 23. */
export function passesSpanishId(id: string): boolean {
  const start = 'XYZ'.indexOf(id[0] ?? '');
  const number = Number(start < 0 ? id.slice(0, -1) : start + id.slice(1, -1));
  return 'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23] === id.at(-1);
}

/** French social security number: thirteen digits and a two-digit key. */
export function passesInsee(digits: string): boolean {
  return 97 - Number(BigInt(digits.slice(0, 13)) % 97n) === Number(digits.slice(13));
}

const codiceFiscaleOdd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/** Italian codice fiscale: sixteen letters and digits, the last one a check letter. */
export function passesCodiceFiscale(code: string): boolean {
  let sum = 0;
  for (let index = 0; index < 15; index += 1) {
    const unit = code.charCodeAt(index);
    const value = unit >= 65 ? unit - 65 : unit - 48;
    sum += index % 2 === 0 ? (codiceFiscaleOdd[value] ?? 0) : value;
  }
  return 65 + (sum % 26) === code.charCodeAt(15);
}
