import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { describeOperation } from "../../kernel/encode.ts";
import type { Kernel, Operation, Route } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { formatIp, formatPrefix, type Ip, type Prefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { type Machine, type Namespace, Namespaces } from "../support/namespaces.ts";

/** An empty network namespace, real or in memory, and what a test needs around it. */
export interface Fixture {
  readonly kernel: Kernel;
  /** The kernel that the namespaces were made with. */
  readonly machine: Kernel;
  /** Where the namespace is mounted. */
  readonly path: string;
  /** One more empty namespace of the same machine; it goes with the fixture. */
  another(): Namespace;
  /** Sends a UDP datagram from 127.0.0.1 to 127.0.0.1, so that a flow is tracked (the loopback must be up). */
  sendUdp(port: number): void;
  close(): void;
}

/** Makes namespaces below `folder` by the kernel interface itself. */
export function openFixture<Inner extends Kernel>(
  machine: Machine<Inner>,
  folder: string,
  sendUdp: (kernel: Inner, port: number) => void,
): Fixture {
  const namespaces = new Namespaces(machine, folder);
  let count = 0;
  const another = () => {
    count += 1;
    return namespaces.open(String(count));
  };
  const { kernel, path } = another();
  return { kernel, machine, path, another, sendUdp: (port) => sendUdp(kernel, port), close: () => namespaces.close() };
}

/** An empty namespace of this machine's kernel, for suites that need nothing else. */
export function openRealFixture(): Pick<Fixture, "kernel" | "close"> {
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-fixture-"));
  const machine = openLinux();
  const { kernel, close } = openFixture(machine, folder, () => {});
  return {
    kernel,
    close: () => {
      close();
      machine.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Carries out the operation and expects this refusal: the errno, the words of the operation, and nothing changed. */
export function refuses(kernel: Kernel, operation: Operation, errno: string): void {
  const before = snapshot(kernel);
  const [error] = kernel.attempt([operation]);
  expect(error, describeOperation(operation)).to.be.instanceOf(NetError);
  if (!(error instanceof NetError)) return;
  expect(error.errno, error.message).to.equal(errno);
  expect(error.tried).to.equal(describeOperation(operation));
  expect(error.said).to.include(errno);
  expect(snapshot(kernel)).to.deep.equal(before);
}

/** What a refusal must not change. Link-local addresses come by themselves at their own time, and so does the
 *  carrier. */
export function snapshot(kernel: Kernel) {
  const links = kernel.links().map(({ running, bridge, bridgePort, ...link }) => ({
    ...link,
    bridge: bridge && { vlanFiltering: bridge.vlanFiltering },
    bridgePort: bridgePort && { hairpin: bridgePort.hairpin, isolated: bridgePort.isolated },
  }));
  const ownRoutes = (table: number) =>
    kernel
      .routes({ table })
      .map(routeText)
      .filter((text) => !text.startsWith("fe80::/64"));
  return {
    links: links.sort((a, b) => a.index - b.index),
    addresses: kernel
      .addresses()
      .filter(({ scope, address }) => scope !== "link" || address.ip.family === 4)
      .map(({ dev, address, scope }) => `${textOf(address)} ${dev} ${scope}`)
      .sort(),
    routes: [...ownRoutes(254), ...ownRoutes(42)].sort(),
    rules: [...kernel.rules(4), ...kernel.rules(6)],
    neighbors: links
      .flatMap(({ name }) =>
        kernel
          .neighbors(name)
          .filter(({ permanent }) => permanent)
          .map(textOf),
      )
      .sort(),
    fdb: links.flatMap(({ name }) => kernel.fdb(name).map(textOf)).sort(),
  };
}

/** A route as text with all that it says. */
export function routeText(route: Route): string {
  const { dst, ...rest } = route;
  return `${textOf(dst)} ${textOf(rest)}`;
}

/** Any value as text: addresses hold bigints, for which JSON has no form. */
export function textOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if ("family" in value && "value" in value) return formatIp(value as Ip);
  if ("ip" in value && "length" in value) return formatPrefix(value as Prefix);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, each]) => `${key} ${textOf(each)}`).join(" ");
}

/** Waits for what the kernel does at its own time (carrier, port states), at most ten seconds. */
export function eventually(check: () => void): void {
  for (let left = 1000; ; left--) {
    try {
      check();
      return;
    } catch (error) {
      if (left === 0) throw error;
      Bun.sleepSync(10);
    }
  }
}
