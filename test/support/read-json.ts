/** The body in the shape that a test goes on to check. */
export async function readJson<Shape>(response: Response): Promise<Shape> {
  return (await response.json()) as Shape; // the caller's expectations are what checks it
}
