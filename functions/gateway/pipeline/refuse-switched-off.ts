import { OutOfServiceError } from '../errors.ts';
import type { Switches } from '../switches.ts';

/** @throws {OutOfServiceError} no new answers are made, or none by this model. */
export async function refuseSwitchedOff(switches: Switches, modelId: string): Promise<void> {
  const { closed, modelsOut } = await switches.recent();
  if (closed !== undefined) throw new OutOfServiceError(closed);
  if (modelsOut.includes(modelId)) {
    throw new OutOfServiceError(`The model \`${modelId}\` is out of service for now. Use another one, or try again later.`);
  }
}
