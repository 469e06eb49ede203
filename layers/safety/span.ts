/** What the exact rules can find. `denylist` is a tenant's word; the others are kinds of personal data and of secrets. */
export const piiKinds = [
  'email',
  'phone',
  'card',
  'iban',
  'national_id',
  'ip',
  'mac',
  'date_of_birth',
  'crypto_wallet',
  'person',
  'address',
] as const;
export const secretKinds = ['api_key', 'private_key', 'jwt', 'url_credentials', 'secret'] as const;

export type PiiKind = (typeof piiKinds)[number];
export type SecretKind = (typeof secretKinds)[number];
export type SpanKind = PiiKind | SecretKind | 'denylist';

/** A found piece. `start` and `end` are UTF-16 offsets, end exclusive. */
export interface Span {
  readonly kind: SpanKind;
  readonly start: number;
  readonly end: number;
  /** Which rule found it: the vendor of a key, the country of an id, the list of a word. Never the text itself. */
  readonly rule: string;
}

/** What stands in place of a piece that was redacted. */
export function labelFor(kind: SpanKind): string {
  return `[${kind.toUpperCase()}]`;
}
