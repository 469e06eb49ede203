import { TELL_HOST } from './tell-host.ts';

/** Latitude and longitude, degrees, of the regions that a deployment or a CDN location can be in. Only nearness is asked of them. */
const PLACES: Readonly<Record<string, readonly [number, number]>> = {
  'af-south-1': [-34, 18],
  'ap-east-1': [22, 114],
  'ap-northeast-1': [36, 140],
  'ap-northeast-2': [37, 127],
  'ap-northeast-3': [35, 135],
  'ap-south-1': [19, 73],
  'ap-south-2': [17, 78],
  'ap-southeast-1': [1, 104],
  'ap-southeast-2': [-34, 151],
  'ap-southeast-3': [-6, 107],
  'ap-southeast-4': [-38, 145],
  'ap-southeast-5': [3, 102],
  'ca-central-1': [45, -74],
  'ca-west-1': [51, -114],
  'eu-central-1': [50, 9],
  'eu-central-2': [47, 9],
  'eu-north-1': [59, 18],
  'eu-south-1': [45, 9],
  'eu-south-2': [42, -1],
  'eu-west-1': [53, -6],
  'eu-west-2': [52, 0],
  'eu-west-3': [49, 2],
  'il-central-1': [32, 35],
  'me-central-1': [24, 54],
  'me-south-1': [26, 50],
  'mx-central-1': [21, -100],
  'sa-east-1': [-24, -47],
  'us-east-1': [39, -78],
  'us-east-2': [40, -83],
  'us-west-1': [37, -122],
  'us-west-2': [46, -120],
};

/** The deployed regions, nearest first, for each place that a CDN location can belong to. */
export function rankRegions(regions: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const distance = (from: string, to: string) => centralAngle(PLACES[from] ?? [0, 0], PLACES[to] ?? [0, 0]);
  return Object.fromEntries(
    Object.keys(PLACES).map((place) => [place, regions.toSorted((a, b) => distance(place, a) - distance(place, b))]),
  );
}

/** Haversine. */
function centralAngle([latitude1, longitude1]: readonly [number, number], [latitude2, longitude2]: readonly [number, number]): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const half = (from: number, to: number) => Math.sin(radians(to - from) / 2) ** 2;
  const haversine = half(latitude1, latitude2) + Math.cos(radians(latitude1)) * Math.cos(radians(latitude2)) * half(longitude1, longitude2);
  return 2 * Math.asin(Math.sqrt(haversine));
}

/**
 * The CDN's own function, which sends a request to the nearest region that is not drained. The key `drained` of its key-value store holds
 * region names separated by commas; a change reaches every location within seconds. If all are drained, none is. The host that was called is
 * told in a header.
 * https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/helper-functions-origin-modification.html
 * @param domains each deployed region's address, without scheme and slash.
 */
export function chooseRegionCode(domains: Readonly<Record<string, string>>): string {
  const regions = Object.keys(domains);
  return `import cf from 'cloudfront';
const domains = ${JSON.stringify(domains)};
const nearest = ${JSON.stringify(rankRegions(regions))};
async function handler(event) {
  let drained = [];
  try {
    drained = (await cf.kvs().get('drained')).split(',');
  } catch (error) {} // no such key: no region is drained
  const ranked = nearest[cf.edgeLocation.region] || ${JSON.stringify(regions)};
  const region = ranked.find((each) => !drained.includes(each)) || ranked[0];
  cf.updateRequestOrigin({ domainName: domains[region] });
  ${TELL_HOST}
  return event.request;
}
`;
}
