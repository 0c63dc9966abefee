import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linuxFiles } from "../../kernel/file.ts";
import type { Kernel, Netns, Operation } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { formatIp, type Ip, offsetIp, parsePrefix } from "../../lib/address.ts";
import { overlayKeeper } from "../../overlay/apply.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import { newOverlayMetrics } from "../../overlay/metric.ts";
import type { Desired } from "../../overlay/table.ts";
import { Namespaces } from "./namespaces.ts";

/** A namespace of the test network, and commands run inside it. */
export interface Place {
  readonly kernel: Kernel;
  /** One echo request; true when an answer came within a second. `bytes` of IP packet, not to be fragmented. */
  ping(target: string, bytes?: number): boolean;
  /** Opens a TCP connection that nobody accepts: `refused` tells that the target was reached, `filtered` that a
   *  firewall said no, `nothing` that no answer came. */
  knock(target: string, port: number): "refused" | "filtered" | "nothing";
}

/** A container's place and its addresses, one of each family that its overlay has. */
export interface Container extends Place {
  readonly addresses: readonly string[];
}

/** Hosts on one switch, each with the overlay that the cluster demands, all on this machine's kernel. */
export interface OverlayNetwork {
  /** By number, from 1. */
  node(number: number): Place;
  /** A container on a node's bridge of an overlay, at the `index`-th address after the gateway's. */
  container(node: number, overlay: string, index: number): Container;
  /** One pass of a node's keeper. */
  reconcile(number: number): void;
  close(): void;
}

interface Room extends Place {
  readonly netns: Netns;
}

export function openOverlayNetwork(cluster: Cluster): OverlayNetwork {
  const folder = mkdtempSync(join(tmpdir(), "overlay-network-"));
  const machine = openLinux();
  const namespaces = new Namespaces(machine, folder);
  const room = (name: string): Room => {
    const { kernel, netns } = namespaces.open(name);
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
    return { ...placeOf(kernel), netns };
  };
  const close = () => {
    namespaces.close();
    machine.close();
    rmSync(folder, { recursive: true });
  };
  try {
    const nodes = buildNodes(cluster, room);
    const node = (number: number) => nodes[number - 1] ?? missing(`node ${number}`);
    const container = (number: number, overlay: string, index: number) =>
      attach(node(number), room(`c-${overlay}-${number}-${index}`), overlay, index);
    return { node, container, reconcile: (number) => node(number).reconcile(), close };
  } catch (error) {
    close();
    throw error;
  }
}

type NodeRoom = Room & { readonly desired: Desired; reconcile(): void };

function buildNodes(cluster: Cluster, room: (name: string) => Room): NodeRoom[] {
  const fabric = room("fabric");
  fabric.kernel.apply([{ do: "link.add", link: { kind: "bridge", name: "switch", up: true } }]);
  return cluster.nodes.map(({ name, address }) => {
    const place = room(name);
    plug(fabric, name, place, "eth0", "switch");
    place.kernel.apply([{ do: "address.add", address: { dev: "eth0", address: { ip: address, length: 24 } } }]);
    const { kernel } = place;
    const keeper = overlayKeeper({ kernel, files: linuxFiles, metrics: newOverlayMetrics(), cni: undefined });
    const reconcile = () => keeper.reconcile(cluster, name);
    return { ...place, desired: reconcile().desired, reconcile };
  });
}

/** A pair of links from a bridge to a namespace, both up. */
function plug(from: Room, port: string, to: Room, name: string, bridge: string): void {
  from.kernel.apply([
    { do: "link.add", link: { kind: "veth", name: port, up: true, peer: { name, netns: to.netns } } },
    { do: "link.set", dev: port, set: { master: bridge } },
  ]);
  to.kernel.apply([{ do: "link.set", dev: name, set: { up: true } }]);
}

function attach(node: NodeRoom, place: Room, overlay: string, index: number): Container {
  const network = node.desired.networks.find(({ name }) => name === overlay) ?? missing(`overlay ${overlay}`);
  plug(
    node,
    `p-${index}-${network.ranges[0]?.subnet.ip.value.toString(36)}`.slice(0, 15),
    place,
    "eth0",
    network.bridge,
  );
  const operations: Operation[] = [{ do: "link.set", dev: "eth0", set: { mtu: network.mtu } }];
  const ips: Ip[] = [];
  for (const { subnet, gateway } of network.ranges) {
    const ip = offsetIp(gateway, index) ?? missing("address");
    const dst = parsePrefix(ip.family === 4 ? "0.0.0.0/0" : "::/0");
    operations.push(
      { do: "address.add", address: { dev: "eth0", address: { ip, length: subnet.length }, noDad: true } },
      { do: "route.add", route: { dst, gateway, dev: "eth0" } },
    );
    ips.push(ip);
  }
  place.kernel.apply(operations);
  return { ...place, addresses: ips.map(formatIp) };
}

function placeOf(kernel: Kernel): Place {
  const run = (command: string[]) => kernel.enter(() => Bun.spawnSync(command, { timeout: 5_000 }));
  return {
    kernel,
    ping(target, bytes) {
      const header = target.includes(":") ? 48 : 28;
      const size = bytes === undefined ? [] : ["-M", "do", "-s", String(bytes - header)];
      return run(["ping", "-c", "1", "-W", "1", ...size, target]).success;
    },
    knock(target, port) {
      // A refusal by ICMP counts for TCP only when the first retransmission, after a second, is refused too.
      const { stderr } = run(["timeout", "3", "bash", "-c", `exec 3<>/dev/tcp/${target}/${port}`]);
      const said = stderr.toString();
      if (said.includes("Connection refused")) return "refused";
      return /No route to host|Permission denied/.test(said) ? "filtered" : "nothing";
    },
  };
}

function missing(what: string): never {
  throw new Error(`the test network has no ${what}`);
}
