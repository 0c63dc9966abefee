import { HOST_PORTS } from "../cni/portmap-rules.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { formatIp } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { RecordedPort } from "./record.ts";
import type { WantedPort } from "./request.ts";

/** The kernel's own range for local ports, where it says nothing else. */
const DEFAULT_RANGE = [32768, 60999] as const;
const RANGE_SYSCTL = "net/ipv4/ip_local_port_range";
/** Largest table of sockets that is read, bytes: some 400,000 sockets. */
const SOCKETS_LIMIT = 64 << 20;
const TCP_LISTEN = "0A";

/** Settles the host port of every wish. A single port is taken as it is, since the firewall refuses one that another
 *  container has; of a range, or of the kernel's local ports when none was named, it is the first that neither a
 *  container nor a process of the host has. Throws `exhausted` when there is none. */
export function chooseHostPorts(kernel: Kernel, files: Files, wanted: readonly WantedPort[]): readonly RecordedPort[] {
  if (wanted.every(({ hostPort, hostPortEnd }) => hostPort !== 0 && hostPort === hostPortEnd)) {
    return wanted.map((wish) => recorded(wish, wish.hostPort));
  }
  const used = usedPorts(kernel, files);
  return wanted.map((wish) => {
    const hostPort = firstFree(kernel, wish, used);
    used.add(`${wish.protocol} ${hostPort}`);
    return recorded(wish, hostPort);
  });
}

function recorded({ protocol, containerPort, hostIp }: WantedPort, hostPort: number): RecordedPort {
  return { protocol, hostPort, containerPort, ...(hostIp === undefined ? {} : { hostIp: formatIp(hostIp) }) };
}

function firstFree(kernel: Kernel, { protocol, hostPort, hostPortEnd }: WantedPort, used: ReadonlySet<string>): number {
  if (hostPort !== 0 && hostPort === hostPortEnd) return hostPort;
  const [from, to] = hostPort === 0 ? localRange(kernel) : [hostPort, hostPortEnd];
  for (let port = from; port <= to; port++) if (!used.has(`${protocol} ${port}`)) return port;
  throw new NetError("exhausted", {
    tried: `choose a ${protocol} port of the host from ${from} to ${to}`,
    said: "all are in use",
    remedy: "stop a container that has one, or name a wider range",
  });
}

function localRange(kernel: Kernel): readonly [number, number] {
  const [from, to] = (kernel.sysctl(RANGE_SYSCTL) ?? "").split(/\s+/).map(Number);
  return from === undefined || to === undefined || !(from > 0 && to >= from) ? DEFAULT_RANGE : [from, to];
}

/** `tcp 8080` for every port that leads to a container or that a process listens on. */
function usedPorts(kernel: Kernel, files: Files): Set<string> {
  const used = new Set<string>();
  for (const { family, name } of [HOST_PORTS[4], HOST_PORTS[6]]) {
    for (const set of ["ports", "bound"]) {
      for (const { key } of kernel.nftables.elements(family, name, set) ?? []) used.add(key.slice(-2).join(" "));
    }
  }
  for (const protocol of ["tcp", "udp"]) {
    for (const version of ["", "6"]) {
      const path = `/proc/thread-self/net/${protocol}${version}`;
      const table = kernel.enter(() => files.read(path, SOCKETS_LIMIT));
      for (const port of boundPorts(new TextDecoder().decode(table), protocol)) used.add(`${protocol} ${port}`);
    }
  }
  return used;
}

/** Local ports in a table of proc(5) `/proc/net/tcp` or `udp`: of listeners, and of all UDP sockets. */
function boundPorts(table: string, protocol: string): number[] {
  return table.split("\n").flatMap((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [, port] = /:([0-9A-F]{4})$/.exec(local) ?? [];
    if (port === undefined || (protocol === "tcp" && state !== TCP_LISTEN)) return [];
    return [Number.parseInt(port, 16)];
  });
}
