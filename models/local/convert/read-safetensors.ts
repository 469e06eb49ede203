/** Reads safetensors files (https://github.com/huggingface/safetensors#format): a JSON header of names, types and offsets, then bytes. */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';

const headerSchema = v.record(
  v.string(),
  v.union([
    v.object({
      dtype: v.string(),
      shape: v.array(v.pipe(v.number(), v.integer(), v.minValue(0))),
      data_offsets: v.tuple([v.pipe(v.number(), v.integer(), v.minValue(0)), v.pipe(v.number(), v.integer(), v.minValue(0))]),
    }),
    v.record(v.string(), v.string()), // __metadata__
  ]),
);

export interface SafeTensor {
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const ELEMENT_BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Throws an `Error` that says what is wrong with the file. */
export async function readSafetensors(path: string): Promise<ReadonlyMap<string, SafeTensor>> {
  const file = await readFile(path);
  const headerLength = file.length < 8 ? Number.NaN : Number(file.readBigUInt64LE(0));
  if (!(headerLength <= file.length - 8)) throw new Error('the file is cut off or no safetensors file');
  const header = v.safeParse(headerSchema, parseJson(file.subarray(8, 8 + headerLength).toString('utf8')));
  if (!header.success) throw new Error('the header is damaged');
  const tensors = new Map<string, SafeTensor>();
  for (const [name, entry] of Object.entries(header.output)) {
    if (name === '__metadata__' || !('data_offsets' in entry) || typeof entry.data_offsets === 'string') continue;
    const { dtype, shape, data_offsets: offsets } = entry as v.InferOutput<(typeof headerSchema)['value']['options'][0]>; // it has offsets
    const bytes = file.subarray(8 + headerLength + offsets[0], 8 + headerLength + offsets[1]);
    const expected = shape.reduce((product, length) => product * length, ELEMENT_BYTES[dtype] ?? Number.NaN);
    if (bytes.length !== expected)
      throw new Error(`a tensor of type ${/^\w{1,12}$/.test(dtype) ? dtype : '?'} does not have the bytes of its shape`);
    tensors.set(name, { type: dtype, shape, bytes });
  }
  return tensors;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
