/** Runs calls one by one and reports each, as `report.ts` beside this folder reads it. */
export const [baseURL, apiKey, model, embedder] = process.argv.slice(2);

/** @param {string} client @param {Record<string, () => Promise<void>>} calls by case */
export async function report(client, calls) {
  for (const [name, call] of Object.entries(calls)) {
    try {
      await call();
      process.stdout.write(`ok\t${client}\t${name}\n`);
    } catch (error) {
      const detail = `${error?.stack ?? error} ${error?.responseBody ?? ''}`.replaceAll(/\s*[\n\t]\s*/g, ' | ');
      process.stdout.write(`FAIL\t${client}\t${name}\t${detail.slice(0, 1000)}\n`);
    }
  }
}

/** A JSON schema that even a tiny model fills in few tokens. */
export const weatherSchema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 12 }, warm: { type: 'boolean' } },
  required: ['city', 'warm'],
  additionalProperties: false,
};
