import { Session } from 'node:inspector';

/** Counts what a piece of work executes in the modules whose path holds a folder's name. */
export interface StepCounter {
  /** Blocks of code that `work` executed. What native functions do inside of one call counts once. */
  count(work: () => void): number;
  stop(): void;
}

/** By V8's precise coverage: a measure of work that does not depend on the machine's load. Code runs slowly until `stop`. */
export function startStepCounter(folder: string): StepCounter {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const take = () => {
    let steps = 0;
    // The session is this thread's own: it answers before `post` returns.
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      for (const { functions } of result.filter(({ url }) => url.includes(folder))) {
        for (const { ranges } of functions) for (const { count } of ranges) steps += count;
      }
    });
    return steps;
  };
  return {
    count(work) {
      take();
      work();
      return take();
    },
    stop() {
      session.post('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}
