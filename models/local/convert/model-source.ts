/** What a model is converted from: a GGUF file, or a folder as Hugging Face keeps it (`config.json`, `*.safetensors`, `tokenizer.json`). */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { compileGguf, compileTokenizerJson } from '../../../layers/tokenizer/index.ts';
import { hashFile } from '../../file-digest.ts';
import { type ModelConfig, readModelConfig } from '../gguf/model-config.ts';
import { readGguf } from '../gguf/read-gguf.ts';
import { readTokenizerMetadata } from '../gguf/tokenizer-metadata.ts';
import { SentenceError } from '../sentence-error.ts';
import { MODULES, type TensorSource } from './load-tensor.ts';
import { readSafetensors, type SafeTensor } from './read-safetensors.ts';

export interface ModelSource {
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  /** Compiled by `layers/tokenizer`. */
  readonly vocabulary: Uint8Array;
  readonly chatTemplate: string;
  readonly bytes: number;
  /** sha256 in hexadecimal. */
  hash(signal: AbortSignal | undefined): Promise<string>;
  close(): void;
}

/** @throws {SentenceError} a model that cannot be served. */
export async function openModelSource(path: string): Promise<ModelSource> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return isFolder ? openFolder(path) : openGguf(path);
}

function openGguf(path: string): ModelSource {
  const file = readGguf(path);
  try {
    const config = readModelConfig(file);
    const { tokenizer, chatTemplate } = readTokenizerMetadata(file);
    return {
      config,
      tensors: {
        label: path,
        interleavesHalves: config.architecture === 'llama',
        find(name) {
          const tensor = file.tensors.get(name);
          if (tensor === undefined) return undefined;
          const [columns = 1, rows = 1] = tensor.shape;
          return { type: tensor.type.name, rows, columns, read: () => file.readTensor(tensor) };
        },
      },
      vocabulary: compileGguf(tokenizer),
      chatTemplate,
      bytes: file.byteLength,
      hash: (signal) => hashFile(path, signal),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const tokenId = v.pipe(v.number(), v.integer(), v.minValue(0));
const configSchema = v.object({
  model_type: v.string(),
  num_hidden_layers: count,
  hidden_size: count,
  intermediate_size: count,
  num_attention_heads: count,
  num_key_value_heads: v.nullish(count),
  head_dim: v.nullish(count),
  max_position_embeddings: count,
  vocab_size: count,
  rope_theta: v.nullish(v.number()),
  rope_parameters: v.nullish(v.object({ rope_theta: v.nullish(v.number()), rope_type: v.nullish(v.string()) })),
  rope_scaling: v.nullish(v.unknown()),
  rms_norm_eps: v.nullish(v.number(), 1e-6),
  tie_word_embeddings: v.nullish(v.boolean(), false),
  hidden_act: v.nullish(v.string(), 'silu'),
  bos_token_id: v.nullish(tokenId),
  eos_token_id: v.nullish(v.union([tokenId, v.array(tokenId)])),
  use_sliding_window: v.nullish(v.boolean()),
  sliding_window: v.nullish(count),
});
type FolderConfig = v.InferOutput<typeof configSchema>;

const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3'];

async function openFolder(folder: string): Promise<ModelSource> {
  const settings = v.safeParse(configSchema, await readJson(join(folder, 'config.json')));
  if (!settings.success) {
    throw new SentenceError(
      `${folder} holds no model: its config.json is missing or incomplete, at ${v.getDotPath(settings.issues[0]) ?? 'its root'}.`,
    );
  }
  refuseUnlike(folder, settings.output);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort();
  const tensors = new Map<string, SafeTensor>();
  for (const name of names) {
    const read = await readSafetensors(join(folder, name)).catch((error: unknown) => {
      throw new SentenceError(`${join(folder, name)} cannot be read: ${error instanceof Error ? error.message : error}.`, { cause: error });
    });
    for (const [tensor, value] of read) tensors.set(tensor, value);
  }
  const tokenizerJson = await readJson(join(folder, 'tokenizer.json'));
  if (tokenizerJson === undefined) throw new SentenceError(`${folder} has no tokenizer.json.`);
  const tokenizerConfig = v.parse(tokenizerConfigSchema, (await readJson(join(folder, 'tokenizer_config.json'))) ?? {});
  const [bosToken, eosToken] = [tokenOf(tokenizerConfig.bos_token), tokenOf(tokenizerConfig.eos_token)];
  const templateFile = join(folder, 'chat_template.jinja');
  return {
    config: describe(settings.output, folder),
    tensors: {
      label: folder,
      interleavesHalves: false,
      find(name) {
        if (name === 'output.weight' && settings.output.tie_word_embeddings) return undefined;
        const tensor = tensors.get(nameInFolder(name));
        if (tensor === undefined) return undefined;
        const [rows, columns] = tensor.shape.length === 1 ? [1, tensor.shape[0] ?? 0] : [tensor.shape[0] ?? 0, tensor.shape[1] ?? 0];
        return { type: tensor.type, rows, columns, read: () => tensor.bytes };
      },
    },
    vocabulary: compileTokenizerJson(tokenizerJson, {
      ...(bosToken === undefined ? {} : { bosToken }),
      ...(eosToken === undefined ? {} : { eosToken }),
    }),
    chatTemplate: existsSync(templateFile) ? await readFile(templateFile, 'utf8') : (tokenizerConfig.chat_template ?? PLAIN_TEMPLATE),
    bytes: [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0),
    async hash(signal) {
      const hash = createHash('sha256');
      for (const name of ['config.json', 'tokenizer.json', ...names])
        hash.update(`${name} ${await hashFile(join(folder, name), signal)}\n`);
      return hash.digest('hex');
    },
    close: () => undefined,
  };
}

/** Used when a folder brings no template of its own: contents in order, a line each. */
const PLAIN_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

const specialToken = v.nullish(v.union([v.string(), v.object({ content: v.string() })]));
const tokenizerConfigSchema = v.object({
  chat_template: v.fallback(v.optional(v.string()), undefined),
  bos_token: specialToken,
  eos_token: specialToken,
});

function tokenOf(value: v.InferOutput<typeof specialToken>): string | undefined {
  return typeof value === 'string' ? value : value?.content;
}

function refuseUnlike(folder: string, config: FolderConfig): void {
  if (!FAMILIES.includes(config.model_type)) {
    throw new SentenceError(`${folder} holds a model of the family "${config.model_type}"; this engine runs ${FAMILIES.join(', ')}.`);
  }
  const ropeType = config.rope_parameters?.rope_type ?? 'default';
  if ((config.rope_scaling ?? undefined) !== undefined || ropeType !== 'default') {
    throw new SentenceError(`${folder} stretches its context by rope scaling, which this engine cannot do.`);
  }
  if (config.hidden_act !== 'silu') throw new SentenceError(`${folder} activates by ${config.hidden_act}; this engine by silu only.`);
  const window = config.use_sliding_window === false ? undefined : (config.sliding_window ?? undefined);
  if (window !== undefined && window < config.max_position_embeddings) {
    throw new SentenceError(`${folder} attends to a sliding window of ${window} tokens, which this engine cannot do.`);
  }
}

function describe(config: FolderConfig, folder: string): ModelConfig {
  const { eos_token_id: eos, bos_token_id: bos } = config;
  return {
    architecture: config.model_type,
    name: folder.split('/').filter(Boolean).at(-1) ?? 'model',
    blocks: config.num_hidden_layers,
    hiddenSize: config.hidden_size,
    feedForwardSize: config.intermediate_size,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headSize: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    contextLength: config.max_position_embeddings,
    vocabularySize: config.vocab_size,
    ropeBase: config.rope_theta ?? config.rope_parameters?.rope_theta ?? 10_000,
    normEpsilon: config.rms_norm_eps,
    ...(bos === undefined || bos === null ? {} : { bosTokenId: bos }),
    stopTokenIds: eos === undefined || eos === null ? [] : [eos].flat(),
  };
}

const OUTER_NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};

/** From GGUF's name of a tensor to Hugging Face's. */
function nameInFolder(name: string): string {
  const [, block, part = '', kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const modules: Readonly<Record<string, string>> = MODULES;
  return OUTER_NAMES[name] ?? `model.layers.${block}.${modules[part]}.${kind}`;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}
