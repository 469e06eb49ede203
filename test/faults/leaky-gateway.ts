/** A bug that no gateway may have, for `privacy prove --seed-leak`: it keeps every request that it reads in a file for debugging. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

const parse = JSON.parse;
JSON.parse = (text: string, ...rest: [reviver?: Parameters<typeof parse>[1]]) => {
  if (text.includes('"messages"')) appendFileSync(join(process.env['PENSTOCK_DATA'] ?? '.', 'debug.log'), `${text}\n`);
  return parse(text, ...rest);
};
