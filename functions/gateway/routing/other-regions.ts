import type { ServedModel } from '../../../models/catalog.ts';

/** The same models with their endpoints of other regions behind those of the own one: they stand in when these do not answer. */
export function withOtherRegions(catalog: readonly ServedModel[], regions: readonly string[]): readonly ServedModel[] {
  return catalog.map((model) => {
    const { endpoint, alternatives = [] } = model;
    const own = [endpoint, ...alternatives].filter((target) => target.region === undefined);
    const elsewhere = regions.flatMap((region) => own.map((target) => ({ ...target, region })));
    return elsewhere.length === 0 ? model : { ...model, alternatives: [...alternatives, ...elsewhere] };
  });
}
