/** The tokenizer's front door. */
export { spellBytes } from './byte-level-alphabet.ts';
export type { ChatMessage, ChatTool, TextPart } from './chat-messages.ts';
export { type ChatTemplate, type ChatTemplateInput, compileChatTemplate, type TemplateTokens } from './chat-template.ts';
export { compileGguf, type GgufTokenizer } from './compile-gguf.ts';
export { compileTiktoken, TIKTOKEN_ENCODINGS, type TiktokenEncoding } from './compile-tiktoken.ts';
export { compileTokenizerJson, type TokenizerJsonOptions } from './compile-tokenizer-json.ts';
export { createDetokenizer, type DetokenizedToken, type Detokenizer, type DetokenizerOptions } from './detokenizer.ts';
export { ChatTemplateError, UnknownTokenError, VocabularyError } from './errors.ts';
export { JsonNumber, parseExactJson } from './exact-json.ts';
export { StopAutomaton } from './stop-automaton.ts';
export { type DecodeOptions, loadTokenizer, type SpecialTokenOptions, type Tokenizer } from './tokenizer.ts';
