import { expect } from "chai";
import fc from "fast-check";
import { addFirewall, checkFirewall, gcFirewall, removeFirewall } from "../../../cni/firewall.ts";
import type { FirewallEntry } from "../../../cni/firewall-commands.ts";
import { ownerComment } from "../../../cni/firewall-owner.ts";
import { MASQUERADE, masqueradeEntries } from "../../../cni/masquerade.ts";
import { HOST_PORTS, hostPortsEntries } from "../../../cni/portmap-rules.ts";
import { type FakeKernel, openFake } from "../../../kernel/fake.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";
import type { Files } from "../../../lib/files.ts";
import { appendOnlyFiles } from "../../support/cni-host.ts";

const TABLES = [MASQUERADE[4], HOST_PORTS[4]];

/** Files with a lock that may be held once. */
function lockFiles(): { readonly files: Files; readonly log: string[] } {
  const log: string[] = [];
  const files: Files = {
    ...appendOnlyFiles().files,
    makeDirectory: (path) => void log.push(`make ${path}`),
    lock: (path) => {
      log.push(`lock ${path}`);
      return { release: () => void log.push(`release ${path}`) };
    },
  };
  return { files, log };
}

/** The entries of container `number`: its address, and host port 8000 + `port`. */
function container(number: number, port: number, network = "dcos", hostIp?: bigint): FirewallEntry[] {
  const owner = { network, containerId: `job-${number}`, ifname: "eth0" };
  const addresses = [parsePrefix(`10.1.${number >> 7}.${number & 127}/25`)];
  const ports = hostPortsEntries({
    owner,
    addresses,
    mappings: [
      {
        hostPort: 8000 + port,
        containerPort: 80,
        protocol: "tcp",
        ...(hostIp === undefined ? {} : { hostIp: { family: 4, value: hostIp } }),
      },
    ],
    snat: true,
    masqAll: false,
    conditions: { 4: undefined, 6: undefined },
    excludeDevices: [],
  });
  return [...masqueradeEntries({ owner, addresses, excludes: [] }), ...ports];
}

function text(kernel: FakeKernel): string {
  return TABLES.map(({ family, name }) => kernel.nftables.table(family, name) ?? "").join("");
}

function refused(action: () => void): NetError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
}

describe("firewall entries", () => {
  it("are made and removed under the lock, which is released even after a refusal", () => {
    const { files, log } = lockFiles();
    const kernel = openFake();
    addFirewall(kernel, files, container(1, 1));
    expect(log).to.deep.equal([
      "make /run/dcos-net",
      "lock /run/dcos-net/firewall.lock",
      "release /run/dcos-net/firewall.lock",
    ]);
    expect(refused(() => addFirewall(kernel, files, container(2, 1)))?.code).to.equal("conflict");
    expect(log.slice(3)).to.deep.equal(log.slice(0, 3));
  });

  it("that are none take no lock, neither to add nor to remove", () => {
    const { files, log } = lockFiles();
    const kernel = openFake();
    addFirewall(kernel, files, []);
    expect(removeFirewall(kernel, files, TABLES, { network: "n", containerId: "c", ifname: "e" })).to.deep.equal([]);
    expect(gcFirewall(kernel, files, TABLES, "n", [])).to.deep.equal([]);
    expect(log).to.deep.equal([]);
  });

  it("of which the kernel refuses one are not made at all", () => {
    const { files } = lockFiles();
    const kernel = openFake();
    kernel.failNext("ENOMEM", "nftables");
    expect(refused(() => addFirewall(kernel, files, container(1, 1)))?.errno).to.equal("ENOMEM");
    expect(text(kernel)).to.equal("");
  });

  it("of a port that is taken are refused in words that name port, container and network", () => {
    const { files } = lockFiles();
    const kernel = openFake();
    addFirewall(kernel, files, container(1, 80, "dcos"));
    const error = refused(() => addFirewall(kernel, files, container(2, 80, "other")));
    expect(error?.message).to.equal(
      "cannot give host port 8080/tcp to container job-2 (eth0 on network other): " +
        "container job-1 (eth0 on network dcos) holds it; " +
        "stop that container or choose another; if it is gone already, run CNI DEL or GC for it",
    );
  });

  it("found by CHECK are those of the same owner with the same data", () => {
    const { files } = lockFiles();
    const kernel = openFake();
    addFirewall(kernel, files, container(1, 1));
    checkFirewall(kernel, container(1, 1));
    expect(refused(() => checkFirewall(kernel, container(1, 2)))?.message).to.include("lacks host port 8002/tcp");
    expect(refused(() => checkFirewall(kernel, container(2, 1)))?.code).to.equal("not-found");
    expect(refused(() => checkFirewall(kernel, container(1, 1, "other")))?.code).to.equal("not-found");
  });

  it("after any sequence of ADD, DEL and GC are exactly those of the accepted containers that still run", () => {
    const number = fc.integer({ min: 1, max: 5 });
    const host = fc.constantFrom(undefined, 1n, 2n);
    const add = fc.record({ verb: fc.constant("ADD" as const), number, port: number, host });
    const remove = fc.record({ verb: fc.constantFrom("DEL" as const, "GC" as const), number });
    fc.assert(
      fc.property(fc.array(fc.oneof(add, remove), { maxLength: 20 }), (steps) => {
        const machine = new Model();
        for (const step of steps) machine.take(step);
      }),
    );
  });
});

