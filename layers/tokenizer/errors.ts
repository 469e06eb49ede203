/** A vocabulary that cannot be read or cannot be reproduced exactly. The message says which and what to do. */
export class VocabularyError extends Error {
  override readonly name = 'VocabularyError';
}

/** An id that the vocabulary has no token for. */
export class UnknownTokenError extends Error {
  override readonly name = 'UnknownTokenError';
  readonly tokenId: number;
  constructor(tokenId: number, vocabularySize: number) {
    super(`The vocabulary has no token with id ${tokenId}: its ids are 0 to ${vocabularySize - 1}, some of them unused.`);
    this.tokenId = tokenId;
  }
}

/** Messages or tools that a chat template cannot render, or refuses. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}
