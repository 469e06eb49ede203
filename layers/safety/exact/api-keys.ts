import {
  alphanumerics,
  type CharacterClass,
  classOf,
  digits,
  endOf,
  hexDigits,
  isAlphanumeric,
  isBase64,
  isDigit,
  isLower,
  isUpper,
} from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

const isWord = (code: number) => isAlphanumeric(code) || code === 95 || code === 45;
const words = classOf(isWord);
const dotted = classOf((code) => isWord(code) || code === 46);
const paths = classOf((code) => isWord(code) || code === 47);
const base64 = classOf(isBase64);
const uppersAndDigits = classOf((code) => isUpper(code) || isDigit(code));
const lowersAndDigits = classOf((code) => isLower(code) || isDigit(code));

interface KeyFormat {
  readonly vendor: string;
  readonly prefix: string;
  readonly body: CharacterClass;
  /** Length of what follows the prefix. */
  readonly min: number;
  readonly max: number;
}

const key = (vendor: string, prefix: string, body: CharacterClass, min: number, max = min): KeyFormat => ({
  vendor,
  prefix,
  body,
  min,
  max,
});
const many = (vendor: string, prefixes: string, body: CharacterClass, min: number, max = min): KeyFormat[] =>
  prefixes.split(' ').map((prefix) => key(vendor, prefix, body, min, max));

/**
 * Keys that say by their first letters whose they are, from the vendors' documents and the public rules of secret scanners. Lengths
 * are lower bounds where vendors have changed them: what follows the prefix in the same alphabet belongs to the key.
 */
const formats: readonly KeyFormat[] = [
  ...many('openai', 'sk-proj- sk-svcacct- sk-admin-', words, 20, 220),
  key('anthropic', 'sk-ant-', words, 20, 220),
  key('openrouter', 'sk-or-v1-', hexDigits, 64),
  key('openai', 'sk-', alphanumerics, 32, 64),
  ...many('aws', 'AKIA ASIA ABIA ACCA AROA AIDA AGPA ANPA ANVA AIPA APKA', uppersAndDigits, 16),
  ...many('aws-bedrock', 'ABSK', base64, 100, 200),
  ...many('github', 'ghp_ gho_ ghu_ ghs_ ghr_', alphanumerics, 36, 255),
  key('github', 'github_pat_', words, 50, 255),
  ...many('gitlab', 'glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas- glsoat-', dotted, 20, 80),
  key('google', 'AIza', words, 35),
  key('google', 'GOCSPX-', words, 28),
  key('google', 'ya29.', dotted, 30, 300),
  ...many('slack', 'xoxb- xoxa- xoxp- xoxr- xoxs- xoxe- xoxe.xoxp- xoxe.xoxb- xapp-', words, 10, 250),
  ...many('stripe', 'sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ pk_test_', alphanumerics, 10, 250),
  key('stripe', 'whsec_', base64, 24, 64),
  ...many('twilio', 'SK AC', hexDigits, 32),
  key('sendgrid', 'SG.', dotted, 60, 80),
  key('mailgun', 'key-', hexDigits, 32),
  key('npm', 'npm_', alphanumerics, 36),
  key('pypi', 'pypi-AgE', words, 50, 300),
  key('rubygems', 'rubygems_', hexDigits, 48),
  key('crates', 'cio', alphanumerics, 32),
  key('huggingface', 'hf_', alphanumerics, 30, 40),
  key('huggingface', 'api_org_', alphanumerics, 34),
  key('replicate', 'r8_', alphanumerics, 37),
  key('groq', 'gsk_', alphanumerics, 48, 60),
  key('xai', 'xai-', alphanumerics, 70, 90),
  key('perplexity', 'pplx-', alphanumerics, 40, 60),
  key('cerebras', 'csk-', alphanumerics, 40, 60),
  key('databricks', 'dapi', hexDigits, 32),
  ...many('digitalocean', 'dop_v1_ doo_v1_ dor_v1_', hexDigits, 64),
  ...many('shopify', 'shpat_ shpss_ shpca_ shppa_', hexDigits, 32),
  ...many('square', 'sq0atp- sq0csp-', words, 22, 60),
  key('square', 'EAAA', words, 60),
  key('linear', 'lin_api_', alphanumerics, 40),
  key('notion', 'secret_', alphanumerics, 43),
  key('notion', 'ntn_', alphanumerics, 40, 60),
  key('figma', 'figd_', words, 40),
  key('postman', 'PMAK-', words, 59),
  ...many('newrelic', 'NRAK- NRJS- NRII-', words, 19, 40),
  ...many('grafana', 'glc_ glsa_', words, 32, 200),
  ...many('vault', 'hvs. hvb. hvr.', words, 24, 300),
  ...many('doppler', 'dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.', dotted, 40, 60),
  ...many('docker', 'dckr_pat_ dckr_oat_', words, 20, 40),
  key('atlassian', 'ATATT3', base64, 100, 250),
  key('sentry', 'sntrys_', base64, 60, 300),
  key('sentry', 'sntryu_', hexDigits, 64),
  ...many('supabase', 'sbp_', hexDigits, 40),
  ...many('planetscale', 'pscale_tkn_ pscale_pw_ pscale_oauth_', dotted, 32, 64),
  key('heroku', 'HRKU-', words, 36, 64),
  key('age', 'AGE-SECRET-KEY-1', uppersAndDigits, 58),
  key('facebook', 'EAAC', alphanumerics, 80, 250),
  key('contentful', 'CFPAT-', words, 43),
  key('dynatrace', 'dt0c01.', dotted, 80, 100),
  key('easypost', 'EZAK', alphanumerics, 54),
  key('pulumi', 'pul-', hexDigits, 40),
  key('prefect', 'pnu_', alphanumerics, 36),
  key('readme', 'rdme_', lowersAndDigits, 70),
  key('shippo', 'shippo_live_', hexDigits, 40),
  key('tavily', 'tvly-', words, 20, 60),
  key('langsmith', 'lsv2_', words, 40, 60),
  key('airtable', 'pat', dotted, 79),
  key('alibaba', 'LTAI', alphanumerics, 16, 24),
];

