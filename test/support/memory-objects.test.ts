import { describe } from 'vitest';
import { testObjects } from '../contracts/objects.ts';
import { createMemoryObjects } from './memory-objects.ts';

describe('objects in memory', () => testObjects(createMemoryObjects));
