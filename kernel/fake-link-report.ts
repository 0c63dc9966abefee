import type { FakeLink } from "./fake-state.ts";
import type { Link } from "./kernel.ts";

/** The link in the shape that the interface promises. */
export function reportLink(link: FakeLink): Link {
  return {
    index: link.index,
    name: link.name,
    kind: link.kind,
    mac: link.mac,
    mtu: link.mtu,
    up: link.up,
    loopback: isLoopback(link),
    running: isRunning(link),
    promiscuous: link.promiscuous,
    alias: link.alias,
    master: link.master?.index,
    peer: link.peer?.index,
    vxlan: link.vxlan,
    bridge: link.bridge && {
      vlanFiltering: link.bridge.vlanFiltering,
      active: link.up && portsOf(link).some(isRunning),
    },
    bridgePort: link.master && { ...link.port, forwarding: link.master.up && isRunning(link) },
  };
}

/** The loopback has no kind. */
export function isLoopback(link: FakeLink): boolean {
  return link.kind === undefined;
}

/** True when frames can pass: the other end of a pair is up too, a bridge that looks at its ports has a working one. */
export function isRunning(link: FakeLink): boolean {
  if (!link.up) return false;
  if (link.kind === "veth") return link.peer?.up === true;
  if (link.bridge?.portsDecide === true) return portsOf(link).some(isRunning);
  return true;
}

/** The links on a bridge; none for other links. */
export function portsOf(bridge: FakeLink): FakeLink[] {
  return bridge.bridge === undefined ? [] : bridge.stack.links.filter((link) => link.master === bridge);
}
