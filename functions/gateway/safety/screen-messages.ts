import {
  createPiiMask,
  type JsonText,
  type MessageVerdict,
  masksValues,
  type PiiMask,
  readJsonText,
  type ScreenedMessage,
  screenMessages,
  spotlight,
  watchPrompt,
} from '../../../layers/safety/index.ts';
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import { ContentBlockedError } from '../errors.ts';
import { VerdictTally } from '../generation/verdicts.ts';
import type { Screening } from './screening.ts';
import type { TenantSafety } from './tenant-safety.ts';

type Role = ScreenedMessage['role'];
type Rewrite = (role: Role, text: string, isJson?: boolean) => Promise<string>;

/** Screens what one request says, text by text, and hides values in it: the same value behind the same placeholder everywhere. */
export class InputScreen {
  readonly #safety: TenantSafety;
  readonly #param: string;
  readonly #signal: AbortSignal;
  readonly #verdicts = new VerdictTally();
  readonly #mask: PiiMask;
  #instructions = '';

  /** @param param the request field at fault, when something is blocked */
  constructor(safety: TenantSafety, param: string, signal: AbortSignal) {
    this.#safety = safety;
    this.#param = param;
    this.#signal = signal;
    this.#mask = createPiiMask(masksValues(safety.policy.settings));
  }

  get verdicts(): VerdictTally {
    return this.#verdicts;
  }

  /** What the answers' screening has to know. */
  get screening(): Screening {
    const { promptLeak } = this.#safety.policy.settings;
    return {
      safety: this.#safety,
      verdicts: this.#verdicts,
      mask: this.#mask.size === 0 ? undefined : this.#mask,
      watched: promptLeak === 'allow' ? undefined : watchPrompt(this.#instructions),
    };
  }

  /**
   * The text as the model may see it.
   * @throws {ContentBlockedError} the policy blocks it. @throws {SafetyUnavailableError} it must be judged and cannot be.
   */
  readonly rewrite: Rewrite = async (role, text, isJson = false) => {
    if (text === '') return text;
    const json: JsonText | undefined = isJson ? readJsonText(text) : undefined;
    const { input, toolResults } = this.#safety;
    const { messages } = await screenMessages(input, [{ role, text: json?.text ?? text }], this.#signal, toolResults);
    for (const message of messages) this.#note(message);
    const [verdict] = messages.map((message) => message.verdict);
    if (verdict === undefined || verdict.dryRun) return text;
    if (verdict.action === 'block') throw new ContentBlockedError(this.#param);
    return json === undefined ? this.#mask.hide(text, verdict.findings) : this.#mask.hideInJson(json, verdict.findings);
  };

  /** Every text that a template may show of these messages; tools' results are marked as the policy says. */
  async rewriteMessages(messages: readonly ChatMessage[], createMarker: () => string): Promise<readonly ChatMessage[]> {
    const rewritten: ChatMessage[] = [];
    for (const message of messages) rewritten.push(await rewriteMessage(message, this.rewrite));
    this.#instructions = rewritten.map(({ role, content }) => (role === 'system' && typeof content === 'string' ? content : '')).join('\n');
    return markResults(rewritten, this.#safety, createMarker);
  }

  #note({ verdict, isIndirect }: MessageVerdict): void {
    this.#verdicts.note('input', verdict);
    if (isIndirect) this.#verdicts.noteLabel('input', verdict, 'indirect_injection');
  }
}

async function rewriteMessage(message: ChatMessage, rewrite: Rewrite): Promise<ChatMessage> {
  const { content, reasoning_content: thoughts, tool_calls: calls } = message;
  const role = readRole(message.role);
  const rewritten: Record<string, unknown> = { ...message };
  if (typeof content === 'string') rewritten['content'] = await rewrite(role, content);
  if (typeof thoughts === 'string') rewritten['reasoning_content'] = await rewrite(role, thoughts);
  if (calls !== undefined) {
    const rewrittenCalls: unknown[] = [];
    for (const call of calls) rewrittenCalls.push(await rewriteCall(call, role, rewrite));
    rewritten['tool_calls'] = rewrittenCalls;
  }
  return { ...rewritten, role: message.role };
}

/** Its arguments are JSON in a string, as the wire has them. */
async function rewriteCall(call: unknown, role: Role, rewrite: Rewrite): Promise<unknown> {
  if (typeof call !== 'object' || call === null || !('function' in call)) return call;
  const called = call.function;
  if (typeof called !== 'object' || called === null || !('arguments' in called) || typeof called.arguments !== 'string') return call;
  return { ...call, function: { ...called, arguments: await rewrite(role, called.arguments, true) } };
}

function readRole(role: string): Role {
  return role === 'system' || role === 'assistant' || role === 'tool' ? role : 'user';
}

/** Tools' results are marked as data, and the system prompt says what the mark means. */
function markResults(messages: readonly ChatMessage[], { policy }: TenantSafety, createMarker: () => string): readonly ChatMessage[] {
  const { spotlight: method, dryRun } = policy.settings;
  if (method === 'off' || dryRun || !messages.some(({ role }) => role === 'tool')) return messages;
  const marker = createMarker();
  const marked = messages.map((message) =>
    message.role === 'tool' && typeof message.content === 'string'
      ? { ...message, content: spotlight(message.content, method, marker).text }
      : message,
  );
  const { instruction } = spotlight('', method, marker);
  const [first, ...rest] = marked;
  if (first?.role !== 'system' || typeof first.content !== 'string') return [{ role: 'system', content: instruction }, ...marked];
  return [{ ...first, content: `${first.content}\n\n${instruction}` }, ...rest];
}
