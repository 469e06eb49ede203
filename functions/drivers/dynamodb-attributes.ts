import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Value } from '../gateway/services/table.ts';

export type Item = Record<string, AttributeValue>;

/** One of our values as DynamoDB writes it: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html */
export function encodeAttribute(value: Value): AttributeValue {
  switch (typeof value) {
    case 'string':
      return { S: value };
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} is no number that a row can hold`);
      return { N: String(value) };
    case 'boolean':
      return { BOOL: value };
    case 'object':
      if (value === null) return { NULL: true };
      return isList(value) ? { L: value.map(encodeAttribute) } : { M: encodeItem(value) };
  }
}

export function encodeItem(attributes: { readonly [name: string]: Value }): Item {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, encodeAttribute(value)]));
}

/** @throws for sets and bytes, which rows of ours never hold. */
export function decodeAttribute(attribute: AttributeValue): Value {
  if (attribute.S !== undefined) return attribute.S;
  if (attribute.N !== undefined) return Number(attribute.N);
  if (attribute.BOOL !== undefined) return attribute.BOOL;
  if (attribute.M !== undefined) return decodeItem(attribute.M);
  if (attribute.L !== undefined) return attribute.L.map(decodeAttribute);
  if (attribute.NULL === true) return null;
  throw new TypeError(`a row of ours holds no ${Object.keys(attribute).join(', ')}`);
}

export function decodeItem(item: Item): { [name: string]: Value } {
  return Object.fromEntries(Object.entries(item).map(([name, attribute]) => [name, decodeAttribute(attribute)]));
}

/** `Array.isArray` does not narrow readonly lists. */
function isList(value: readonly Value[] | { readonly [name: string]: Value }): value is readonly Value[] {
  return Array.isArray(value);
}
