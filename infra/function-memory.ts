/** Memory of functions, in MB: what the stacks set, and what the estimate of the costs reckons with. */

/** Lambda gives a function with so much memory one whole CPU. */
export const WHOLE_CPU_MB = 1769;
