import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linuxFiles } from "../../kernel/file.ts";
import type { Kernel, Operation } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import type { Files } from "../../lib/files.ts";
import { Namespaces } from "../support/namespaces.ts";
import { eventually } from "./fixture.ts";

/** A host with a bridge and two containers on it, and a machine outside that knows no way to the containers:
 *
 *      web 10.77.0.5, fd77::5 ─┐
 *                              br0 10.77.0.1, fd77::1 ─ host ─ 192.0.2.1, 2001:db8::1 ─┐
 *      job 10.77.0.6, fd77::6 ─┘                                                       │
 *                                  outside 192.0.2.2, 2001:db8::2, and 198.51.100.9 ───┘ */
export interface FirewallNetwork {
  readonly host: Kernel;
  readonly web: Kernel;
  readonly job: Kernel;
  readonly outside: Kernel;
  /** The machine's files, but with locks in a folder of the network's own. */
  readonly files: Files;
  /** That folder. */
  readonly folder: string;
  close(): void;
}

/** Milliseconds until silence is an answer. The networks are veth pairs: an answer takes far less than one; but a busy
 *  machine may let this process wait. */
const SILENCE_MS = 1500;

export function openFirewallNetwork(): FirewallNetwork {
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-firewall-"));
  const machine = openLinux();
  const namespaces = new Namespaces(machine, folder);
  const space = (name: string) => {
    const { kernel, netns } = namespaces.open(name);
    // Duplicate address detection would keep link-local addresses, and with them all of IPv6, waiting for a second.
    kernel.setSysctl("net/ipv6/conf/default/accept_dad", "0");
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
    return { kernel, netns };
  };
  const close = () => {
    namespaces.close();
    machine.close();
    rmSync(folder, { recursive: true });
  };
  try {
    const [host, web, job, outside] = [space("host"), space("web"), space("job"), space("outside")];
    const pair = (name: string, peer: string, netns: (typeof host)["netns"]): Operation[] => [
      { do: "link.add", link: { kind: "veth", name, up: true, peer: { name: peer, netns } } },
    ];
    host.kernel.apply([
      { do: "link.add", link: { kind: "bridge", name: "br0", up: true } },
      ...pair("vweb", "eth0", web.netns),
      ...pair("vjob", "eth0", job.netns),
      ...pair("out", "eth0", outside.netns),
      { do: "link.set", dev: "vweb", set: { master: "br0" } },
      { do: "link.set", dev: "vjob", set: { master: "br0" } },
      { do: "port.set", dev: "vweb", set: { hairpin: true } },
      { do: "port.set", dev: "vjob", set: { hairpin: true } },
      ...addresses("br0", "10.77.0.1/24", "fd77::1/64"),
      ...addresses("out", "192.0.2.1/24", "2001:db8::1/64"),
    ]);
    // Bridged packets would pass the rules too, and a neighbour's answer that misses the host would be translated after
    // all.
    host.kernel.setSysctl("net/bridge/bridge-nf-call-iptables", "0");
    host.kernel.setSysctl("net/bridge/bridge-nf-call-ip6tables", "0");
    host.kernel.setSysctl("net/ipv4/ip_forward", "1");
    host.kernel.setSysctl("net/ipv6/conf/all/forwarding", "1");
    host.kernel.apply([route("198.51.100.0/24", "192.0.2.2")]);
    attach(web.kernel, "10.77.0.5/24", "fd77::5/64");
    attach(job.kernel, "10.77.0.6/24", "fd77::6/64");
    outside.kernel.apply([
      { do: "link.set", dev: "eth0", set: { up: true } },
      ...addresses("eth0", "192.0.2.2/24", "2001:db8::2/64"),
      { do: "address.add", address: { dev: "lo", address: parsePrefix("198.51.100.9/32") } },
    ]);
    eventually(() => {
      for (const { kernel } of [host, web, job, outside]) {
        for (const { name, running, bridgePort } of kernel.links()) {
          if (!running || bridgePort?.forwarding === false) throw new Error(`${name} isn't ready`);
        }
        if (kernel.addresses().some(({ tentative }) => tentative)) throw new Error("an address is still tentative");
      }
    });
    const ownPath = (path: string) => (path.startsWith("/run/") ? `${folder}${path}` : path);
    const files: Files = {
      ...linuxFiles,
      makeDirectory: (path, mode) => linuxFiles.makeDirectory(ownPath(path), mode),
      lock: (path, waitMs) => linuxFiles.lock(ownPath(path), waitMs),
    };
    return { host: host.kernel, web: web.kernel, job: job.kernel, outside: outside.kernel, files, folder, close };
  } catch (error) {
    close();
    throw error;
  }
}

