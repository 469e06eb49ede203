/**
 * Rows in one DynamoDB table, whose keys are the strings `partition` and `sort` and whose time-to-live attribute is `expiresAt`. A single
 * change is one UpdateItem, PutItem or DeleteItem with a condition: DynamoDB serialises those, so a hot row is never retried; several are
 * one transaction, which is tried again when another one touched the same rows.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { GetItemOutput, QueryOutput, UpdateItemOutput } from '@aws-sdk/client-dynamodb';
import { GatewayError, StoreUnavailableError } from '../gateway/errors.ts';
import type { Change, Key, Row, Table, WriteResult } from '../gateway/services/table.ts';
import type { Clock } from '../gateway/services.ts';
import { type AwsClientOptions, AwsError, type AwsJsonClient, createAwsJsonClient } from './aws-json-client.ts';
import type { Item } from './dynamodb-attributes.ts';
import { decodeRow, encodeChange, encodeKey, encodeQuery, encodeTransactItem } from './dynamodb-table-items.ts';

const CONFLICT_TRIES = 12;
const DYNAMODB = { name: 'dynamodb', target: 'DynamoDB_20120810', version: '1.0' } as const;

export function createDynamoDbTable(tableName: string, clock: Clock, client: AwsClientOptions = {}): Table {
  const dynamo = createAwsJsonClient(DYNAMODB, client);
  const visible = (key: Key, item: Item | undefined): Row | undefined => {
    const row = item === undefined ? undefined : decodeRow(item);
    return row === undefined || (row.expiresAt !== undefined && row.expiresAt * 1000 <= clock.now())
      ? undefined
      : { key, attributes: row.attributes };
  };
  const guard = async <Result>(work: Promise<Result>): Promise<Result> => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof GatewayError || isNamed(error, 'ConditionalCheckFailedException', 'TransactionCanceledException')) throw error;
      throw new StoreUnavailableError(`the DynamoDB table ${tableName}`, { cause: error });
    }
  };

  return {
    async read(key) {
      const { Item } = await guard(
        dynamo.call<GetItemOutput>('GetItem', { TableName: tableName, Key: encodeKey(key), ConsistentRead: true }),
      );
      return visible(key, Item);
    },

    async list(partition, options = {}) {
      const rows: Row[] = [];
      let start: Item | undefined;
      do {
        const page = await guard(dynamo.call<QueryOutput>('Query', encodeQuery(tableName, partition, options, start)));
        for (const item of page.Items ?? []) {
          const sort = item['sort']?.S ?? '';
          // The upper bound of a query is inclusive, ours is not.
          if (sort === options.until) continue;
          const row = visible({ partition, sort }, item);
          if (row !== undefined) rows.push(row);
          if (rows.length === options.limit) return rows;
        }
        start = page.LastEvaluatedKey;
      } while (start !== undefined);
      return rows;
    },

    async write(change) {
      for (let tries = 1; ; tries += 1) {
        try {
          return await writeOne(dynamo, tableName, change, clock.now(), visible);
        } catch (error) {
          // Another's transaction has the row at this moment.
          if (!isNamed(error, 'TransactionConflictException') || tries === CONFLICT_TRIES) return guard(Promise.reject(error));
          await conflictPause(tries);
        }
      }
    },

    async writeAll(changes) {
      const items = changes.map((change) => encodeTransactItem(tableName, change, clock.now()));
      for (let tries = 1; ; tries += 1) {
        // One whose answer was lost on its way is not written again when the client repeats it.
        const token = crypto.randomUUID();
        try {
          await guard(dynamo.call('TransactWriteItems', { TransactItems: items, ClientRequestToken: token }));
          return true;
        } catch (error) {
          const codes = cancellationCodes(error);
          if (codes.includes('ConditionalCheckFailed')) return false;
          if (!codes.includes('TransactionConflict') || tries === CONFLICT_TRIES) {
            throw error instanceof GatewayError ? error : new StoreUnavailableError(`the DynamoDB table ${tableName}`, { cause: error });
          }
          await conflictPause(tries);
        }
      }
    },

    close() {
      dynamo.close();
    },
  };
}

function conflictPause(tries: number): Promise<void> {
  return sleep(Math.random() * Math.min(200, 5 * 2 ** tries));
}

async function writeOne(
  dynamo: AwsJsonClient,
  tableName: string,
  change: Change,
  nowMs: number,
  visible: (key: Key, item: Item | undefined) => Row | undefined,
): Promise<WriteResult> {
  const encoded = encodeChange(tableName, change, nowMs);
  const onFailure = { ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } as const;
  try {
    switch (encoded.type) {
      case 'put':
        await dynamo.call('PutItem', { ...encoded.input, ...onFailure });
        return { written: true, row: visible(change.key, encoded.input.Item) };
      case 'update': {
        const { Attributes } = await dynamo.call<UpdateItemOutput>('UpdateItem', {
          ...encoded.input,
          ...onFailure,
          ReturnValues: 'ALL_NEW',
        });
        return { written: true, row: visible(change.key, Attributes) };
      }
      case 'delete':
        await dynamo.call('DeleteItem', { ...encoded.input, ...onFailure });
        return { written: true, row: undefined };
    }
  } catch (error) {
    if (!isNamed(error, 'ConditionalCheckFailedException')) throw error;
    const item = error.fields['Item'] as Item | undefined; // DynamoDB's own, as it gives items everywhere
    return { written: false, row: visible(change.key, item) };
  }
}

function isNamed(error: unknown, ...names: readonly string[]): error is AwsError {
  return error instanceof AwsError && names.includes(error.name);
}

function cancellationCodes(error: unknown): readonly (string | undefined)[] {
  const reasons = isNamed(error, 'TransactionCanceledException') ? error.fields['CancellationReasons'] : undefined;
  return Array.isArray(reasons) ? reasons.map((reason: { Code?: string }) => reason.Code) : [];
}
