import { classOf, endOf, hexDigits, isAlphanumeric, isDigit, isHex } from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

const dot = 46;
const colon = 58;
const addressCharacters = classOf((code) => isHex(code) || code === colon || code === dot || code === 45);
/** RFC 3986 3.2: the authority ends at the first slash, question mark or number sign; passwords in the wild hold `@`. */
const authorityCharacters = classOf((code) => code !== 47 && code !== 63 && code !== 35);
/** Eight groups, the last two as dotted decimal. */
const longestIpv6 = 45;
const longestIpv4 = 15;
const unremarkable = new Set(['127.0.0.1', '0.0.0.0', '255.255.255.255', '255.255.255.0']);

/** IPv4 in dotted decimal, IPv6 (RFC 4291 2.2) and MAC addresses (three notations). Loopback and masks are nobody's data. */
export function recogniseNetworkAddresses(run: Run, report: ReportMatch): void {
  const { text, traits } = run;
  if (traits.dots < 2 && traits.colons < 2 && traits.hyphens < 5) return;
  let index = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if ((!isHex(code) && code !== colon) || isAlphanumeric(codeBefore(run, index))) {
      index += 1;
      continue;
    }
    const end = endOf(text, index, addressCharacters);
    if (!isAlphanumeric(text.charCodeAt(end))) recognisePiece(run, index, end, report);
    index = Math.max(end, index + 1);
  }
}

function recognisePiece(run: Run, from: number, to: number, report: ReportMatch): void {
  let start = from;
  let end = to;
  while (end > start && !isHex(run.text.charCodeAt(end - 1)) && !run.text.startsWith('::', end - 2)) end -= 1;
  // One leading colon or hyphen is punctuation ("host:10.0.0.1", ":::1" is not an address).
  while (start < end && !isHex(run.text.charCodeAt(start)) && !run.text.startsWith('::', start)) start += 1;
  const piece = run.text.slice(start, end);
  if (isMac(piece)) {
    report('mac', start, end, 'mac');
    return;
  }
  const port = piece.indexOf(':');
  if (port !== piece.lastIndexOf(':') && piece.length <= longestIpv6 && isIpv6(piece)) {
    report('ip', start, end, 'ipv6');
    return;
  }
  // "10.0.0.1:8080": the port is not part of the address.
  const address = port < 0 ? piece : piece.slice(0, port);
  if (codeBefore(run, start) === dot || address.length > longestIpv4 || !isIpv4(address) || unremarkable.has(address)) return;
  if (!run.hasContext('version', start, 12)) report('ip', start, start + address.length, 'ipv4');
}

function isIpv4(text: string): boolean {
  const octets = text.split('.');
  return octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) < 256 && String(Number(octet)) === octet);
}

/** Groups of up to four hexadecimal digits, one gap "::" at most, and perhaps an IPv4 address at the end. */
function isIpv6(text: string): boolean {
  let groups = 0;
  let gap = -1;
  let hasDigit = false;
  let index = 0;
  while (index < text.length) {
    if (text.startsWith('::', index)) {
      if (gap >= 0) return false;
      gap = index;
      index += 2;
    } else if (index > 0) {
      if (text.charCodeAt(index) !== colon) return false;
      index += 1;
    }
    const end = endOf(text, index, hexDigits);
    // The address at the end stands for two groups.
    if (text.charCodeAt(end) === dot) return isIpv4(text.slice(index)) && (gap < 0 ? groups === 6 : groups < 6);
    if (end === index && end === text.length && gap + 2 === end && gap >= 0) break;
    if (end === index || end - index > 4) return false;
    for (; index < end; index += 1) hasDigit ||= isDigit(text.charCodeAt(index));
    groups += 1;
  }
  if (gap < 0) return groups === 8;
  // "a::b" is a name in C++ and Rust; an address of that shape has a digit, or three groups.
  return groups < 8 && groups >= 2 && (groups >= 3 || hasDigit);
}

function isMac(text: string): boolean {
  if (text.length === 17 && (text[2] === ':' || text[2] === '-')) {
    const pairs = text.split(text[2]);
    return pairs.length === 6 && pairs.every((pair) => /^[0-9a-fA-F]{2}$/.test(pair));
  }
  return text.length === 14 && text.split('.').length === 3 && text.split('.').every((group) => /^[0-9a-fA-F]{4}$/.test(group));
}

/** The user and password of a URL: `scheme://user:password@host`. */
export function recogniseUrlCredentials(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (!run.traits.hasAt) return;
  for (let mark = text.indexOf('://'); mark >= 0; mark = text.indexOf('://', mark + 3)) {
    const start = mark + 3;
    if (!isAlphanumeric(text.charCodeAt(mark - 1))) continue;
    const end = endOf(text, start, authorityCharacters);
    const authority = text.slice(start, end);
    const sign = authority.lastIndexOf('@');
    const separator = authority.indexOf(':');
    if (sign > 0 && separator >= 0 && separator < sign - 1) report('url_credentials', start, start + sign, 'url');
  }
}
