/**
 * What whoever runs the gateway changes without a deployment: a JSON text that is read again every half minute, beside the requests and not before
 * them. One that cannot be read, or says what nobody understands, changes nothing: what was said before holds.
 */
import * as v from 'valibot';
import { within } from './generation/pause.ts';
import type { Clock, Log, SettingText } from './services.ts';

const names = v.optional(v.array(v.pipe(v.string(), v.nonEmpty())), []);

const switchesSchema = v.strictObject({
  /** Makes no new answers, and tells callers this. What runs goes on, and what is stored can be read. */
  closed: v.optional(v.pipe(v.string(), v.nonEmpty(), v.maxLength(300))),
  /** Ids of models that make no new answers. */
  modelsOut: names,
  /** Endpoints that get no calls while a model has another: NAME in the own region, REGION/NAME elsewhere. */
  endpointsOut: names,
  /** Lines of less weight are not written. */
  logLevel: v.optional(v.picklist(['info', 'warn', 'error']), 'info'),
});

export type SwitchSettings = Readonly<v.InferOutput<typeof switchesSchema>>;

export interface Switches {
  /** As they were last read. */
  current(): SwitchSettings;
  /** The same at once, unless it is older than a minute, as in a function that stood still: then it waits a moment for the text. */
  recent(): Promise<SwitchSettings>;
}

const ALL_ON: SwitchSettings = v.parse(switchesSchema, {});

/** For a gateway that nobody switches. */
export const UNSWITCHED: Switches = { current: () => ALL_ON, recent: async () => ALL_ON };

const READ_AGAIN_MS = 30_000;
const OLD_MS = 60_000;
const LONGEST_WAIT_MS = 300;

/** @param setting no text means that nothing is switched. */
export function createSwitches(setting: SettingText, clock: Clock, log: Log): Switches {
  let settings = ALL_ON;
  let readAt = Number.NEGATIVE_INFINITY;
  let readAgainAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  let text = '{}';
  let trouble = '';

  const read = async (): Promise<void> => {
    try {
      const found = (await setting.read()) ?? '{}';
      settings = v.parse(switchesSchema, JSON.parse(found));
      if (found !== text || trouble !== '') {
        const { closed, modelsOut, endpointsOut, logLevel } = settings;
        const names = { modelsOut: modelsOut.join(' '), endpointsOut: endpointsOut.join(' ') };
        log.write('info', 'switches-read', { closed: closed !== undefined, ...names, logLevel });
      }
      [text, trouble] = [found, ''];
    } catch (error) {
      const reason = describe(error);
      if (reason !== trouble) log.write('error', 'switches-unusable', { reason });
      trouble = reason; // told once
    } finally {
      readAt = clock.now();
      // Not all processes at the same moment: the store counts calls.
      readAgainAt = readAt + READ_AGAIN_MS * (0.8 + 0.4 * Math.random());
    }
  };
  const readInTime = () => {
    if (clock.now() < readAgainAt) return;
    reading ??= read().finally(() => {
      reading = undefined;
    });
  };
  return {
    current() {
      readInTime();
      return settings;
    },
    async recent() {
      readInTime();
      if (reading !== undefined && clock.now() - readAt > OLD_MS) await within(reading, LONGEST_WAIT_MS);
      return settings;
    },
  };
}

function describe(error: unknown): string {
  if (error instanceof v.ValiError) {
    const [issue] = error.issues as [v.BaseIssue<unknown>]; // an error has at least one
    return `${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`;
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** A log without the lines of less weight than the switches say. */
export function switchLog(log: Log, switches: Switches): Log {
  return {
    write(level, event, fields) {
      if (WEIGHT[level] >= WEIGHT[switches.current().logLevel]) log.write(level, event, fields);
    },
  };
}

const WEIGHT = { info: 0, warn: 1, error: 2 } as const;
