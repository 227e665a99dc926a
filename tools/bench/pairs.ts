/** Honest pairs: A B B A A B …, the first pair dropped, ratios within a pair only, since machines are noisy. */
export interface PairResult {
  /** Throughput of A over throughput of B, a pair. */
  ratios: number[];
  median: number;
  min: number;
  max: number;
  a: number[];
  b: number[];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** `a` and `b` return a throughput. `count` pairs are reported; one more is run first and dropped. */
export async function runPairs(
  count: number,
  a: (half: number) => Promise<number>,
  b: (half: number) => Promise<number>,
  report: (line: string) => void,
): Promise<PairResult> {
  const result: PairResult = { ratios: [], median: 0, min: 0, max: 0, a: [], b: [] };
  for (let pair = 0; pair <= count; pair += 1) {
    let fromA: number;
    let fromB: number;
    if (pair % 2 === 0) {
      fromA = await a(pair);
      fromB = await b(pair);
    } else {
      fromB = await b(pair);
      fromA = await a(pair);
    }
    const ratio = fromA / fromB;
    report(
      `pair ${pair}${pair === 0 ? ' (dropped)' : ''}: ${fromA.toFixed(0)} / ${fromB.toFixed(0)} = ${ratio.toFixed(3)}`,
    );
    if (pair === 0) continue;
    result.ratios.push(ratio);
    result.a.push(fromA);
    result.b.push(fromB);
  }
  result.median = median(result.ratios);
  result.min = Math.min(...result.ratios);
  result.max = Math.max(...result.ratios);
  return result;
}
