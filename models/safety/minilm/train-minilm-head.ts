import { embeddingLength, type MinilmHead, type minilmCategories } from '../../../layers/safety/minilm-reviewer.ts';
import { type Embedded, weightOf } from './embedded-examples.ts';

/** Logistic regression with an L2 penalty, by gradient descent with Nesterov's momentum. */
export function trainMinilmHead(data: readonly Embedded[], category: (typeof minilmCategories)[number]): MinilmHead {
  const rows = data.filter(({ example }) => example.labels[category] !== undefined);
  const weights = new Float64Array(embeddingLength);
  const speed = new Float64Array(embeddingLength);
  let bias = 0;
  let biasSpeed = 0;
  const total = rows.reduce((sum, { example }) => sum + weightOf(example), 0);
  const [rate, momentum, penalty] = [2, 0.95, 0.1 / total];
  for (let round = 0; round < 400; round += 1) {
    const gradient = new Float64Array(embeddingLength);
    let biasGradient = 0;
    for (const { example, embedding } of rows) {
      let logit = bias + momentum * biasSpeed;
      for (let unit = 0; unit < embeddingLength; unit += 1)
        logit += ((weights[unit] ?? 0) + momentum * (speed[unit] ?? 0)) * (embedding[unit] ?? 0);
      const weight = weightOf(example);
      const slope = (weight * (1 / (1 + Math.exp(-logit)) - (example.labels[category] ?? 0))) / total;
      biasGradient += slope;
      for (let unit = 0; unit < embeddingLength; unit += 1) gradient[unit] = (gradient[unit] ?? 0) + slope * (embedding[unit] ?? 0);
    }
    for (let unit = 0; unit < embeddingLength; unit += 1) {
      speed[unit] = momentum * (speed[unit] ?? 0) - rate * ((gradient[unit] ?? 0) + penalty * (weights[unit] ?? 0));
      weights[unit] = (weights[unit] ?? 0) + (speed[unit] ?? 0);
    }
    biasSpeed = momentum * biasSpeed - rate * biasGradient;
    bias += biasSpeed;
  }
  const round4 = (value: number) => Math.round(value * 1e4) / 1e4;
  return { category, bias: round4(bias), weights: [...weights].map(round4) };
}
