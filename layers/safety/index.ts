/** The front door of the safety layer: rules, classifiers and policies for prompts and for streamed answers. Pure: no file, clock or network. */
export { type ClassifiedCategory, classifiedCategories, moderationCategories, type Scores } from './categories.ts';
export { type CompiledDenylist, compileDenylist, type DenylistEntry } from './exact/denylist.ts';
export { type CompleteGuardPrompt, createGuardClassifier, GuardAnswerError, type GuardFormat } from './guard/guard-format.ts';
export { llamaGuard3 } from './guard/llama-guard.ts';
export { qwen3Guard } from './guard/qwen3-guard.ts';
export { loadLinearHeads } from './heads/linear-heads.ts';
export { createPromptLeakDetector, type PromptLeakDetector } from './input/prompt-leak.ts';
export { type MessageVerdict, type ScreenedConversation, type ScreenedMessage, screenMessages } from './input/screen-messages.ts';
export { type Spotlight, spotlight } from './input/spotlight.ts';
export { createPiiMask, type PiiMask, type RestoreStream } from './pii-mask.ts';
export { type Action, type Direction, parseSafetyPolicy, type SafetyPolicy, type SafetyPolicySettings, severer } from './policy.ts';
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
