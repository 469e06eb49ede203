/**
 * Draft and refine. The model drafts an answer, works on it turn by turn (critique, rewrite: the catalog says what), and the last turn's text is
 * the answer, streamed as it comes. All turns draw on one token budget and each has its time; when one fails, or takes too long, the best text
 * so far is the answer. Usage is the sum over all turns.
 */
import type { ChatMessage } from '../../../../layers/tokenizer/index.ts';
import type { AnswerPipeline } from '../../../../models/catalog.ts';
import { GatewayError, InvalidRequestError } from '../../errors.ts';
import type { Room } from '../../generation/room.ts';
import { VerdictTally } from '../../generation/verdicts.ts';
import { maskIn, type Screening } from '../../safety/screening.ts';
import type { LoadedModel } from '../../served-models.ts';
import { chooseModel } from '../choose-model.ts';
import { fitPrompt } from '../fit-prompt.ts';
import type { FinishReason, GenerationEvent, GenerationRequest, Usage } from '../generation-request.ts';
import type { OutputPart } from '../output-parsers/output-part.ts';
import { planChoices } from '../plan-choices.ts';
import { type Admission, type RunningGeneration, runGeneration } from '../run-generation.ts';
import { screenInput } from '../screen-input.ts';
import { encodeMessages } from '../tokenize-prompt.ts';
import { continuePrompt } from './continue-prompt.ts';
import { limitTime, TimeUp } from './limit-time.ts';

/** Fewer tokens than this make no turn. */
const LEAST_TOKENS = 8;

/** @throws {GatewayError} the draft cannot be admitted. */
export async function refine(
  room: Room,
  { caller, generationId }: Admission,
  pipeline: AnswerPipeline,
  asked: GenerationRequest,
  signal: AbortSignal,
): Promise<RunningGeneration> {
  const model = chooseModel(room.models, pipeline.model);
  const { prompts, screening } = await screenInput(room, { caller, generationId }, model, asked, signal);
  const request = { ...asked, prompts };
  const messages = readMessages(model, request, pipeline);
  const promptTokenIds = encodeMessages(model, messages, request);
  planChoices(model, [promptTokenIds], request); // refuses what does not fit, however little of it the draft needs
  const budget = request.maxTokens ?? Math.min(pipeline.maxTokens, model.served.contextLength - promptTokenIds.length);
  // Whoever may use the pipeline may use what it works with.
  const admission = { caller: { ...caller, models: undefined }, generationId };
  const prompted = { ...request, modelId: model.served.id, prompts: [{ type: 'messages', messages }] } as const;
  if (isSimple(request, budget)) return await runGeneration(room, { ...admission, screening }, { ...prompted, maxTokens: budget }, signal);

  // A draft is worked on as the model may see it: what was hidden from it is put back in what is shown.
  const hidden = { ...admission, screening: { ...screening, mask: undefined } };
  const stop = new AbortController();
  const maxTokens = Math.max(LEAST_TOKENS, Math.floor(budget * pipeline.draft.share));
  const running = await runGeneration(room, hidden, { ...withoutLogprobs(prompted), maxTokens }, AbortSignal.any([signal, stop.signal]));
  const answer = new RefinedAnswer({ room, admission, screening, model, pipeline, request: prompted, budget, signal });
  return {
    generation: running.generation,
    events: answer.events({ ...running, stop, promptTokens: promptTokenIds.length }, messages, promptTokenIds),
  };
}

/** Calls of tools and constrained answers are not prose to be improved, and a handful of tokens is no draft. */
function isSimple({ toolUse, grammar }: GenerationRequest, budget: number): boolean {
  return (toolUse !== undefined && toolUse.choice.type !== 'none') || grammar !== undefined || budget < 4 * LEAST_TOKENS;
}

/** Only the answer's own tokens are reported. */
function withoutLogprobs({ topLogprobs: _, ...request }: GenerationRequest): GenerationRequest {
  return request;
}

