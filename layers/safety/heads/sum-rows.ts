/**
 * Sums rows of a matrix of small integers, [row][column]: what a linear model does for features that are there or not. Four columns are summed
 * at a time, in variables: a sum in memory is loaded and stored for every weight, which takes four times as long.
 */
const tile = 4;

/** The array that is given back is overwritten by the next sum. The sums are exact up to 2^24 rows. */
export function createRowSum(weights: Int8Array, columnCount: number): (rows: Int32Array) => Int32Array {
  const sums = new Int32Array(Math.ceil(columnCount / tile) * tile);
  return (rows) => {
    for (let column = 0; column < columnCount; column += tile) {
      let [a, b, c, d] = [0, 0, 0, 0];
      for (let index = 0; index < rows.length; index += 1) {
        const at = (rows[index] ?? 0) * columnCount + column;
        a += weights[at] ?? 0;
        b += weights[at + 1] ?? 0;
        c += weights[at + 2] ?? 0;
        d += weights[at + 3] ?? 0;
      }
      sums[column] = a;
      sums[column + 1] = b;
      sums[column + 2] = c;
      sums[column + 3] = d;
    }
    // Of a last tile that is not full, what lies behind the columns are weights of the next row.
    return sums.subarray(0, columnCount);
  };
}
