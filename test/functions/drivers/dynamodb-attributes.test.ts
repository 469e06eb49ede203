import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAttribute, decodeItem, encodeAttribute, encodeItem } from '../../../functions/drivers/dynamodb-attributes.ts';
import type { Value } from '../../../functions/gateway/services/table.ts';

const value = fc.jsonValue().map((each) => JSON.parse(JSON.stringify(each))) as fc.Arbitrary<Value>;

describe('a row in DynamoDB', () => {
  it("is written and read as the SDK's own converter does", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value), (attributes) => {
        const item = encodeItem(attributes);
        const text = JSON.stringify(item);
        // The SDK refuses whole numbers over 2^53, ours are never that large; and it loses this name, which has a test of its own.
        fc.pre(![...text.matchAll(/"N":"([^"]*)"/g)].some(([, digits]) => Math.abs(Number(digits)) > Number.MAX_SAFE_INTEGER));
        fc.pre(!text.includes('"__proto__"'));
        expect(item).toEqual(marshall(attributes));
        expect(decodeItem(item)).toEqual(unmarshall(item));
      }),
    );
  });

  it('is what was written', () => {
    fc.assert(
      fc.property(value, (each) => {
        expect(decodeAttribute(encodeAttribute(each))).toEqual(each);
      }),
    );
  });

  it('has no attribute that changes what objects are', () => {
    const item = encodeItem(JSON.parse('{"__proto__":{"admin":true}}'));
    expect(Object.keys(decodeItem(item))).toEqual(['__proto__']);
    expect('admin' in decodeItem(item)).toBe(false);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('does not hold %d', (number) => {
    expect(() => encodeAttribute(number)).toThrow(TypeError);
  });

  it.each([{ SS: ['a'] }, { B: new Uint8Array(1) }, { NS: ['1'] }])('does not hold %o', (attribute) => {
    expect(() => decodeAttribute(attribute)).toThrow(Object.keys(attribute)[0]);
  });
});
