/** Zone of the names that DNS servers are compared with: as long as those of tasks. */
export const BENCH_ZONE = "dcos.thisdcos.directory";

export function benchName(index: number): string {
  return `app-${index}.marathon.containerip.${BENCH_ZONE}`;
}

export function benchAddress(index: number): string {
  return `9.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}
