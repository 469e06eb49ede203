/**
 * Rows in one DynamoDB table, whose keys are the strings `partition` and `sort` and whose time-to-live attribute is `expiresAt`. A single
 * change is one UpdateItem, PutItem or DeleteItem with a condition: DynamoDB serialises those, so a hot row is never retried; several are
 * one transaction, which is tried again when another one touched the same rows.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteItemCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { GatewayError, StoreUnavailableError } from '../gateway/errors.ts';
import type { Change, Key, Row, Table, WriteResult } from '../gateway/services/table.ts';
import type { Clock } from '../gateway/services.ts';
import { decodeItem, encodeChange, encodeKey, encodeQuery, encodeTransactItem, type Item } from './dynamodb-table-items.ts';

const CONFLICT_TRIES = 12;
const MAX_SOCKETS = 256;

/** @param client laid over the SDK's ordinary configuration (environment, profile, role), which is enough by itself. */
export function createDynamoDbTable(tableName: string, clock: Clock, client: DynamoDBClientConfig = {}): Table {
  const dynamo = new DynamoDBClient({
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS }, httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS } },
    ...client,
  });
  const visible = (key: Key, item: Item | undefined): Row | undefined => {
    const row = item === undefined ? undefined : decodeItem(item);
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
      const { Item } = await guard(dynamo.send(new GetItemCommand({ TableName: tableName, Key: encodeKey(key), ConsistentRead: true })));
      return visible(key, Item);
    },

    async list(partition, options = {}) {
      const rows: Row[] = [];
      let start: Item | undefined;
      do {
        const page = await guard(dynamo.send(new QueryCommand(encodeQuery(tableName, partition, options, start))));
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
      return guard(writeOne(dynamo, tableName, change, clock.now(), visible));
    },

    async writeAll(changes) {
      const items = changes.map((change) => encodeTransactItem(tableName, change, clock.now()));
      for (let tries = 1; ; tries += 1) {
        try {
          await guard(dynamo.send(new TransactWriteItemsCommand({ TransactItems: items })));
          return true;
        } catch (error) {
          const codes = cancellationCodes(error);
          if (codes.includes('ConditionalCheckFailed')) return false;
          if (!codes.includes('TransactionConflict') || tries === CONFLICT_TRIES) {
            throw error instanceof GatewayError ? error : new StoreUnavailableError(`the DynamoDB table ${tableName}`, { cause: error });
          }
          await sleep(Math.random() * Math.min(200, 5 * 2 ** tries));
        }
      }
    },

    close() {
      dynamo.destroy();
    },
  };
}

async function writeOne(
  dynamo: DynamoDBClient,
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
        await dynamo.send(new PutItemCommand({ ...encoded.input, ...onFailure }));
        return { written: true, row: visible(change.key, encoded.input.Item) };
      case 'update': {
        const { Attributes } = await dynamo.send(new UpdateItemCommand({ ...encoded.input, ...onFailure, ReturnValues: 'ALL_NEW' }));
        return { written: true, row: visible(change.key, Attributes) };
      }
      case 'delete':
        await dynamo.send(new DeleteItemCommand({ ...encoded.input, ...onFailure }));
        return { written: true, row: undefined };
    }
  } catch (error) {
    if (!isNamed(error, 'ConditionalCheckFailedException')) throw error;
    const item = 'Item' in error ? (error.Item as Item | undefined) : undefined; // the SDK's class has it
    return { written: false, row: visible(change.key, item) };
  }
}

function isNamed(error: unknown, ...names: readonly string[]): error is Error {
  return error instanceof Error && names.includes(error.name);
}

function cancellationCodes(error: unknown): readonly (string | undefined)[] {
  if (!isNamed(error, 'TransactionCanceledException') || !('CancellationReasons' in error) || !Array.isArray(error.CancellationReasons)) {
    return [];
  }
  return error.CancellationReasons.map((reason: { Code?: string }) => reason.Code);
}
