import { describe } from 'vitest';
import { createMemoryTable } from '../../../functions/drivers/memory-table.ts';
import { testTable } from '../../contracts/table.ts';

describe('memory table', () => testTable(createMemoryTable));
