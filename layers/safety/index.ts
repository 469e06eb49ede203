/** The front door of the safety layer: rules, classifiers and policies for prompts and for streamed answers. Pure: no file, clock or network. */
export { type ClassifiedCategory, classifiedCategories, moderationCategories, type Scores } from './categories.ts';
export { type CompiledDenylist, compileDenylist, type DenylistEntry } from './exact/denylist.ts';
export { guardFormats } from './guard/formats.ts';
export { type CompleteGuardPrompt, createGuardClassifier, GuardAnswerError, type GuardFormat } from './guard/guard-format.ts';
export { llamaGuard3 } from './guard/llama-guard.ts';
export { qwen3Guard } from './guard/qwen3-guard.ts';
export { loadLinearHeads } from './heads/linear-heads.ts';
export { createPromptLeakStream, type PromptLeakStream, type WatchedPrompt, watchPrompt } from './input/prompt-leak.ts';
export { type MessageVerdict, type ScreenedConversation, type ScreenedMessage, screenMessages } from './input/screen-messages.ts';
export { type Spotlight, spotlight } from './input/spotlight.ts';
export { type JsonText, readJsonText } from './json-text.ts';
export { createMinilmClassifier } from './minilm-reviewer.ts';
export { createPiiMask, type PiiMask, type RestoreStream, type TextForm } from './pii-mask.ts';
export {
  type Action,
  compileDenylists,
  type Direction,
  masksValues,
  nameSafetyPolicy,
  parseSafetyPolicy,
  policyForToolResults,
  type SafetyPolicy,
  severer,
} from './policy.ts';
export { raiseToFloor } from './policy-floor.ts';
export { type SafetyPolicySettings, safetyPolicySchema } from './policy-schema.ts';
export {
  type CheckedText,
  createSafetyFilter,
  type ReviewedStream,
  type SafetyFilter,
  type SafetyResources,
  type SafetyStream,
  type StreamRelease,
} from './safety-filter.ts';
export { type PiiKind, piiKinds, type SecretKind, type Span, type SpanKind, secretKinds } from './span.ts';
export type { TextClassifier, WindowClassifier } from './text-classifier.ts';
export type { Finding, Verdict } from './verdict.ts';
