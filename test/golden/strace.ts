/** Datagrams out of strace's dumps: lines such as ` | 00000  68 00 … 06  4c 14 …  h...L. |`. */
export function datagramsIn(trace: string): string[] {
  const datagrams: string[] = [];
  for (const line of trace.split("\n")) {
    const dump = /^ \| ([0-9a-f]{5}) {2}((?:[0-9a-f]{2} {1,2}){1,16})/.exec(line);
    if (dump === null) continue;
    if (dump[1] === "00000") datagrams.push("");
    datagrams.push((datagrams.pop() ?? "") + (dump[2] ?? "").replaceAll(" ", ""));
  }
  return datagrams;
}
