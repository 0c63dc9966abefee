/** Takes `runs` measurements of each side. The two alternate in random order, so that whatever else the machine does
 *  meets both; the first ones, which fill caches and create what later runs find, are thrown away. */
export async function paired<T>(
  runs: number,
  ours: () => T | Promise<T>,
  theirs: () => T | Promise<T>,
): Promise<{ ours: T[]; theirs: T[] }> {
  const taken: { ours: T[]; theirs: T[] } = { ours: [], theirs: [] };
  const warmUp = Math.max(1, Math.ceil(runs / 20));
  for (let run = 0; run < warmUp + runs; run++) {
    const oursFirst = Math.random() < 0.5;
    const first = await (oursFirst ? ours() : theirs());
    const second = await (oursFirst ? theirs() : ours());
    if (run < warmUp) continue;
    taken.ours.push(oursFirst ? first : second);
    taken.theirs.push(oursFirst ? second : first);
  }
  return taken;
}
