import { classOf, endOf, isAlphanumeric, letters } from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

const at = 64;
const dot = 46;
/** RFC 5321 4.5.3.1.1. */
const longestLocalPart = 64;
/** What looks like a domain after an `@` but ends in the name of a file. */
const fileEndings = new Set(['png', 'jpg', 'jpeg', 'gif', 'svg', 'webp', 'js', 'mjs', 'ts', 'css', 'json', 'html', 'txt', 'tgz', 'map']);

const localSigns = new Set([..."._%+-'!#$&*/=?^~"].map((sign) => sign.charCodeAt(0)));
const isLocal = (code: number) => isAlphanumeric(code) || localSigns.has(code);
const domainCharacters = classOf((code) => isAlphanumeric(code) || code === 45 || code === dot);

/** E-mail addresses (RFC 5322 dot-atoms with a domain name of at least two labels). */
export function recogniseEmail(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (!run.traits.hasAt) return;
  for (let sign = text.indexOf('@'); sign >= 0; sign = text.indexOf('@', sign + 1)) {
    let start = sign;
    while (start > 0 && sign - start < longestLocalPart && isLocal(text.charCodeAt(start - 1))) start -= 1;
    while (start < sign && !isAlphanumeric(text.charCodeAt(start))) start += 1;
    // `path/name@host` and `key=name@host`: the address begins after the last slash or equals sign.
    for (let index = sign - 1; index > start; index -= 1) {
      if (text[index - 1] === '/' || text[index - 1] === '=') start = index;
    }
    if (start === sign || text.charCodeAt(sign - 1) === dot || codeBefore(run, start) === at) continue;
    const end = domainEnd(text, sign + 1);
    if (end > 0 && text.slice(start, sign) !== 'git') report('email', start, end, 'email');
  }
}

/** End of a domain name that begins at `start`; 0 when there is none. */
function domainEnd(text: string, start: number): number {
  let end = endOf(text, start, domainCharacters);
  while (end > start && !isAlphanumeric(text.charCodeAt(end - 1))) end -= 1;
  const name = text.slice(start, end);
  const lastDot = name.lastIndexOf('.');
  const topLevel = name.slice(lastDot + 1);
  if (lastDot < 1 || name.includes('..') || topLevel.length < 2 || name.length > 253) return 0;
  if (endOf(topLevel, 0, letters) < topLevel.length && !topLevel.startsWith('xn--')) return 0;
  return fileEndings.has(topLevel.toLowerCase()) ? 0 : end;
}