function readMessages(model: LoadedModel, request: GenerationRequest, { id, maxTokens }: AnswerPipeline): readonly ChatMessage[] {
  const [prompt, ...others] = request.prompts;
  if (prompt?.type !== 'messages' || others.length > 0) {
    throw new InvalidRequestError(`${id} answers in a dialogue: use chat completions or responses.`, { param: 'model' });
  }
  if (request.choicesPerPrompt > 1) throw new InvalidRequestError(`${id} gives one answer: leave \`n\` out.`, { param: 'n' });
  const fitted = fitPrompt(model, prompt, { ...request, maxTokens: request.maxTokens ?? maxTokens });
  return fitted.type === 'messages' ? fitted.messages : prompt.messages;
}

interface Stage extends RunningGeneration {
  /** Stops it, and nothing else. */
  readonly stop: AbortController;
  readonly promptTokens: number;
}

interface Turn {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly finishReason: FinishReason;
  /** Tokens of the text itself. */
  readonly textTokens: number;
}

class RefinedAnswer {
  readonly #room: Room;
  readonly #admission: Admission;
  readonly #screening: Screening;
  readonly #model: LoadedModel;
  readonly #pipeline: AnswerPipeline;
  readonly #request: GenerationRequest;
  readonly #signal: AbortSignal;
  readonly #budget: number;
  #usage: Usage = NOTHING;

  constructor(parts: {
    room: Room;
    admission: Admission;
    screening: Screening;
    model: LoadedModel;
    pipeline: AnswerPipeline;
    request: GenerationRequest;
    budget: number;
    signal: AbortSignal;
  }) {
    this.#room = parts.room;
    this.#admission = parts.admission;
    this.#screening = parts.screening;
    this.#model = parts.model;
    this.#pipeline = parts.pipeline;
    this.#request = parts.request;
    this.#budget = parts.budget;
    this.#signal = parts.signal;
  }