function addresses(dev: string, v4: string, v6: string): Operation[] {
  return [
    { do: "address.add", address: { dev, address: parsePrefix(v4) } },
    { do: "address.add", address: { dev, address: parsePrefix(v6), noDad: true } },
  ];
}

function route(dst: string, gateway: string): Operation {
  return { do: "route.add", route: { dst: parsePrefix(dst), gateway: parseIp(gateway) } };
}

function attach(container: Kernel, v4: string, v6: string): void {
  container.apply([
    { do: "link.set", dev: "eth0", set: { up: true } },
    ...addresses("eth0", v4, v6),
    route("0.0.0.0/0", "10.77.0.1"),
    route("::/0", "fd77::1"),
  ]);
}

/** Servers that answer with `name`, and the address they see, over TCP and UDP, in both families. */
export async function serve(where: Kernel, name: string, port: number): Promise<{ close(): void }> {
  const tcp = where.enter(() =>
    Bun.listen({
      hostname: "::",
      port,
      socket: {
        open: (socket) => void socket.end(`${name} sees ${plain(socket.remoteAddress)}`),
        data: () => undefined,
      },
    }),
  );
  const udp = await where.enter(() =>
    Bun.udpSocket({
      hostname: "::",
      port,
      socket: {
        data: (socket, _, remotePort, remote) => void socket.send(`${name} sees ${plain(remote)}`, remotePort, remote),
        error: () => undefined,
      },
    }),
  );
  return {
    close() {
      tcp.stop(true);
      udp.close();
    },
  };
}

/** An IPv4 address as such, not in the IPv6 form that a socket of both families gives. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, "");
}

/** What a TCP server says to `from`; `no answer` when there is none or the connection is refused. */
export function askTcp(from: Kernel, hostname: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const timer = setTimeout(() => resolve("no answer"), SILENCE_MS);
    const done = (text: string) => {
      clearTimeout(timer);
      resolve(text);
    };
    const socket = {
      data: (_: unknown, data: Uint8Array) => {
        heard += new TextDecoder().decode(data);
      },
      close: () => done(heard === "" ? "no answer" : heard),
      connectError: () => done("no answer"),
    };
    from.enter(() => Bun.connect({ hostname, port, socket })).catch(() => done("no answer"));
  });
}

/** A client that keeps its UDP port, as one connection tracking entry needs. */
export async function udpClient(from: Kernel, hostname: string, port: number) {
  let hear: (text: string) => void = () => undefined;
  const socket = await from.enter(() =>
    Bun.udpSocket({
      hostname: hostname.includes(":") ? "::" : "0.0.0.0",
      socket: { data: (_, data) => hear(data.toString()), error: () => undefined },
    }),
  );
  return {
    ask: () =>
      new Promise<string>((resolve) => {
        const timer = setTimeout(() => resolve("no answer"), SILENCE_MS);
        hear = (text) => {
          clearTimeout(timer);
          resolve(text);
        };
        socket.send("?", port, hostname);
      }),
    close: () => socket.close(),
  };
}

/** What a UDP server says to a new client in `from`. */
export async function askUdp(from: Kernel, hostname: string, port: number): Promise<string> {
  const client = await udpClient(from, hostname, port);
  try {
    return await client.ask();
  } finally {
    client.close();
  }
}

/** The whole rule set of a namespace by the nft tool. */
export function ruleset(where: Kernel): string {
  return where.enter(() => Bun.spawnSync(["nft", "list", "ruleset"])).stdout.toString();
}
