/**
 * Normalization form C as Hugging Face's tokenizers does it, whose tables (crate `unicode-normalization-alignments`) are older than this
 * machine's: characters that came later neither move, nor join, nor come apart there. They are cut out here, so that the result is the
 * same on every machine. The list is of the later characters that the Unicode data gives a combining class or a decomposition, found by
 * normalizing every code point with tokenizers 0.23.2.
 */
const LATER_CODE_POINTS = `
  07fd 0897-089f 08ca-08d3 09fe 0c3c 0d3b-0d3c 0eba 1715 1abf-1add 1ae0-1aeb 1df6-1dfa a82c 105c9 105e4 10d24-10d27
  10d69-10d6d 10eab-10eac 10efa-10efb 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 11383 11385 1138e 11391 113c5
  113c7-113c8 113ce-113d0 1145e 11839-1183a 11938 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42 11d44-11d45 11d97
  11f41-11f42 16121-16128 1612f 16d68-16d6a 16ff0-16ff1 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3
  1e6e6 1e6ee-1e6ef 1e6f5
`;

const LATER = new RegExp(
  `([${LATER_CODE_POINTS.trim()
    .replace(/[0-9a-f]+/g, '\\u{$&}')
    .replace(/\s+/g, '')}])`,
  'u',
);

/** Below U+0300 every string is in form C. */
const MAY_CHANGE = /[\u0300-\uffff]/;

export function normalizeNfc(text: string): string {
  if (!MAY_CHANGE.test(text)) return text;
  if (!LATER.test(text)) return text.normalize('NFC');
  return text
    .split(LATER)
    .map((part, index) => (index % 2 === 1 ? part : part.normalize('NFC')))
    .join('');
}
