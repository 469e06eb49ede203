/** Text operations of Python's `str` that JavaScript has otherwise. https://docs.python.org/3/library/stdtypes.html#str.strip */

/** What `str.isspace` holds for: with U+001C to U+001F and U+0085, without U+FEFF. */
const WHITE_SPACE =
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';

/** @param characters a set of characters, not a prefix; white space by default. */
export function stripStart(text: string, characters: string = WHITE_SPACE): string {
  let start = 0;
  for (const character of text) {
    if (!characters.includes(character)) break;
    start += character.length;
  }
  return text.slice(start);
}

export function stripEnd(text: string, characters: string = WHITE_SPACE): string {
  let end = text.length;
  while (end > 0) {
    const pair = end > 1 && /[\ud800-\udbff]/.test(text.charAt(end - 2)) && /[\udc00-\udfff]/.test(text.charAt(end - 1));
    const start = end - (pair ? 2 : 1);
    if (!characters.includes(text.slice(start, end))) break;
    end = start;
  }
  return text.slice(0, end);
}

export function strip(text: string, characters?: string): string {
  return stripEnd(stripStart(text, characters), characters);
}

/** Length in code points. */
export function countCodePoints(text: string): number {
  let count = text.length;
  for (let at = 1; at < text.length; at++) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800) count -= 1;
  }
  return count;
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];

/** `datetime.strftime` in the C locale and UTC, for the directives that chat templates use; others stay as they are. */
export function formatDate(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = DAYS[date.getUTCDay()] ?? '';
  const month = MONTHS[date.getUTCMonth()] ?? '';
  const directives: Readonly<Record<string, string>> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(date.getUTCDate()),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getUTCHours()),
    I: two(date.getUTCHours() % 12 || 12),
    p: date.getUTCHours() < 12 ? 'AM' : 'PM',
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    '%': '%',
  };
  return format.replace(/%(.)/g, (whole, directive: string) => directives[directive] ?? whole);
}
