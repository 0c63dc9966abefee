/** How the executable is compiled; the benchmark of start-up compiles its hello world the same way. What each option
 *  was measured to bring is in docs/decisions/002-bun-compiled-executable.md. */
export const OPTIONS: readonly string[] = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  // What a plugin call doesn't use lies in chunks of its own that it never loads.
  "--splitting",
  // A plugin call is over before compiled code would pay; the daemon and the commands go back to the normal policy.
  "--compile-jit-policy=100",
  // An import by name that can't be resolved fails here and not at run time. Only one whose name is computed may stay
  // open.
  "--allow-unresolved=<empty>",
  // A root program must not take settings or code from whatever directory it is started in.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];
