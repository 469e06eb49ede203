/**
 * Chat templates: messages in, token ids out, with control tokens only where the template itself wrote them.
 *
 * The template is compiled twice. One copy renders exactly what transformers renders. In the other every control token that stands in
 * the template's own text, and every `bos_token` and `eos_token`, has a mark before it: a character that occurs nowhere in the
 * rendered text. Both are rendered; without its marks the second must equal the first, and its marks say which control tokens are
 * the template's. Everything else, whatever it looks like, was typed by a user, a model or a tool, and is encoded as plain text.
 */
import { type ChatMessage, type ChatTool, readMessages } from './chat-messages.ts';
import { createControlTokenPattern } from './control-tokens.ts';
import { ChatTemplateError } from './errors.ts';
import { JinjaTemplate } from './jinja-template.ts';
import { joinIds, type Tokenizer } from './tokenizer.ts';

export interface ChatTemplateInput {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ChatTool[];
  /** Ends with the opening of the assistant's turn. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads, such as Qwen's `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** What `strftime_now` shows, in UTC; the present by default. */
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

/** @throws {ChatTemplateError} a template that cannot be read, or whose control tokens cannot be told from what users type. */
export function compileChatTemplate(source: string, tokenizer: Tokenizer, tokens: TemplateTokens = {}): ChatTemplate {
  const template = new MarkedChatTemplate(source, tokenizer, tokens);
  template.checkMarks();
  return template;
}

/** Noncharacters: they are in no text that is meant to be read. */
const FIRST_MARK = 0xfdd0;
const MARKS = 32;

class MarkedChatTemplate implements ChatTemplate {
  readonly #source: string;
  readonly #tokenizer: Tokenizer;
  readonly #plain: JinjaTemplate;
  /** By mark; other marks than the first are only needed for texts that hold it. */
  readonly #marked = new Map<string, JinjaTemplate>();
  readonly #tokens: Readonly<Record<string, string>>;
  readonly #controlTokens: RegExp;

  constructor(source: string, tokenizer: Tokenizer, tokens: TemplateTokens) {
    this.#source = source;
    this.#tokenizer = tokenizer;
    this.#plain = new JinjaTemplate(source);
    const bosToken = tokens.bosToken ?? tokenizer.bosToken;
    const eosToken = tokens.eosToken ?? tokenizer.eosToken;
    this.#tokens = {
      ...(bosToken === undefined ? {} : { bos_token: bosToken }),
      ...(eosToken === undefined ? {} : { eos_token: eosToken }),
    };
    this.#controlTokens = createControlTokenPattern(tokenizer.controlTokens);
  }

  /** Renders a plain conversation: all its control tokens are the template's, so all must be marked. */
  checkMarks(): void {
    const input: ChatTemplateInput = { messages: [{ role: 'user', content: 'Hello' }], addGenerationPrompt: true };
    let rendered: MarkedText;
    try {
      rendered = this.#renderMarked(input);
    } catch (error) {
      if (error instanceof ChatTemplateError) return; // it wants other messages; each rendering is checked again
      throw error;
    }
    const written = rendered.plain.match(this.#controlTokens)?.length ?? 0;
    if (written !== rendered.parts.length - 1) {
      throw new ChatTemplateError(
        'The chat template puts control tokens together from parts, so they cannot be told from text that users type. Write each one whole.',
      );
    }
  }

  render(input: ChatTemplateInput): string {
    return this.#plain.render(variablesFor(input, this.#tokens), input.now);
  }

  encode(input: ChatTemplateInput): Uint32Array {
    const [first = '', ...rest] = this.#renderMarked(input).parts;
    const parts: (Uint32Array | readonly number[])[] = [this.#tokenizer.encode(first)];
    for (const part of rest) {
      const { 0: token, index } = part.matchAll(this.#controlTokens).next().value ?? { 0: '', index: -1 };
      const id = index === 0 ? this.#tokenizer.specialTokenId(token) : undefined;
      if (id === undefined) throw new ChatTemplateError('The chat template cuts its own control tokens apart: write each one whole.');
      parts.push([id], this.#tokenizer.encode(part.slice(token.length)));
    }
    return joinIds(parts);
  }

  /** The rendered text, cut before each control token that the template wrote. */
  #renderMarked(input: ChatTemplateInput): MarkedText {
    const plain = this.render(input);
    const mark = unusedMark(plain);
    const markTokens = (text: string) => text.replace(this.#controlTokens, (token) => mark + token);
    let template = this.#marked.get(mark);
    if (template === undefined) {
      template = new JinjaTemplate(this.#source, markTokens);
      this.#marked.set(mark, template);
    }
    const tokens = Object.fromEntries(Object.entries(this.#tokens).map(([name, token]) => [name, markTokens(token)]));
    const parts = template.render(variablesFor(input, tokens), input.now).split(mark);
    if (parts.join('') !== plain) {
      throw new ChatTemplateError(
        'The chat template treats its own control tokens in a message otherwise than text, so this prompt cannot be encoded safely. ' +
          'Leave control tokens out of the messages.',
      );
    }
    return { plain, parts };
  }
}

interface MarkedText {
  readonly plain: string;
  readonly parts: readonly string[];
}

function variablesFor(input: ChatTemplateInput, tokens: Readonly<Record<string, string>>): Record<string, unknown> {
  return {
    ...input.variables,
    ...tokens,
    messages: readMessages(input.messages),
    tools: input.tools === undefined || input.tools.length === 0 ? null : input.tools,
    documents: null,
    add_generation_prompt: input.addGenerationPrompt === true,
  };
}

function unusedMark(text: string): string {
  for (let offset = 0; offset < MARKS; offset++) {
    const mark = String.fromCharCode(FIRST_MARK + offset);
    if (!text.includes(mark)) return mark;
  }
  throw new ChatTemplateError('The messages use every one of the noncharacters U+FDD0 to U+FDEF. Leave one of them out.');
}
