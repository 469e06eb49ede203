/** The contract of the port `ControlPlane`. Every driver runs it. */
import { expect, it } from 'vitest';
import { EndpointUnavailableError } from '../../functions/gateway/errors.ts';
import type { ControlPlane, EndpointTarget } from '../../functions/gateway/services.ts';

export interface ControlPlaneUnderTest {
  readonly controlPlane: ControlPlane;
  /** Two copies run. */
  readonly served: EndpointTarget;
  /** None runs, and none is wanted. */
  readonly asleep: EndpointTarget;
  /** What makes its two copies start, which takes long. */
  wake(): Promise<void>;
  /** Without inference components, on one instance. */
  readonly plain: EndpointTarget;
  readonly missing: readonly EndpointTarget[];
  readonly unreachable: ControlPlane;
}

export function testControlPlane(create: () => Promise<ControlPlaneUnderTest>): void {
  it('tells how many copies run and are wanted, and since when', async () => {
    const before = Date.now();
    const { controlPlane, served, asleep, wake, plain } = await create();
    expect(await controlPlane.describe(served)).toMatchObject({ status: 'InService', copies: { running: 2, wanted: 2 } });
    expect(await controlPlane.describe(asleep)).toMatchObject({ status: 'InService', copies: { running: 0, wanted: 0 } });
    expect(await controlPlane.describe(plain)).toMatchObject({ status: 'InService', copies: { running: 1, wanted: 1 } });
    await wake();
    const starting = await controlPlane.describe(asleep);
    expect(starting).toMatchObject({ status: 'Updating', copies: { running: 0, wanted: 2 } });
    expect(starting?.changedAt).toBeGreaterThanOrEqual(before - 1);
    expect(starting?.changedAt).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('tells what does not exist from what it cannot be asked', async () => {
    const { controlPlane, missing, served, unreachable } = await create();
    for (const target of missing) expect(await controlPlane.describe(target)).toBeUndefined();
    await expect(unreachable.describe(served)).rejects.toThrow(EndpointUnavailableError);
  });
}
