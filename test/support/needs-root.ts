/** Ends the running test as skipped, with the reason in its title, where the report looks for it. */
export function skipBecause(context: Mocha.Context, reason: string): never {
  if (context.test !== undefined) context.test.title += ` (skipped: ${reason})`;
  return context.skip();
}

/** For `before` of suites that make network namespaces: leaves them out for ordinary users. */
export function needsRoot(this: Mocha.Context): void {
  if (process.getuid?.() === 0) return;
  console.log("      skipped: making network namespaces needs root");
  this.skip();
}