interface Running {
  readonly port: number;
  readonly host: bigint | undefined;
}

type ModelStep =
  | ({ readonly verb: "ADD"; readonly number: number } & Running)
  | { readonly verb: "DEL" | "GC"; readonly number: number };

/** A machine beside the list of what must be on it. */
class Model {
  private readonly kernel = openFake();
  private readonly files = lockFiles().files;
  private readonly running = new Map<number, Running>();

  take(step: ModelStep): void {
    if (step.verb === "ADD") this.add(step.number, step);
    else if (step.verb === "DEL") this.remove(step.number);
    else this.collect(step.number);
    this.judge();
  }

  private add(number: number, wanted: Running): void {
    const before = text(this.kernel);
    const clash = [...this.running].some(([other, held]) => other !== number && excludes(held, wanted));
    const entries = container(number, wanted.port, "dcos", wanted.host);
    const error = refused(() => addFirewall(this.kernel, this.files, entries));
    expect(error?.code).to.equal(clash ? "conflict" : undefined);
    if (clash) expect(text(this.kernel)).to.equal(before);
    else this.running.set(number, wanted);
  }

  private remove(number: number): void {
    removeFirewall(this.kernel, this.files, TABLES, { network: "dcos", ...attachment(number) });
    this.running.delete(number);
  }

  private collect(number: number): void {
    this.running.delete(number);
    gcFirewall(this.kernel, this.files, TABLES, "dcos", [...this.running.keys()].map(attachment));
  }

  private judge(): void {
    for (const [number, { port, host }] of this.running)
      checkFirewall(this.kernel, container(number, port, "dcos", host));
    const held = TABLES.flatMap(({ family, name, sets }) =>
      sets.flatMap((set) => this.kernel.nftables.elements(family, name, set.name) ?? []),
    );
    const expected = [...this.running.keys()].map((number) => ownerComment({ network: "dcos", ...attachment(number) }));
    expect([...new Set(held.map(({ comment }) => comment))].sort()).to.deep.equal(expected.sort());
    if (this.running.size === 0) expect(text(this.kernel)).to.equal("");
  }
}

function attachment(number: number) {
  return { containerId: `job-${number}`, ifname: "eth0" };
}

function excludes(held: Running, wanted: Running): boolean {
  if (held.port !== wanted.port) return false;
  return held.host === undefined || wanted.host === undefined || held.host === wanted.host;
}
