/** Builds one ONNX model (`onnx.proto3`, IR version 10): nodes in order, small constants inside, weights in a file beside it. */
import { ProtobufWriter } from './protobuf-writer.ts';
import type { WeightsFile } from './weights-file.ts';

export const CONTRIB = 'com.microsoft';

const IR_VERSION = 10;
const OPSET = 24;
/** `TensorProto.DataType` */
export const ELEMENT_TYPES = { float32: 1, uint8: 2, int32: 6, int64: 7, float16: 10 } as const;
type ElementType = keyof typeof ELEMENT_TYPES;
type Attribute = number | { readonly float: number } | readonly number[];
type Values = Float32Array | Uint8Array | BigInt64Array;
/** Where weights lie in the weights file. */
export interface StoredWeights {
  readonly offset: number;
  readonly byteLength: number;
}

/** Constants up to this size stay in the graph: shapes and the like. */
const INLINE_BYTES = 1024;

/** Parts that one of the graphs over the same weights has alone: without adapters, with LoRA adapters as inputs, or with outputs to look at. */
export type GraphVariant = 'plain' | 'adapted' | 'probe';

interface VariantPart {
  readonly part: ProtobufWriter;
  readonly only: GraphVariant | undefined;
}

export class OnnxGraph {
  readonly #weights: WeightsFile;
  readonly #nodes: VariantPart[] = [];
  readonly #initializers: ProtobufWriter[] = [];
  readonly #inputs: VariantPart[] = [];
  #only: GraphVariant | undefined;
  readonly #outputs: VariantPart[] = [];
  readonly #lengths: VariantPart[] = [];
  readonly #shapes = new Map<string, string>();

  constructor(weights: WeightsFile) {
    this.#weights = weights;
  }

  /** @param shape numbers, or names of lengths that vary from call to call. */
  input(name: string, type: ElementType, shape: readonly (number | string)[]): string {
    this.#inputs.push({ part: valueInfo(name, type, shape), only: this.#only });
    return name;
  }

  /** What `add` adds belongs to this variant alone. */
  inVariant(variant: GraphVariant, add: () => void): void {
    this.#only = variant;
    add();
    this.#only = undefined;
  }

  output(name: string, type: ElementType, shape: readonly (number | string)[]): void {
    this.#outputs.push({ part: valueInfo(name, type, shape), only: this.#only });
  }

  /** Adds a node and returns the name of its first output. An empty name leaves an optional input or output out. */
  node(
    operator: string,
    inputs: readonly string[],
    outputs: string | readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain: '' | typeof CONTRIB = '',
  ): string {
    const names = typeof outputs === 'string' ? [outputs] : outputs;
    const node = new ProtobufWriter();
    for (const input of inputs) node.text(1, input);
    for (const output of names) node.text(2, output);
    const [first = ''] = names;
    node.text(3, `${first}/${operator}`).text(4, operator);
    for (const [name, value] of Object.entries(attributes)) node.message(5, (attribute) => writeAttribute(attribute, name, value));
    if (domain !== '') node.text(7, domain);
    this.#nodes.push({ part: node, only: this.#only });
    return first;
  }

  /**
   * Says the shape of a node's float32 output where onnxruntime cannot infer it, in the names of lengths that inputs have. Its memory
   * planner (1.30) compares a new buffer with every free one of other lengths, which without names took half of a session's creation.
   */
  shape(name: string, shape: readonly (number | string)[]): string {
    this.#lengths.push({ part: valueInfo(name, 'float32', shape), only: this.#only });
    return name;
  }

  /** A constant; returns its name. */
  constant(name: string, values: Values, shape: readonly number[]): string {
    if (values.byteLength > INLINE_BYTES) return this.stored(name, elementTypeOf(values), shape, this.#weights.append(asBytes(values)));
    this.#initializers.push(tensor(name, elementTypeOf(values), shape).bytes(9, asBytes(values)));
    return name;
  }

  store(values: Values): StoredWeights {
    return this.#weights.append(asBytes(values));
  }

  /** A constant whose bytes are in the weights file already; two constants may share them. */
  stored(name: string, type: ElementType, shape: readonly number[], { offset, byteLength }: StoredWeights): string {
    const initializer = tensor(name, type, shape);
    const entries = { location: this.#weights.fileName, offset: `${offset}`, length: `${byteLength}` };
    for (const [key, value] of Object.entries(entries)) initializer.message(13, (entry) => entry.text(1, key).text(2, value));
    this.#initializers.push(initializer.integer(14, 1));
    return name;
  }

  /** A constant list of whole numbers, as shapes and axes are; equal lists are stored once. */
  integers(...values: number[]): string {
    const key = values.join('_').replaceAll('-', 'minus_');
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const name = this.constant(`integers_${key}`, BigInt64Array.from(values, BigInt), [values.length]);
    this.#shapes.set(key, name);
    return name;
  }

  finish(variant: GraphVariant): Uint8Array {
    const ofVariant = (parts: readonly VariantPart[]) => parts.filter(({ only }) => only === undefined || only === variant);
    const model = new ProtobufWriter().integer(1, IR_VERSION).text(2, 'penstock');
    model.message(7, (graph) => {
      for (const { part } of ofVariant(this.#nodes)) graph.bytes(1, part.finish());
      graph.text(2, 'decoder');
      for (const initializer of this.#initializers) graph.bytes(5, initializer.finish());
      for (const { part } of ofVariant(this.#inputs)) graph.bytes(11, part.finish());
      for (const { part } of ofVariant(this.#outputs)) graph.bytes(12, part.finish());
      for (const { part } of ofVariant(this.#lengths)) graph.bytes(13, part.finish());
    });
    model.message(8, (opset) => opset.text(1, '').integer(2, OPSET));
    model.message(8, (opset) => opset.text(1, CONTRIB).integer(2, 1));
    return model.finish();
  }
}

function tensor(name: string, type: ElementType, shape: readonly number[]): ProtobufWriter {
  const message = new ProtobufWriter();
  for (const length of shape) message.integer(1, length);
  return message.integer(2, ELEMENT_TYPES[type]).text(8, name);
}

function valueInfo(name: string, type: ElementType, shape: readonly (number | string)[]): ProtobufWriter {
  return new ProtobufWriter().text(1, name).message(2, (typeMessage) =>
    typeMessage.message(1, (tensorType) =>
      tensorType.integer(1, ELEMENT_TYPES[type]).message(2, (shapeMessage) => {
        for (const length of shape) {
          shapeMessage.message(1, (dimension) => (typeof length === 'number' ? dimension.integer(1, length) : dimension.text(2, length)));
        }
      }),
    ),
  );
}

function writeAttribute(message: ProtobufWriter, name: string, value: Attribute): void {
  message.text(1, name);
  if (typeof value === 'number') message.integer(3, value).integer(20, 2);
  else if ('float' in value) message.float(2, value.float).integer(20, 1);
  else {
    for (const item of value) message.integer(8, item);
    message.integer(20, 7);
  }
}

function elementTypeOf(values: Values): ElementType {
  if (values instanceof Float32Array) return 'float32';
  return values instanceof Uint8Array ? 'uint8' : 'int64';
}

function asBytes(values: Values): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
