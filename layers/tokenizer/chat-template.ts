/**
 * Chat templates: messages in, token ids out, with control tokens only where the template itself wrote them.
 *
 * The template is compiled twice. One copy renders exactly what transformers renders. In the other every control token that stands in
 * the template's own text, and every `bos_token` and `eos_token`, has a mark before it: a character that occurs nowhere in the
 * rendered text. Both are rendered; without its marks the second must equal the first, and its marks say which control tokens are
 * the template's. Everything else, whatever it looks like, was typed by a user, a model or a tool, and is encoded as plain text.
 */

import { type ChatMessage, type ChatTool, readMessages } from './chat-messages.ts';
import { ChatTemplateError } from './errors.ts';
import { JinjaTemplate } from './jinja-template.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface ChatTemplateInput {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ChatTool[];
  /** Ends with the opening of the assistant's turn. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads, such as Qwen's `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** What `strftime_now` shows; the present by default. */
  readonly now?: Date;
}

export interface ChatTemplate {
  /** The exact ids of the prompt. @throws {ChatTemplateError} messages that the template refuses, or that are not text. */
  encode(input: ChatTemplateInput): Uint32Array;
  /** The prompt as transformers renders it. @throws {ChatTemplateError} */
  render(input: ChatTemplateInput): string;
}

export interface TemplateTokens {
  /** By default the vocabulary's own. */
  readonly bosToken?: string;
  readonly eosToken?: string;
}

/** @throws {ChatTemplateError} a template that cannot be read. */
export function compileChatTemplate(source: string, tokenizer: Tokenizer, tokens: TemplateTokens = {}): ChatTemplate {
  return new MarkedChatTemplate(source, tokenizer, tokens);
}

/** Noncharacters: they are in no text that is meant to be read. */
const FIRST_MARK = 0xfdd0;
const MARKS = 32;

class MarkedChatTemplate implements ChatTemplate {
  readonly #source: string;
  readonly #tokenizer: Tokenizer;
  readonly #plain: JinjaTemplate;
  readonly #marked = new Map<string, JinjaTemplate>();
  readonly #variables: Readonly<Record<string, string>>;
  readonly #controlTokens: RegExp;

  constructor(source: string, tokenizer: Tokenizer, tokens: TemplateTokens) {
    this.#source = source;
    this.#tokenizer = tokenizer;
    this.#plain = new JinjaTemplate(source);
    const bosToken = tokens.bosToken ?? tokenizer.bosToken;
    const eosToken = tokens.eosToken ?? tokenizer.eosToken;
    this.#variables = {
      ...(bosToken === undefined ? {} : { bos_token: bosToken }),
      ...(eosToken === undefined ? {} : { eos_token: eosToken }),
    };
    const longestFirst = [...tokenizer.controlTokens].sort((a, b) => b.length - a.length);
    this.#controlTokens = new RegExp(longestFirst.map(escapeRegExp).join('|') || '(?!)', 'g');
  }

  render(input: ChatTemplateInput): string {
    return this.#plain.render(this.#variablesFor(input, this.#variables), input.now);
  }

  encode(input: ChatTemplateInput): Uint32Array {
    const plain = this.render(input);
    const mark = unusedMark(plain);
    const markTokens = (text: string) => text.replace(this.#controlTokens, (token) => mark + token);
    let template = this.#marked.get(mark);
    if (template === undefined) {
      template = new JinjaTemplate(this.#source, markTokens);
      this.#marked.set(mark, template);
    }
    const variables = Object.fromEntries(Object.entries(this.#variables).map(([name, token]) => [name, markTokens(token)]));
    const marked = template.render(this.#variablesFor(input, variables), input.now);
    if (marked.replaceAll(mark, '') !== plain) {
      throw new ChatTemplateError(
        'A message holds text that the chat template takes for its own control tokens. Leave such text out of the message.',
      );
    }
    return this.#encodeMarked(marked, mark);
  }

  #encodeMarked(marked: string, mark: string): Uint32Array {
    const [first = '', ...rest] = marked.split(mark);
    const parts: (Uint32Array | number)[] = [this.#tokenizer.encode(first)];
    for (const part of rest) {
      this.#controlTokens.lastIndex = 0;
      const token = this.#controlTokens.exec(part)?.[0] ?? '';
      const id = part.startsWith(token) ? this.#tokenizer.specialTokenId(token) : undefined;
      if (id === undefined)
        throw new ChatTemplateError('The chat template cuts its own control tokens apart, so its prompts cannot be encoded safely.');
      parts.push(id, this.#tokenizer.encode(part.slice(token.length)));
    }
    const ids = new Uint32Array(parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? 1 : part.length), 0));
    let at = 0;
    for (const part of parts) {
      if (typeof part === 'number') ids[at++] = part;
      else {
        ids.set(part, at);
        at += part.length;
      }
    }
    return ids;
  }

  #variablesFor(input: ChatTemplateInput, tokens: Readonly<Record<string, string>>): Record<string, unknown> {
    return {
      ...input.variables,
      ...tokens,
      messages: readMessages(input.messages),
      tools: input.tools === undefined || input.tools.length === 0 ? null : input.tools,
      add_generation_prompt: input.addGenerationPrompt === true,
    };
  }
}

function unusedMark(text: string): string {
  for (let offset = 0; offset < MARKS; offset++) {
    const mark = String.fromCharCode(FIRST_MARK + offset);
    if (!text.includes(mark)) return mark;
  }
  throw new ChatTemplateError('The messages use every one of the noncharacters U+FDD0 to U+FDEF. Leave one of them out.');
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
