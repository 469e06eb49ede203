/**
 * JSON that keeps numbers as they were written, and writes them as Python does: a model was trained on `1.0`, and `1` is another prompt.
 * https://docs.python.org/3/library/json.html, https://docs.python.org/3/reference/lexical_analysis.html#floating-point-literals
 */

/** A number with its source text. */
export class JsonNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }

  valueOf(): number {
    return Number(this.source);
  }
}

/** `JSON.parse`, but with a `JsonNumber` in place of each number. @throws {SyntaxError} */
export function parseExactJson(text: string): unknown {
  // The third parameter is in the standard (JSON.parse source text access) and not yet in TypeScript's library.
  return JSON.parse(text, ((_key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && context?.source !== undefined ? new JsonNumber(context.source) : value) as (
    key: string,
    value: unknown,
  ) => unknown);
}

/** A float as `repr` of Python shows it. */
export function formatPythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [, sign = '', digits = '', exponentText = ''] = /^(-?)([\d.]+)e([+-]\d+)$/.exec(value.toExponential()) ?? [];
  const exponent = Number(exponentText);
  const significant = digits.replace('.', '');
  if (exponent < -4 || exponent >= 16) {
    const mantissa = significant.length === 1 ? significant : `${significant[0]}.${significant.slice(1)}`;
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${significant}`;
  const whole = significant.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${significant.slice(exponent + 1) || '0'}`;
}