/** No key is without so many base64 characters in a row. */
const shortestToken = 6;
const firstCodes = new Set(formats.map(({ prefix }) => prefix.charCodeAt(0)));
const formatsByFirst = new Map<string, KeyFormat[]>();
for (const format of [...formats].sort((a, b) => b.prefix.length - a.prefix.length)) {
  const first = format.prefix.slice(0, 2);
  formatsByFirst.set(first, [...(formatsByFirst.get(first) ?? []), format]);
}

/** Keys of known vendors, JSON web tokens, and Telegram, Discord and Slack tokens, which have a form instead of a prefix. */
export function recogniseApiKeys(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (run.traits.longestToken < shortestToken) return;
  const stretches = new Stretches(text);
  for (let start = 0; start + 12 < text.length; start += 1) {
    if (!isAlphanumeric(text.charCodeAt(start))) continue;
    if (!isAlphanumeric(codeBefore(run, start))) {
      const end = recogniseAt(run, start, stretches, report);
      if (end > 0) {
        start = end - 1;
        continue;
      }
    }
    start = endOf(text, start, alphanumerics);
  }
}

function recogniseAt(run: Run, start: number, stretches: Stretches, report: ReportMatch): number {
  const { text } = run;
  const mayBegin = firstCodes.has(text.charCodeAt(start));
  for (const format of (mayBegin ? formatsByFirst.get(text.slice(start, start + 2)) : undefined) ?? []) {
    if (!text.startsWith(format.prefix, start)) continue;
    const body = start + format.prefix.length;
    let end = stretches.endOf(body, format.body);
    while (end > body && !isAlphanumeric(text.charCodeAt(end - 1)) && text[end - 1] !== '=' && end < text.length) end -= 1;
    const length = end - body;
    const fits = length >= format.min && (length <= format.max || format.max > format.min);
    if (!fits || isAlphanumeric(text.charCodeAt(end)) || stretches.looksLikeWords(body, end)) continue;
    report('api_key', start, end, format.vendor);
    return end;
  }
  const tokenEnd = jwtEnd(text, start, stretches);
  if (tokenEnd > 0) {
    report('jwt', start, tokenEnd, 'jwt');
    return tokenEnd;
  }
  const formed = formedTokenEnd(text, start, stretches);
  if (formed !== undefined) report('api_key', start, formed.end, formed.vendor);
  return formed?.end ?? 0;
}

