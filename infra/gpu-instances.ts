/**
 * The GPU instances that SageMaker hosts endpoints on. Sizes: https://aws.amazon.com/sagemaker/ai/pricing/ and the EC2 pages of each family;
 * regions: AWS's price list, as cfn-lint 1.58 carries it (`aws_sagemaker_hosting`).
 */

interface Family {
  readonly gpu: string;
  readonly gpuMemoryMb: number;
  readonly regions: readonly string[];
  /** Size: GPUs, memory of the host in GiB. */
  readonly sizes: Readonly<Record<string, readonly [gpus: number, memoryGib: number]>>;
}

const regions = (text: string) => text.split(' ');

const FAMILIES: Readonly<Record<string, Family>> = {
  g4dn: {
    gpu: 'T4',
    gpuMemoryMb: 16_384,
    regions: regions(
      'af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1 eu-south-1 eu-west-1 eu-west-2 eu-west-3 me-south-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2',
    ),
    sizes: { xlarge: [1, 16], '2xlarge': [1, 32], '4xlarge': [1, 64], '8xlarge': [1, 128], '12xlarge': [4, 192], '16xlarge': [1, 256] },
  },
  g5: {
    gpu: 'A10G',
    gpuMemoryMb: 24_576,
    regions: regions(
      'ap-east-1 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3 ca-central-1 eu-central-1 eu-north-1 eu-west-1 eu-west-2 il-central-1 me-central-1 sa-east-1 us-east-1 us-east-2 us-west-2',
    ),
    sizes: {
      xlarge: [1, 16],
      '2xlarge': [1, 32],
      '4xlarge': [1, 64],
      '8xlarge': [1, 128],
      '12xlarge': [4, 192],
      '16xlarge': [1, 256],
      '24xlarge': [4, 384],
      '48xlarge': [8, 768],
    },
  },
  g6: {
    gpu: 'L4',
    gpuMemoryMb: 24_576,
    regions: regions(
      'ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-5 ca-central-1 eu-central-1 eu-central-2 eu-north-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2',
    ),
    sizes: {
      xlarge: [1, 16],
      '2xlarge': [1, 32],
      '4xlarge': [1, 64],
      '8xlarge': [1, 128],
      '12xlarge': [4, 192],
      '16xlarge': [1, 256],
      '24xlarge': [4, 384],
      '48xlarge': [8, 768],
    },
  },
  g6e: {
    gpu: 'L40S',
    gpuMemoryMb: 49_152,
    regions: regions('ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 eu-central-1 eu-south-2 us-east-1 us-east-2 us-west-2'),
    sizes: {
      xlarge: [1, 32],
      '2xlarge': [1, 64],
      '4xlarge': [1, 128],
      '8xlarge': [1, 256],
      '12xlarge': [4, 384],
      '16xlarge': [1, 512],
      '24xlarge': [4, 768],
      '48xlarge': [8, 1536],
    },
  },
  p4d: {
    gpu: 'A100',
    gpuMemoryMb: 40_960,
    regions: regions(
      'ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-west-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-2',
    ),
    sizes: { '24xlarge': [8, 1152] },
  },
  p5: {
    gpu: 'H100',
    gpuMemoryMb: 81_920,
    regions: regions('ap-southeast-2 ca-central-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-2'),
    sizes: { '48xlarge': [8, 2048] },
  },
};

export interface GpuInstance {
  readonly type: string;
  readonly gpu: string;
  readonly gpus: number;
  readonly gpuMemoryMb: number;
  readonly memoryMb: number;
  readonly regions: readonly string[];
}

/** @param type `ml.g6.xlarge` */
export function findGpuInstance(type: string): GpuInstance | undefined {
  const [service, name = '', size = ''] = type.split('.');
  const family = service === 'ml' ? FAMILIES[name] : undefined;
  const found = family?.sizes[size];
  if (family === undefined || found === undefined) return undefined;
  const [gpus, memoryGib] = found;
  return { type, gpu: family.gpu, gpus, gpuMemoryMb: family.gpuMemoryMb, memoryMb: memoryGib * 1024, regions: family.regions };
}

export const GPU_FAMILIES: readonly string[] = Object.keys(FAMILIES).map((family) => `ml.${family}`);