  async *events(draft: Stage, asked: readonly ChatMessage[], firstPrompt: readonly number[]): AsyncGenerator<GenerationEvent> {
    const { stages, draft: limits } = this.#pipeline;
    let messages = asked;
    let promptTokenIds = firstPrompt;
    const drafted = yield* this.#think(draft, limits.timeoutSeconds);
    let turn = drafted;
    for (const [index, stage] of stages.entries()) {
      const isLast = index === stages.length - 1;
      const left = this.#budget - this.#usage.completionTokens;
      const maxTokens = isLast ? left : Math.min(left, Math.max(LEAST_TOKENS, Math.floor(this.#budget * stage.share)));
      // What a filter has ended is not worked on.
      if (turn.text === '' || turn.finishReason === 'content-filter' || maxTokens < LEAST_TOKENS) break;
      const continued = continuePrompt(this.#model, messages, { promptTokenIds, answerTokenIds: turn.tokenIds }, stage.instruction);
      messages = [...messages, { role: 'assistant', content: turn.text }, { role: 'user', content: stage.instruction }];
      promptTokenIds = continued ?? encodeMessages(this.#model, messages, this.#request);
      try {
        const running = await this.#begin(promptTokenIds, maxTokens, isLast);
        if (!isLast) turn = yield* this.#think(running, stage.timeoutSeconds);
        else if (yield* this.#answer(running, stage.timeoutSeconds)) return;
      } catch (error) {
        this.#giveUp(stage.name, error);
        break;
      }
    }
    // What was a thought is the answer now.
    this.#usage = { ...this.#usage, reasoningTokens: this.#usage.reasoningTokens - drafted.textTokens };
    if (drafted.text !== '')
      yield this.#delta({ type: 'content', text: maskIn(this.#screening, 'content')?.restore(drafted.text) ?? drafted.text });
    yield this.#end(drafted.finishReason);
  }

  async #begin(tokenIds: readonly number[], maxTokens: number, isLast: boolean): Promise<Stage> {
    const stop = new AbortController();
    const screening = { ...this.#screening, verdicts: new VerdictTally(), ...(isLast ? {} : { mask: undefined }) };
    const admission = { ...this.#admission, screening, generationId: this.#room.ids.create('gen_') };
    const asked = isLast ? this.#request : withoutLogprobs(this.#request);
    const request: GenerationRequest = { ...asked, prompts: [{ type: 'tokens', tokenIds }], maxTokens };
    const running = await runGeneration(this.#room, admission, request, AbortSignal.any([this.#signal, stop.signal]));
    return { ...running, stop, promptTokens: tokenIds.length };
  }

  /** A turn that is not the answer. One whose time is up is as long as it has come. */
  async *#think(stage: Stage, timeoutSeconds: number): AsyncGenerator<GenerationEvent, Turn> {
    let text = '';
    let finishReason: FinishReason = 'length';
    const { showStages } = this.#pipeline;
    const restoring = maskIn(this.#screening, 'reasoning')?.restoreStream();
    let shown = false;
    let textTokens = 0;
    try {
      for await (const event of this.#counted(stage, timeoutSeconds, (usage) => {
        textTokens = usage.completionTokens - usage.reasoningTokens;
        return { ...usage, reasoningTokens: usage.completionTokens };
      })) {
        if (event.type === 'choice-end') finishReason = event.finishReason;
        else {
          for (const part of event.parts) {
            if (!('text' in part) || part.text === '') continue;
            if (part.type === 'content') text += part.text;
            if (showStages) yield this.#delta({ type: 'reasoning', text: restoring?.push(part.text) ?? part.text }, event.usage);
            shown = showStages;
          }
        }
      }
    } catch (error) {
      if (!(error instanceof TimeUp) || text === '') throw error;
    }
    if (shown) yield this.#delta({ type: 'reasoning', text: `${restoring?.flush() ?? ''}\n\n` });
    return { text, tokenIds: stage.generation.tokenIds(0), finishReason, textTokens };
  }

  /** The last turn, as it comes. False when it has said nothing: then the draft is better than that. */
  async *#answer(stage: Stage, timeoutSeconds: number): AsyncGenerator<GenerationEvent, boolean> {
    let begun = false;
    let finishReason: FinishReason = 'length';
    try {
      for await (const event of this.#counted(stage, timeoutSeconds)) {
        if (event.type === 'choice-end') finishReason = event.finishReason;
        else {
          begun ||= event.parts.some((part) => 'text' in part && part.text.trim() !== '');
          yield { ...event, usage: add(this.#usage, event.usage) };
        }
      }
    } catch (error) {
      // What the reader has seen of an answer cannot be taken back: it ends here, as one that was cut.
      if (!begun) throw error;
      this.#giveUp('answer', error);
    }
    if (begun) yield this.#end(finishReason);
    return begun;
  }

  /** A stage's events; its tokens are added up however it ends, as what `read` takes them for. */
  async *#counted(stage: Stage, timeoutSeconds: number, read: (usage: Usage) => Usage = (usage) => usage): AsyncGenerator<GenerationEvent> {
    let usage: Usage | undefined;
    let seen = NOTHING;
    try {
      for await (const event of limitTime(stage.events, timeoutSeconds * 1000, stage.stop)) {
        if (event.type === 'choice-end') usage = event.usage;
        seen = event.usage;
        yield { ...event, usage: read(event.usage) };
      }
    } finally {
      const { completionTokens } = stage.generation;
      const promptTokens = completionTokens > 0 ? stage.promptTokens : 0;
      this.#usage = add(this.#usage, read(usage ?? { ...seen, promptTokens, completionTokens }));
    }
  }

  /** Writes down that a stage failed. @throws what is not the stage's failure: the caller is gone, or a bug. */
  #giveUp(stage: string, error: unknown): void {
    this.#signal.throwIfAborted();
    if (!(error instanceof GatewayError || error instanceof TimeUp)) throw error;
    this.#room.log.write('warn', 'stage-failed', {
      requestId: this.#request.requestId,
      model: this.#pipeline.id,
      stage,
      error: error.name,
    });
  }

  /** @param running what the stage has used that is not counted yet. */
  #delta(part: OutputPart, running: Usage = NOTHING): GenerationEvent {
    return { type: 'delta', index: 0, parts: [part], tokens: [], usage: add(this.#usage, running) };
  }

  #end(finishReason: FinishReason): GenerationEvent {
    return { type: 'choice-end', index: 0, finishReason, usage: this.#usage };
  }
}

const NOTHING: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0, reasoningTokens: 0 };

function add(one: Usage, other: Usage): Usage {
  return {
    promptTokens: one.promptTokens + other.promptTokens,
    completionTokens: one.completionTokens + other.completionTokens,
    cachedPromptTokens: one.cachedPromptTokens + other.cachedPromptTokens,
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
  };
}
