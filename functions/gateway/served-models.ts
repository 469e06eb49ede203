import { type ChatTemplate, compileChatTemplate, loadTokenizer, type Tokenizer } from '../../layers/tokenizer/index.ts';
import type { AnswerPipeline, ServedModel } from '../../models/catalog.ts';
import type { TokenizerFiles } from './services.ts';

/** A model of the catalog with its own tokenizer and chat template, ready to render and count. */
export interface LoadedModel {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Whether the template shows tools to the model by itself. */
  readonly templateReadsTools: boolean;
  /** How an answer is drafted and refined; `undefined` for a model that answers at once. */
  readonly pipeline?: AnswerPipeline;
}

/** By model id, in the catalog's order. */
export type ServedModels = ReadonlyMap<string, LoadedModel>;

/** The own instances that serve it: an adapter runs on the copies of its base. */
export function deploymentOf(models: ServedModels, { deployment, adapter }: ServedModel): ServedModel['deployment'] {
  return deployment ?? (adapter === undefined ? undefined : models.get(adapter.base)?.served.deployment);
}

/**
 * Loads each model's tokenizer once, at cold start.
 * @throws when a file is missing or damaged, or a vocabulary is not the one that the catalog names: counts, limits and resume rest on it.
 */
export async function loadServedModels(
  catalog: readonly ServedModel[],
  files: TokenizerFiles,
  pipelines: readonly AnswerPipeline[] = [],
): Promise<ServedModels> {
  const loaded = new Map<string, LoadedModel>();
  for (const served of catalog) {
    const { vocabulary, chatTemplate } = await files.load(served.tokenizer.folder);
    const tokenizer = loadTokenizer(vocabulary);
    if (tokenizer.digest !== served.tokenizer.digest) {
      throw new Error(
        `The catalog's model ${served.id} wants the tokenizer ${served.tokenizer.digest}, but ${served.tokenizer.folder} holds ${tokenizer.digest}. ` +
          'Compile the vocabulary again or correct the digest in the catalog.',
      );
    }
    loaded.set(served.id, {
      served,
      tokenizer,
      chatTemplate: compileChatTemplate(chatTemplate, tokenizer, {}),
      templateReadsTools: /\btools\b/.test(chatTemplate),
    });
  }
  for (const pipeline of pipelines) {
    const model = loaded.get(pipeline.model);
    if (model === undefined)
      throw new Error(`The catalog's pipeline ${pipeline.id} works with ${pipeline.model}, which the catalog lacks.`);
    const { id, created, ownedBy } = pipeline;
    loaded.set(id, { ...model, served: { ...model.served, id, created, ownedBy }, pipeline });
  }
  return loaded;
}