/** Stretches of one class of a run, remembered: prefixes that are repeated all lie in the same stretch, and it is measured once. */
class Stretches {
  readonly #text: string;
  /** The last one of each class. */
  readonly #last = new Map<CharacterClass, { readonly start: number; readonly end: number }>();
  /** End of the last stretch that looked like words, and where its last small letter is. */
  #wordsEnd = -1;
  #lastLower = -1;

  constructor(text: string) {
    this.#text = text;
  }

  endOf(start: number, within: CharacterClass): number {
    const last = this.#last.get(within);
    if (last !== undefined && last.start <= start && start < last.end) return last.end;
    const end = endOf(this.#text, start, within);
    this.#last.set(within, { start, end });
    return end;
  }

  /** `sk-learn-contributors-guide` begins like a key; a key has digits or changes its case often. */
  looksLikeWords(start: number, end: number): boolean {
    // The end of what looked like words looks like them too, as long as it has a small letter.
    if (end === this.#wordsEnd && start <= this.#lastLower) return true;
    let changes = 0;
    let lastLower = -1;
    for (let index = start; index < end && (changes < 2 || lastLower < 0); index += 1) {
      const code = this.#text.charCodeAt(index);
      if (isLower(code)) lastLower = index;
      if (index === start) continue;
      const before = this.#text.charCodeAt(index - 1);
      if (isDigit(code) !== isDigit(before) || (isLower(before) && isUpper(code))) changes += 1;
    }
    if (lastLower < 0 || changes >= 2) return false;
    this.#wordsEnd = end;
    this.#lastLower = lastLower;
    return true;
  }
}

/** End of a JSON web token (RFC 7519): base64url JSON header with `alg`, payload, signature (absent in an unsecured one). */
function jwtEnd(text: string, start: number, stretches: Stretches): number {
  if (!text.startsWith('eyJ', start)) return 0;
  const headerEnd = stretches.endOf(start, words);
  if (text[headerEnd] !== '.' || !decodeBase64Url(text.slice(start, headerEnd)).includes('"alg"')) return 0;
  const payloadEnd = stretches.endOf(headerEnd + 1, words);
  if (payloadEnd - headerEnd < 3) return 0;
  return text[payloadEnd] === '.' ? endOf(text, payloadEnd + 1, dotted) : payloadEnd;
}

function decodeBase64Url(text: string): string {
  return Buffer.from(text, 'base64url').toString('latin1');
}

function formedTokenEnd(text: string, start: number, stretches: Stretches): { end: number; vendor: string } | undefined {
  const first = endOf(text, start, digits);
  if (first - start >= 8 && first - start <= 10 && text.startsWith(':AA', first)) {
    const end = endOf(text, first + 1, words);
    if (end - first - 1 >= 34 && end - first - 1 <= 36) return { end, vendor: 'telegram' };
  }
  if ('MNO'.includes(text[start] ?? '-')) {
    const idEnd = stretches.endOf(start, words);
    const parts = idEnd - start < 23 || idEnd - start > 28 ? [] : text.slice(idEnd + 1, stretches.endOf(start, dotted)).split('.');
    const [time = '', mac = ''] = parts;
    if (text[idEnd] === '.' && parts.length === 2 && time.length === 6 && mac.length >= 27 && mac.length <= 40) {
      return { end: idEnd + time.length + mac.length + 2, vendor: 'discord' };
    }
  }
  if (text[start] !== 'h' && text[start] !== 'd') return undefined;
  for (const [webhook, vendor] of webhooks) {
    if (!text.startsWith(webhook, start)) continue;
    const end = endOf(text, start + webhook.length, paths);
    if (end - start - webhook.length >= 30) return { end, vendor };
  }
  return undefined;
}

const webhooks = [
  ['hooks.slack.com/services/', 'slack'],
  ['discord.com/api/webhooks/', 'discord'],
  ['discordapp.com/api/webhooks/', 'discord'],
] as const;
