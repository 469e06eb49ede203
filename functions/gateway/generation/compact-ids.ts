/** Token ids as text: LEB128 (seven bits a byte, low bits first), in base64url. About three characters an id, where JSON takes six. */

export function encodeIds(tokenIds: readonly number[]): string {
  const bytes: number[] = [];
  for (const tokenId of tokenIds) {
    let rest = tokenId;
    for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
    bytes.push(rest);
  }
  return Buffer.from(bytes).toString('base64url');
}

export function decodeIds(text: string): readonly number[] {
  const tokenIds: number[] = [];
  let value = 0;
  let shift = 0;
  for (const byte of Buffer.from(text, 'base64url')) {
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte > 0x7f) continue;
    tokenIds.push(value);
    value = 0;
    shift = 0;
  }
  return tokenIds;
}
