/** Our rows, changes and conditions as DynamoDB's items and expressions. Every name and value goes in by placeholder. */
import type { AttributeValue, QueryCommandInput, TransactWriteItem } from '@aws-sdk/client-dynamodb';
import type { Attributes, Change, Condition, Key, ListOptions } from '../gateway/services/table.ts';
import { decodeItem, encodeAttribute, encodeItem, type Item } from './dynamodb-attributes.ts';

/** Attributes of ours never have these names. */
const RESERVED = new Set(['partition', 'sort', 'expiresAt']);

export function encodeKey({ partition, sort }: Key): Item {
  return { partition: { S: partition }, sort: { S: sort } };
}

export function decodeRow(item: Item): { attributes: Attributes; expiresAt: number | undefined } {
  const { partition: _partition, sort: _sort, expiresAt, ...attributes } = decodeItem(item);
  return { attributes, expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined };
}

/** @param nowMs decides which rows count as absent although DynamoDB has not removed them yet. */
export function encodeChange(tableName: string, change: Change, nowMs: number) {
  const expression = new Expression(nowMs);
  const condition = expression.conditions(change.if ?? []);
  const base = { TableName: tableName, ...(condition === '' ? {} : { ConditionExpression: condition }) };
  switch (change.type) {
    case 'put':
      return {
        type: 'put',
        input: {
          ...base,
          ...expression.placeholders(),
          Item: {
            ...encodeKey(change.key),
            ...encodeAttributes(change.attributes),
            ...(change.expiresAt === undefined ? {} : { expiresAt: { N: String(change.expiresAt) } }),
          },
        },
      } as const;
    case 'delete':
      return { type: 'delete', input: { ...base, ...expression.placeholders(), Key: encodeKey(change.key) } } as const;
    case 'update': {
      const update = expression.update(change);
      // An update that changes nothing still brings the row into being, but an empty expression is refused.
      return {
        type: 'update',
        input: {
          ...base,
          ...(update === '' ? {} : { UpdateExpression: update }),
          ...expression.placeholders(),
          Key: encodeKey(change.key),
        },
      } as const;
    }
  }
}

export function encodeTransactItem(tableName: string, change: Change, nowMs: number): TransactWriteItem {
  const encoded = encodeChange(tableName, change, nowMs);
  switch (encoded.type) {
    case 'put':
      return { Put: encoded.input };
    case 'update':
      // In a transaction the expression must be there; the key's own attribute cannot be removed, an absent one can.
      return { Update: { ...encoded.input, UpdateExpression: encoded.input.UpdateExpression ?? 'REMOVE penstockNothing' } };
    case 'delete':
      return { Delete: encoded.input };
  }
}

/** One page. Its upper bound is inclusive, and it asks for one row more than the limit, because ours is not. */
export function encodeQuery(tableName: string, partition: string, options: ListOptions, start: Item | undefined): QueryCommandInput {
  const { from, until, limit } = options;
  const bounds =
    from !== undefined && until !== undefined
      ? ' AND #s BETWEEN :from AND :until'
      : from !== undefined
        ? ' AND #s >= :from'
        : until !== undefined
          ? ' AND #s < :until'
          : '';
  return {
    TableName: tableName,
    ConsistentRead: true,
    ScanIndexForward: options.newestFirst !== true,
    KeyConditionExpression: `#p = :p${bounds}`,
    ExpressionAttributeNames: { '#p': 'partition', ...(bounds === '' ? {} : { '#s': 'sort' }) },
    ExpressionAttributeValues: {
      ':p': { S: partition },
      ...(from === undefined ? {} : { ':from': { S: from } }),
      ...(until === undefined ? {} : { ':until': { S: until } }),
    },
    ...(start === undefined ? {} : { ExclusiveStartKey: start }),
    ...(limit === undefined ? {} : { Limit: limit + 1 }),
  };
}

function encodeAttributes(attributes: Attributes): Item {
  for (const name of Object.keys(attributes)) if (RESERVED.has(name)) throw new TypeError(`an attribute cannot be called ${name}`);
  return encodeItem(attributes);
}

class Expression {
  readonly #nowMs: number;
  readonly #names = new Map<string, string>();
  readonly #values: Item = {};

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  conditions(conditions: readonly Condition[]): string {
    return conditions.map((condition) => this.#condition(condition)).join(' AND ');
  }

  update(change: Extract<Change, { type: 'update' }>): string {
    const sets = Object.entries(encodeAttributes(change.set ?? {})).map(([name, value]) => `${this.#name(name)} = ${this.#value(value)}`);
    if (change.expiresAt !== undefined) sets.push(`${this.#name('expiresAt')} = ${this.#number(change.expiresAt)}`);
    const adds = Object.entries(change.add ?? {}).map(([name, amount]) => `${this.#name(name)} ${this.#number(amount)}`);
    const removes = (change.remove ?? []).map((name) => this.#name(name));
    const clauses = [
      ['SET', sets],
      ['ADD', adds],
      ['REMOVE', removes],
    ] as const;
    return clauses
      .filter(([, terms]) => terms.length > 0)
      .map(([clause, terms]) => `${clause} ${terms.join(', ')}`)
      .join(' ');
  }

  placeholders(): { ExpressionAttributeNames?: Record<string, string>; ExpressionAttributeValues?: Item } {
    return {
      ...(this.#names.size === 0
        ? {}
        : { ExpressionAttributeNames: Object.fromEntries([...this.#names].map(([name, placeholder]) => [placeholder, name])) }),
      ...(Object.keys(this.#values).length === 0 ? {} : { ExpressionAttributeValues: this.#values }),
    };
  }

  #condition(condition: Condition): string {
    if ('row' in condition) {
      const [key, expiresAt, now] = [this.#name('partition'), this.#name('expiresAt'), this.#number(Math.floor(this.#nowMs / 1000))];
      return condition.row === 'absent'
        ? `(attribute_not_exists(${key}) OR ${expiresAt} <= ${now})`
        : `(attribute_exists(${key}) AND (attribute_not_exists(${expiresAt}) OR ${expiresAt} > ${now}))`;
    }
    const name = this.#name(condition.attribute);
    if ('is' in condition) return `${condition.is === 'absent' ? 'attribute_not_exists' : 'attribute_exists'}(${name})`;
    if ('equals' in condition) return `${name} = ${this.#value(encodeAttribute(condition.equals))}`;
    const [bound, comparison, absentHolds] =
      'atMost' in condition ? [condition.atMost, '<=', condition.atMost >= 0] : [condition.atLeast, '>=', condition.atLeast <= 0];
    const compared = `${name} ${comparison} ${this.#number(bound)}`;
    return absentHolds ? `(attribute_not_exists(${name}) OR ${compared})` : compared;
  }

  #name(name: string): string {
    const placeholder = this.#names.get(name) ?? `#n${this.#names.size}`;
    this.#names.set(name, placeholder);
    return placeholder;
  }

  #number(value: number): string {
    return this.#value({ N: String(value) });
  }

  #value(value: AttributeValue): string {
    const placeholder = `:v${Object.keys(this.#values).length}`;
    this.#values[placeholder] = value;
    return placeholder;
  }
}
