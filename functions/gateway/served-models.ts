import { type ChatTemplate, compileChatTemplate, loadTokenizer, type Tokenizer } from '../../layers/tokenizer/index.ts';
import type { ServedModel } from '../../models/catalog.ts';
import type { TokenizerFiles } from './services.ts';

/** A model of the catalog with its own tokenizer and chat template, ready to render and count. */
export interface LoadedModel {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Whether the template shows tools to the model by itself. */
  readonly templateReadsTools: boolean;
}

/** By model id, in the catalog's order. */
export type ServedModels = ReadonlyMap<string, LoadedModel>;

/**
 * Loads each model's tokenizer once, at cold start.
 * @throws when a file is missing or damaged, or a vocabulary is not the one that the catalog names: counts, limits and resume rest on it.
 */
export async function loadServedModels(catalog: readonly ServedModel[], files: TokenizerFiles): Promise<ServedModels> {
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
  return loaded;
}
