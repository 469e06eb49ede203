import { alphanumerics, digits, endOf, isAlphanumeric, isDigit } from './characters.ts';
import * as checksums from './checksums.ts';
import { type ContextName, codeBefore, type ReportMatch, type Run } from './run.ts';

const contextDistance = 48;
const isJoint = (code: number) => code === 32 || code === 45 || code === 46 || code === 47;

interface IdFormat {
  readonly rule: ContextName;
  /** One letter for each character of the id without separators: 9 digit, A letter, X either; anything else stands for itself. */
  readonly shape: string;
  /** Lengths of the groups in which the id is written. An id in one piece, or in other groups, needs a word before it. */
  readonly groups: readonly (readonly number[])[];
  readonly passes?: (id: string) => boolean;
  /** The shape and its check say enough: no word is needed even in one piece. */
  readonly standsAlone?: boolean;
}

/**
 * Identity numbers of persons. An id counts when its check digits hold (where there are any) and either its grouping is the country's own
 * or a word such as "SSN" stands before it: nine bare digits are an order number more often than an SSN.
 */
const formats: readonly IdFormat[] = [
  { rule: 'us-ssn', shape: '999999999', groups: [[3, 2, 4]], passes: isSsn },
  { rule: 'us-itin', shape: '999999999', groups: [[3, 2, 4]], passes: isItin },
  { rule: 'uk-nino', shape: 'AA999999A', groups: [[2, 2, 2, 2, 1]], passes: isNino, standsAlone: true },
  { rule: 'uk-nhs', shape: '9999999999', groups: [], passes: checksums.passesNhs },
  { rule: 'ca-sin', shape: '999999999', groups: [], passes: checksums.passesLuhn },
  { rule: 'de-tax', shape: '99999999999', groups: [], passes: checksums.passesGermanTaxId },
  { rule: 'fr-insee', shape: '999999999999999', groups: [[1, 2, 2, 2, 3, 3, 2]], passes: isInsee, standsAlone: true },
  { rule: 'es-dni', shape: '99999999A', groups: [[8, 1]], passes: checksums.passesSpanishId, standsAlone: true },
  { rule: 'es-dni', shape: 'A9999999A', groups: [[1, 7, 1]], passes: isNie, standsAlone: true },
  { rule: 'it-codice-fiscale', shape: 'AAAAAA99A99A999A', groups: [], passes: checksums.passesCodiceFiscale, standsAlone: true },
  { rule: 'nl-bsn', shape: '999999999', groups: [], passes: checksums.passesBsn },
  { rule: 'pl-pesel', shape: '99999999999', groups: [], passes: isPesel },
  { rule: 'se-personnummer', shape: '9999999999', groups: [[6, 4]], passes: isPersonnummer },
  { rule: 'se-personnummer', shape: '999999999999', groups: [[8, 4]], passes: (id) => isPersonnummer(id.slice(2)) },
  { rule: 'au-tfn', shape: '999999999', groups: [], passes: checksums.passesTfn },
  { rule: 'in-aadhaar', shape: '999999999999', groups: [[4, 4, 4]], passes: (id) => id > '2' && checksums.passesVerhoeff(id) },
  { rule: 'in-pan', shape: 'AAAAA9999A', groups: [], passes: (id) => 'PCHABGJLFT'.includes(id[3] ?? '-'), standsAlone: true },
  { rule: 'br-cpf', shape: '99999999999', groups: [[3, 3, 3, 2]], passes: checksums.passesCpf },
  { rule: 'cn-id', shape: '99999999999999999X', groups: [], passes: isChineseId, standsAlone: true },
  { rule: 'jp-my-number', shape: '999999999999', groups: [], passes: checksums.passesMyNumber },
  { rule: 'kr-rrn', shape: '9999999999999', groups: [[6, 7]], passes: isKoreanId },
];

const formatsByLength = new Map<number, readonly IdFormat[]>();
for (const format of formats) formatsByLength.set(format.shape.length, [...(formatsByLength.get(format.shape.length) ?? []), format]);
const mostGroups = 7;
const shortestId = 9;
const fewestDigits = 4;

