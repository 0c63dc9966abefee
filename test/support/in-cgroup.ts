/** The command that runs `command` in a control group, of which `path` is the directory. */
export function inCgroup(path: string, command: readonly string[]): string[] {
  return ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', path, ...command];
}
