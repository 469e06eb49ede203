/** Memory of functions, in MB: what the stacks set, and what the estimate of the costs reckons with. */

/** Lambda gives a function with so much memory one whole CPU. */
export const WHOLE_CPU_MB = 1769;
/** The canary waits for the network and does little else. */
export const CANARY_MB = 256;