/** The groups so far to those that may follow, by `groupKey`: of ids that need no word before them. */
interface Grouping {
  readonly next: Map<number, Grouping>;
  isWhole: boolean;
}
/** A group's length and whether it has digits only. */
const groupKey = (length: number, isNumber: boolean) => length * 2 + (isNumber ? 1 : 0);
const keyOf = (text: string, start: number, end: number) => groupKey(end - start, endOf(text, start, digits) === end);
const groupings = createGroupings();

function createGroupings(): Grouping {
  const root: Grouping = { next: new Map(), isWhole: false };
  for (const { shape, groups, standsAlone } of formats) {
    for (const sizes of standsAlone === true ? [...groups, [shape.length]] : groups) {
      let nodes = [root];
      let start = 0;
      for (const size of sizes) {
        const group = shape.slice(start, start + size);
        const keys = [...(/^[9X]*$/.test(group) ? [groupKey(size, true)] : []), ...(/^9*$/.test(group) ? [] : [groupKey(size, false)])];
        nodes = nodes.flatMap((node) => keys.map((key) => nextOf(node, key)));
        start += size;
      }
      for (const node of nodes) node.isWhole = true;
    }
  }
  return root;
}

function nextOf(node: Grouping, key: number): Grouping {
  const next = node.next.get(key) ?? { next: new Map(), isWhole: false };
  node.next.set(key, next);
  return next;
}

/** Identity numbers of persons, see `formats`. */
export function recogniseNationalIds(run: Run, report: ReportMatch): void {
  const { text, traits } = run;
  if (traits.digits < fewestDigits || traits.alphanumerics < shortestId) return;
  const hasWord = formats.some((format) => run.mayHaveContext(format.rule, contextDistance));
  for (let start = 0; start + shortestId <= text.length; start += 1) {
    if (!isAlphanumeric(text.charCodeAt(start))) continue;
    const groupEnd = endOf(text, start, alphanumerics);
    const before = codeBefore(run, start);
    const mayBegin = hasWord || groupings.next.has(keyOf(text, start, groupEnd));
    if (mayBegin && !isAlphanumeric(before) && before !== 46 && before !== 95) {
      const end = recogniseFrom(run, start, hasWord, report);
      if (end > 0) {
        start = end;
        continue;
      }
    }
    start = groupEnd;
  }
}

/**
 * Tries every id that can begin at this group; gives the end of the one found, or 0.
 * @param hasWord whether a word that names an id stands near: without one only the groupings above can be ids
 */
function recogniseFrom(run: Run, start: number, hasWord: boolean, report: ReportMatch): number {
  const { text } = run;
  let length = 0;
  let groupCount = 0;
  let size = 0;
  let end = start;
  let grouping: Grouping | undefined = groupings;
  while (length < 18) {
    const sizeBefore = size;
    const groupEnd = endOf(text, end, alphanumerics);
    grouping = grouping?.next.get(keyOf(text, end, groupEnd));
    if (groupEnd === end || (grouping === undefined && !hasWord)) return 0;
    size = groupEnd - end;
    length += size;
    groupCount += 1;
    end = groupEnd;
    // No id has two groups of one character in a row, and none so many groups: rows of numbers end here.
    if (groupCount > mostGroups || (size === 1 && sizeBefore === 1)) return 0;
    // "12-34-5678-9": the id must end where its groups end.
    const joint = text.charCodeAt(end);
    const goesOn = isJoint(joint) && isDigit(text.charCodeAt(end + 1)) && (joint !== 32 || text.charCodeAt(end - size - 1) === 32);
    const mayEnd = (hasWord || grouping?.isWhole === true) && !goesOn && text[end] !== '_';
    const found = mayEnd ? formatOf(run, start, end, length, hasWord) : undefined;
    if (found !== undefined) {
      report('national_id', start, end, found.rule);
      return end;
    }
    if (!isJoint(text.charCodeAt(end))) return 0;
    end += 1;
  }
  return 0;
}

