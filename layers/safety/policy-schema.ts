/** The form of a policy: what a tenant may write, with its defaults. Every message says what to write instead. */
import { isSupportedCountry } from 'libphonenumber-js/max';
import * as v from 'valibot';
import { classifiedCategories } from './categories.ts';
import { isDenylistEntry, longestEntry, mostEntries } from './exact/denylist.ts';
import { piiKinds, secretKinds } from './span.ts';

/**
 * From harmless to severe. `flag` only reports; `mask` hides a value from the model and gives it back to the caller; `redact` replaces what
 * was found; `block` ends the text before it.
 */
export const actions = ['allow', 'flag', 'mask', 'redact', 'block'] as const;

const pick = <const Options extends readonly string[]>(options: Options) => v.picklist(options, `must be one of ${options.join(', ')}.`);
const byDirection = <Input extends v.GenericSchema, Output extends v.GenericSchema>(input: Input, output: Output) =>
  v.strictObject({ input, output }, 'must be an object with an action for `input` and one for `output`.');
const score = v.pipe(v.number('must be a number.'), v.minValue(0, 'must be at least 0.'), v.maxValue(1, 'must be at most 1.'));
const optionalEntries = <K extends string, S extends v.GenericSchema>(keys: readonly K[], schema: S) =>
  // valibot needs the keys as a literal object; Object.fromEntries loses them.
  v.partial(v.strictObject(Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, S>, 'must be an object.'));

/** Only what goes to a model can be masked: it is given back in what comes from it. */
const valueActions = byDirection(pick(actions), pick(['allow', 'flag', 'redact', 'block']));
/** A denied word is not the caller's secret: it is never given back. */
const wordActions = { input: pick(['allow', 'flag', 'redact', 'block']), output: pick(['allow', 'flag', 'redact', 'block']) };
/** A judgement about a window of text cannot be cut out of it. */
const judgementAction = pick(['allow', 'flag', 'block']);

const entryText = v.pipe(
  v.string('must be a string.'),
  v.check(isDenylistEntry, `must have 1 to ${longestEntry} characters that can be seen.`),
);
const entry = v.lazy((input) =>
  typeof input === 'string'
    ? entryText
    : v.strictObject({ text: entryText, match: v.optional(pick(['word', 'part'])) }, 'must be a string, or an object with `text`.'),
);

/** Parts of a policy that may be pinned: whoever is below can make them stricter, not weaker. */
export const pinnable = [
  'pii',
  'secrets',
  'denylists',
  'categories',
  'indirectInjection',
  'promptLeak',
  'spotlight',
  'minilm',
  'guard',
] as const;

export const safetyPolicySchema = v.strictObject(
  {
    /** Judge and report, but let everything pass. */
    dryRun: v.optional(v.boolean('must be true or false.'), false),
    /**
     * When the classifiers speak on a stream. `hold`: a window is released after its verdict. `cut`: text is released at once and the stream
     * ends at a verdict, so that up to one window of it has been seen; after a window near the threshold the next ones are held. `off`: they do not.
     */
    streaming: v.optional(pick(['hold', 'cut', 'off']), 'cut'),
    /** Countries whose national phone numbers are recognised; international ones (`+49 ...`) always are. */
    phoneCountries: v.optional(
      v.array(
        v.pipe(
          v.string('must be a string.'),
          v.check(isSupportedCountry, 'is not a country that libphonenumber knows: use ISO 3166 letters such as US.'),
        ),
        'must be an array of countries.',
      ),
      () => ['US', 'GB'],
    ),
    pii: v.optional(v.strictObject({ ...valueActions.entries, kinds: v.optional(optionalEntries(piiKinds, valueActions)) }), {
      input: 'flag',
      output: 'flag',
    }),
    secrets: v.optional(v.strictObject({ ...valueActions.entries, kinds: v.optional(optionalEntries(secretKinds, valueActions)) }), {
      input: 'flag',
      output: 'redact',
    }),
    /** What is done about each list of words, and the words themselves. */
    denylists: v.optional(
      v.record(
        v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/, 'must be named with 1 to 64 letters, digits or any of _.-')),
        v.strictObject({
          ...wordActions,
          entries: v.optional(
            v.pipe(v.array(entry, 'must be an array of words.'), v.maxLength(mostEntries, `must have at most ${mostEntries} entries.`)),
          ),
        }),
        'must be an object of denylists by name.',
      ),
      {},
    ),
    /** Action and threshold for each category; a missing threshold is the one the model was calibrated for. */
    categories: v.optional(
      optionalEntries(
        classifiedCategories,
        v.strictObject({ input: judgementAction, output: judgementAction, threshold: v.optional(score) }),
      ),
      {},
    ),
    /** Whose messages the classifiers judge. The exact rules look at everything. */
    judgedRoles: v.optional(v.array(pick(['user', 'assistant', 'tool']), 'must be an array of roles.'), () => [
      'user',
      'assistant',
      'tool',
    ]),
    /** An attack in a tool's result; when not given, it counts as `prompt_injection` does in a user's message. */
    indirectInjection: v.optional(v.strictObject({ action: judgementAction, threshold: v.optional(score) })),
    /** An answer that quotes its system prompt. `block` holds back what may become a quote, `flag` nothing. */
    promptLeak: v.optional(judgementAction, 'allow'),
    /** How tools' results are marked as data for the model. */
    spotlight: v.optional(pick(['off', 'delimit', 'mark', 'encode']), 'off'),
    /** Where masked values are given back. */
    restoreIn: v.optional(v.array(pick(['content', 'reasoning', 'tool_arguments']), 'must be an array of places.'), () => [
      'content',
      'reasoning',
      'tool_arguments',
    ]),
    /** Whether MiniLM is asked where the heads are undecided. */
    minilm: v.optional(pick(['off', 'undecided']), 'off'),
    /** When the guard model is asked, how long it may take for one window, and whether text that it could not judge may pass. */
    guard: v.optional(
      v.strictObject({
        input: v.optional(pick(['off', 'undecided', 'always']), 'off'),
        output: v.optional(pick(['off', 'undecided', 'always']), 'off'),
        timeoutMs: v.optional(
          v.pipe(
            v.number('must be a number.'),
            v.integer('must be a whole number.'),
            v.minValue(50, 'must be at least 50.'),
            v.maxValue(30_000, 'must be at most 30000.'),
          ),
          2_000,
        ),
        onFailure: v.optional(pick(['open', 'closed']), 'open'),
      }),
      { input: 'off', output: 'off', timeoutMs: 2_000, onFailure: 'open' },
    ),
    pinned: v.optional(v.array(pick(pinnable), 'must be an array of parts of the policy.'), () => []),
  },
  'must be a policy object.',
);

export type SafetyPolicySettings = v.InferOutput<typeof safetyPolicySchema>;
