import { describe, expect, it } from 'vitest';
import { TargetStatuses } from '../../../../functions/gateway/routing/target-statuses.ts';
import type { ControlPlane, TargetStatus } from '../../../../functions/gateway/services.ts';

const target = { endpointName: 'gpt', inferenceComponent: 'base' };
const status = (running: number): TargetStatus => ({ status: 'InService', copies: { running, wanted: 1 } });

function createScene() {
  const clock = { at: 0, now: () => clock.at };
  let asked = 0;
  let answer: () => Promise<TargetStatus | undefined> = async () => status(0);
  const controlPlane: ControlPlane = {
    describe() {
      asked += 1;
      return answer();
    },
  };
  const statuses = new TargetStatuses(controlPlane, clock);
  const says = (next: typeof answer) => {
    answer = next;
  };
  return { clock, statuses, says, asked: () => asked };
}

describe('what is known of targets', () => {
  it('is asked for once in five seconds, however many look', async () => {
    const { clock, statuses, says, asked } = createScene();
    expect(statuses.last(target)).toBeUndefined();
    await Promise.all([statuses.ask(target), statuses.ask(target)]);
    expect(statuses.last(target)).toEqual(status(0));
    expect(asked()).toBe(1);
    says(async () => status(1));
    clock.at += 4_999;
    expect(await statuses.ask(target)).toEqual(status(0));
    clock.at += 1;
    expect(statuses.last(target)).toEqual(status(0)); // nobody waits for what comes
    expect(await statuses.ask(target)).toEqual(status(1));
    expect(asked()).toBe(2);
    expect(await statuses.ask({ ...target, region: 'us-west-2' })).toEqual(status(1));
    expect(asked()).toBe(3);
  });

  it('stays what it was when nobody answers, and that is asked again in five seconds, too', async () => {
    const { clock, statuses, says, asked } = createScene();
    await statuses.ask(target);
    says(() => Promise.reject(new Error('denied')));
    clock.at += 5_000;
    await expect(statuses.ask(target)).rejects.toThrow('denied');
    for (let looks = 0; looks < 10; looks += 1) expect(statuses.last(target)).toEqual(status(0));
    expect(asked()).toBe(2);
  });

  it('is nothing without a control plane', async () => {
    const statuses = new TargetStatuses(undefined, { now: () => 0 });
    expect(statuses.last(target)).toBeUndefined();
    expect(await statuses.ask(target)).toBeUndefined();
  });
});