/** The format that the groups from `start` to `end` are an id of. */
function formatOf(run: Run, start: number, end: number, length: number, hasWord: boolean): IdFormat | undefined {
  const formats = formatsByLength.get(length);
  if (formats === undefined) return undefined;
  const groups = run.text.slice(start, end).split(/[^a-zA-Z0-9]/);
  const [id, sizes] = [groups.join(''), groups.map((group) => group.length)];
  return formats.find((format) => isId(run, format, start, id, sizes, hasWord));
}

function isId(run: Run, format: IdFormat, start: number, id: string, groups: readonly number[], hasWord: boolean): boolean {
  const isGrouped = format.groups.some((sizes) => sizes.length === groups.length && sizes.every((size, index) => size === groups[index]));
  const isAlone = groups.length === 1 && format.standsAlone === true;
  if (!isGrouped && !isAlone && !hasWord) return false;
  const upper = id.toUpperCase();
  if (!hasShape(upper, format.shape)) return false;
  if (!isGrouped && !(isAlone && upper === id) && !run.hasContext(format.rule, start, contextDistance)) return false;
  return format.passes?.(upper) ?? true;
}

function hasShape(id: string, shape: string): boolean {
  if (id.length !== shape.length) return false;
  for (let index = 0; index < id.length; index += 1) {
    const isNumber = isDigit(id.charCodeAt(index));
    if (shape[index] === '9' ? !isNumber : shape[index] === 'A' && isNumber) return false;
  }
  return true;
}

/** Social Security Administration: no area 000, 666 or 900 to 999, no group 00, no serial 0000. */
function isSsn(id: string): boolean {
  const area = Number(id.slice(0, 3));
  return (
    area !== 0 &&
    area !== 666 &&
    area < 900 &&
    id.slice(3, 5) !== '00' &&
    id.slice(5) !== '0000' &&
    id !== '078051120' &&
    id !== '219099999'
  );
}

/** IRS: 9xx with 50 to 65, 70 to 88, 90 to 92 or 94 to 99 in the middle. */
function isItin(id: string): boolean {
  const middle = Number(id.slice(3, 5));
  return id[0] === '9' && ((middle >= 50 && middle <= 65) || (middle >= 70 && middle !== 89 && middle !== 93));
}

function isNino(id: string): boolean {
  return !/^[DFIQUV]|^.[DFIQUVO]|^(BG|GB|KN|NK|NT|TN|ZZ)/.test(id) && 'ABCD'.includes(id[8] ?? '-');
}

function isInsee(id: string): boolean {
  const month = Number(id.slice(3, 5));
  return (id[0] === '1' || id[0] === '2') && month >= 1 && month <= 42 && checksums.passesInsee(id);
}

function isNie(id: string): boolean {
  return 'XYZ'.includes(id[0] ?? '-') && checksums.passesSpanishId(id);
}

function isPersonnummer(id: string): boolean {
  const day = Number(id.slice(4, 6));
  return isMonth(Number(id.slice(2, 4))) && ((day >= 1 && day <= 31) || (day >= 61 && day <= 91)) && checksums.passesLuhn(id);
}

function isPesel(id: string): boolean {
  return isMonth(Number(id.slice(2, 4)) % 20) && isDay(Number(id.slice(4, 6))) && checksums.passesPesel(id);
}

function isChineseId(id: string): boolean {
  const year = Number(id.slice(6, 10));
  return (
    year >= 1900 && year < 2100 && isMonth(Number(id.slice(10, 12))) && isDay(Number(id.slice(12, 14))) && checksums.passesChineseId(id)
  );
}

function isKoreanId(id: string): boolean {
  const isNew = id[6] === '3' || id[6] === '4' || id[6] === '7' || id[6] === '8';
  return isMonth(Number(id.slice(2, 4))) && isDay(Number(id.slice(4, 6))) && id[6] !== '0' && (isNew || checksums.passesKoreanId(id));
}

const isMonth = (month: number) => month >= 1 && month <= 12;
const isDay = (day: number) => day >= 1 && day <= 31;
