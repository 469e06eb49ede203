/** BERT's uncased WordPiece tokenizer (Devlin et al., 2019), for one sentence: ids with [CLS] before and [SEP] behind. */

const longestWord = 100;
const punctuation = /^[!-/:-@[-`{-~\p{P}]$/u;
const dropped = /^[\p{Cc}\p{Cf}\p{Mn}\ufffd]$/u;

export interface WordPieces {
  /** @param limit most ids, with both markers */
  encode(text: string, limit: number): number[];
}

/** @param vocabulary one piece a line, the line's number is its id */
export function createWordPieces(vocabulary: string): WordPieces {
  const ids = new Map(vocabulary.trimEnd().split('\n').map((piece, id) => [piece, id]));
  const idOf = (piece: string): number => {
    const id = ids.get(piece);
    if (id === undefined) throw new Error(`The WordPiece vocabulary has no ${piece}: it is not BERT's.`);
    return id;
  };
  const start = idOf('[CLS]');
  const end = idOf('[SEP]');
  const unknown = idOf('[UNK]');
  const encodeWord = (word: string): number[] => {
    if (word.length > longestWord) return [unknown];
    const found: number[] = [];
    for (let from = 0; from < word.length; ) {
      let to = word.length;
      let id: number | undefined;
      for (; to > from; to -= 1) {
        id = ids.get((from > 0 ? '##' : '') + word.slice(from, to));
        if (id !== undefined) break;
      }
      if (id === undefined) return [unknown];
      found.push(id);
      from = to;
    }
    return found;
  };
  return {
    encode(text, limit) {
      const encoded = [start];
      for (const word of splitWords(text)) {
        if (encoded.length >= limit) break;
        encoded.push(...encodeWord(word));
      }
      return [...encoded.slice(0, limit - 1), end];
    },
  };
}

function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  const endWord = () => {
    if (word !== '') words.push(word);
    word = '';
  };
  for (const character of text.normalize('NFD').toLowerCase()) {
    if (/^\s$/u.test(character)) endWord();
    else if (dropped.test(character)) continue;
    else if (punctuation.test(character) || isHan(character.codePointAt(0) ?? 0)) {
      endWord();
      words.push(character);
    } else word += character;
  }
  endWord();
  return words;
}

/** The blocks that BERT splits into single characters. */
function isHan(code: number): boolean {
  return (
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0x20000 && code <= 0x2ceaf) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0x2f800 && code <= 0x2fa1f)
  );
}
