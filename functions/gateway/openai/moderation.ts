/**
 * `POST /v1/moderations`, in and out. https://platform.openai.com/docs/api-reference/moderations
 * Beyond OpenAI's categories: `prompt_injection`, `pii` and `secrets`, the places that were found (`spans`), the text without them
 * (`redacted_text`), and where the caller has a safety policy, what that would do with the text as a prompt (`policy`).
 */
import * as v from 'valibot';
import { type CheckedText, moderationCategories, piiKinds, secretKinds, type Verdict } from '../../../layers/safety/index.ts';
import { parseBody } from './parse-body.ts';
import { nullish, string } from './request-fields.ts';

const MAX_TEXTS = 1024;
const textPart = v.strictObject({
  type: v.literal('text', 'must be `text`: images are not judged, since these models read text only.'),
  text: string,
});

export const moderationSchema = v.strictObject({
  input: v.lazy((input) =>
    Array.isArray(input)
      ? v.pipe(
          v.array(v.lazy((one) => (typeof one === 'object' && one !== null ? textPart : string))),
          v.minLength(1, 'must have at least one text.'),
          v.maxLength(MAX_TEXTS, `takes at most ${MAX_TEXTS} texts.`),
        )
      : v.string('must be a string, an array of strings, or an array of text parts.'),
  ),
  model: nullish(string),
});

/** The texts that are judged. Parts belong together and are one text, as OpenAI judges them. */
export function parseModerationRequest(body: unknown): readonly string[] {
  const { input } = parseBody(moderationSchema, body);
  if (typeof input === 'string') return [input];
  const texts = input.map((one) => (typeof one === 'string' ? one : one.text));
  return input.some((one) => typeof one !== 'string') ? [texts.join('\n')] : texts;
}

/** What judged: rules and linear heads of this service, not one of OpenAI's models. */
const MODEL = 'penstock-moderation';

export interface Moderation {
  readonly checked: CheckedText;
  /** By the caller's own policy; undefined where it has none. */
  readonly decided: Verdict | undefined;
}

export function encodeModerations(moderations: readonly Moderation[], id: string) {
  return { id, model: MODEL, results: moderations.map(encodeResult) };
}

function encodeResult({ checked: { verdict, redactedText }, decided }: Moderation) {
  const found = (kinds: readonly string[]) => verdict.findings.some((finding) => kinds.includes(finding.kind));
  const rules = { pii: found(piiKinds), secrets: found(secretKinds) };
  const judged = [...moderationCategories, 'prompt_injection'] as const;
  const flagged = Object.fromEntries(judged.map((category) => [category, verdict.flagged.includes(category)]));
  const categories = { ...flagged, ...rules };
  const scores = Object.fromEntries(judged.map((category) => [category, verdict.scores[category] ?? 0]));
  return {
    flagged: Object.values(categories).includes(true),
    categories,
    category_scores: { ...scores, pii: rules.pii ? 1 : 0, secrets: rules.secrets ? 1 : 0 },
    category_applied_input_types: Object.fromEntries(Object.keys(categories).map((category) => [category, ['text']])),
    redacted_text: redactedText,
    spans: verdict.findings.map(({ kind, rule, start, end }) => ({ kind, rule, start, end })),
    ...(decided !== undefined && { policy: { digest: decided.policyDigest, action: decided.action, dry_run: decided.dryRun } }),
  };
}
