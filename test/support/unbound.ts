/** Configuration of an unbound of a test or benchmark: one thread, on 127.0.0.1, nothing outside `directory`. `server`:
 *  more lines of the section `server`; `rest`: what comes after it. */
export function unboundConfiguration(directory: string, port: number, server: string, rest = ""): string {
  return `server:
  interface: 127.0.0.1@${port}
  port: ${port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "${directory}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
${server}
remote-control:
  control-enable: no
${rest}`;
}
