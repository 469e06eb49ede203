/** What text can be judged by. The first thirteen are OpenAI's moderation categories; the others are ours. */
export const moderationCategories = [
  'hate',
  'hate/threatening',
  'harassment',
  'harassment/threatening',
  'self-harm',
  'self-harm/intent',
  'self-harm/instructions',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
  'illicit',
  'illicit/violent',
] as const;
export const classifiedCategories = [...moderationCategories, 'prompt_injection'] as const;

/** Categories that a classifier scores between 0 and 1. */
export type ClassifiedCategory = (typeof classifiedCategories)[number];
export type Scores = Readonly<Partial<Record<ClassifiedCategory, number>>>;

/** The larger score of each category. */
export function maxScores(a: Scores, b: Scores): Scores {
  const scores: Partial<Record<ClassifiedCategory, number>> = { ...a };
  for (const category of classifiedCategories) {
    const score = b[category];
    if (score !== undefined && score > (scores[category] ?? -1)) scores[category] = score;
  }
  return scores;
}
