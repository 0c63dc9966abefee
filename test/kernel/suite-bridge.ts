import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { answer } from "../../cni/answer.ts";
import { lockAttachment } from "../../cni/attachment-lock.ts";
import { bridgePlugin } from "../../cni/bridge.ts";
import { hostLinkName } from "../../cni/container-link.ts";
import { hostMac } from "../../cni/mac.ts";
import { serve } from "../../cni/serve.ts";
import { linuxFiles } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp, formatPrefix, parsePrefix } from "../../lib/address.ts";
import type { Files } from "../../lib/files.ts";
import type { Fixture } from "./fixture.ts";

/** A network's configuration as these cases write it. */
export type Config = Readonly<Record<string, unknown>>;

type Env = Readonly<Record<string, string>>;

/** What one call answered. */
export interface Answer {
  readonly exitCode: number;
  /** The document on standard output; undefined when nothing was printed. */
  readonly document: Record<string, unknown> | undefined;
}

const plugin = bridgePlugin("dcos", "under test", true);
const PROGRAM = { name: "dcos", load: () => ({ plugin, answer }) };

/** A host namespace, a container namespace and the leases of one test. */
export class BridgeBench {
  readonly folder = mkdtempSync(join(tmpdir(), "dcos-net-bridge-"));
  readonly container: ReturnType<Fixture["another"]>;
  /** The machine's files, but with locks of this test's own. */
  readonly files: Files = {
    ...linuxFiles,
    stat: (path) => linuxFiles.stat(this.#own(path)),
    lock: (path, waitMs) => linuxFiles.lock(this.#own(path), waitMs),
    lockByte: (path, offset, waitMs) => linuxFiles.lockByte(this.#own(path), offset, waitMs),
  };

  constructor(readonly fixture: Fixture) {
    this.container = fixture.another();
    fixture.kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  }

  #own(path: string): string {
    return path.startsWith("/run/") ? join(this.folder, path.slice(path.lastIndexOf("/"))) : path;
  }

  /** A configuration with one IPv4 range, changed by `changes`. */
  config(changes: Config = {}): Config {
    return {
      cniVersion: "1.1.0",
      name: "net",
      type: "dcos",
      bridge: "br0",
      isGateway: true,
      ipam: this.ipam({ subnet: "10.1.0.0/24" }),
      dcosNet: { logFile: join(this.folder, "cni.log") },
      ...changes,
    };
  }

  ipam(changes: Config): Config {
    return { type: "host-local", dataDir: join(this.folder, "leases"), routes: [{ dst: "0.0.0.0/0" }], ...changes };
  }

  call(verb: string, config: Config, env: Env = {}, files = this.files): Answer {
    let printed = "";
    const exitCode = serve(PROGRAM, {
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: "c1",
        CNI_NETNS: this.container.path,
        CNI_IFNAME: "eth0",
        CNI_PATH: "/nonexistent",
        ...env,
      },
      readStdin: () => new TextEncoder().encode(JSON.stringify(config)),
      writeStdout: (text) => {
        printed += text;
      },
      writeStderr: () => undefined,
      kernel: () => this.fixture.kernel,
      files,
      clock: { now: () => 0, monotonic: () => 0 },
    });
    return { exitCode, document: printed === "" ? undefined : JSON.parse(printed) };
  }

  /** Like call, but the call must succeed. */
  succeed(verb: string, config: Config, env: Env = {}, files = this.files): Record<string, unknown> {
    const answer = this.call(verb, config, env, files);
    expect(answer.exitCode, JSON.stringify(answer.document)).to.equal(0);
    return answer.document ?? {};
  }

  /** Like call, but the call must fail; returns code and message. */
  fail(verb: string, config: Config, env: Env = {}, files = this.files): { code: number; msg: string } {
    const answer = this.call(verb, config, env, files);
    expect(answer.exitCode, JSON.stringify(answer.document)).to.equal(1);
    const { code, msg } = answer.document ?? {};
    return { code: Number(code), msg: String(msg) };
  }

  /** Names of the lease files. */
  leases(): string[] {
    try {
      return readdirSync(join(this.folder, "leases/net")).filter(
        (name) => /^[0-9a-f]*[.:]/.test(name) && !name.startsWith("last"),
      );
    } catch {
      return [];
    }
  }

  /** The veth ends in the host. */
  ports(): string[] {
    return this.fixture.kernel
      .links()
      .filter(({ kind }) => kind === "veth")
      .map(({ name }) => name);
  }

  /** Fails unless no attachment has left anything. */
  expectNothingLeft(): void {
    expect(this.leases(), "leases").to.deep.equal([]);
    expect(this.ports(), "host links").to.deep.equal([]);
    expect(this.container.kernel.link("eth0"), "container link").to.equal(undefined);
    expect(this.fixture.kernel.nftables.table("inet", "dcos_masquerade"), "masquerading").to.equal(undefined);
    expect(this.fixture.kernel.nftables.table("inet", "dcos_host_ports"), "host ports").to.equal(undefined);
  }

  close(): void {
    this.fixture.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const addressesOf = (kernel: Kernel, dev: string) =>
  kernel
    .addresses(dev)
    .filter(({ scope }) => scope === "global")
    .map(({ address }) => formatPrefix(address))
    .sort();

const defaultGateways = (kernel: Kernel) =>
  kernel.routes().flatMap(({ dst, gateway }) => (dst.length === 0 && gateway !== undefined ? [formatIp(gateway)] : []));

/** What the bridge plugin does, on any kernel. */
export function bridgeSuite(open: () => Fixture): void {
  let bench: BridgeBench;
  beforeEach(() => {
    bench = new BridgeBench(open());
  });
  afterEach(() => bench.close());

  describe("ADD and DEL", () => {
    it("ADD connects the container to the bridge and DEL leaves nothing of it", () => {
      const config = bench.config({ hairpinMode: true, portIsolation: true, mtu: 1420 });
      const result = bench.succeed("ADD", config);
      expect(result["ips"]).to.deep.equal([{ interface: 2, address: "10.1.0.2/24", gateway: "10.1.0.1" }]);
      expect(addressesOf(bench.container.kernel, "eth0")).to.deep.equal(["10.1.0.2/24"]);
      expect(addressesOf(bench.fixture.kernel, "br0")).to.deep.equal(["10.1.0.1/24"]);
      expect(defaultGateways(bench.container.kernel)).to.deep.equal(["10.1.0.1"]);
      expect(bench.fixture.kernel.sysctl("net/ipv4/ip_forward")).to.equal("1");
      const inside = bench.container.kernel.link("eth0");
      const [name = ""] = bench.ports();
      const port = bench.fixture.kernel.link(name);
      expect(port?.bridgePort).to.include({ hairpin: true, isolated: true });
      expect([inside?.mtu, port?.mtu, bench.fixture.kernel.link("br0")?.mtu]).to.deep.equal([1420, 1420, 1420]);
      expect(result["interfaces"]).to.deep.equal([
        { name: "br0", mac: bench.fixture.kernel.link("br0")?.mac, mtu: 1420 },
        { name, mac: port?.mac, mtu: 1420 },
        { name: "eth0", mac: inside?.mac, mtu: 1420, sandbox: bench.container.path },
      ]);
      bench.succeed("DEL", config);
      bench.expectNothingLeft();
    });

    it("ADD gives both families, with a default route of each when isDefaultGateway is set", () => {
      const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd01::/64" }]];
      const config = bench.config({ isDefaultGateway: true, ipam: bench.ipam({ ranges, routes: [] }) });
      bench.succeed("ADD", config);
      expect(addressesOf(bench.container.kernel, "eth0")).to.deep.equal(["10.1.0.2/24", "fd01::2/64"]);
      expect(defaultGateways(bench.container.kernel).sort()).to.deep.equal(["10.1.0.1", "fd01::1"]);
      expect(bench.fixture.kernel.sysctl("net/ipv6/conf/all/forwarding")).to.equal("1");
      bench.succeed("DEL", config);
      bench.expectNothingLeft();
    });

    it("isDefaultGateway and a default route without gateway from IPAM are one route", () => {
      const config = bench.config({ isDefaultGateway: true });
      bench.succeed("ADD", config);
      expect(defaultGateways(bench.container.kernel)).to.deep.equal(["10.1.0.1"]);
    });

    it("a configuration without a version gets the result that Mesos parses", () => {
      const { cniVersion: _, ...config } = bench.config();
      const result = bench.succeed("ADD", config);
      expect(result["ip4"]).to.deep.equal({ ip: "10.1.0.2/24", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] });
    });

    it("without IPAM there is only the link", () => {
      const { ipam: _, ...config } = bench.config({ isGateway: false });
      const result = bench.succeed("ADD", config);
      expect(result["ips"]).to.equal(undefined);
      expect(bench.container.kernel.link("eth0")?.up).to.equal(true);
      bench.succeed("DEL", config);
      bench.expectNothingLeft();
    });

    it("a result that the version can't express is refused before anything is made", () => {
      const { ipam: _, ...config } = bench.config({ cniVersion: "0.2.0" });
      expect(bench.fail("ADD", config).msg).to.include("no valid IP addresses");
      expect(bench.fixture.kernel.link("br0")).to.equal(undefined);
      bench.expectNothingLeft();
    });

    it("a gateway outside of the container's own network is on the link", () => {
      const ipam = bench.ipam({ ranges: [[{ subnet: "10.1.0.9/32", gateway: "169.254.1.1" }]] });
      const answer = bench.call("ADD", bench.config({ isGateway: false, ipam }));
      expect(answer.exitCode, JSON.stringify(answer.document)).to.equal(0);
      expect(defaultGateways(bench.container.kernel)).to.deep.equal(["169.254.1.1"]);
    });

    it("the container's hardware address comes from runtimeConfig, then args.cni, then CNI_ARGS", () => {
      const macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as const;
      const env = { CNI_ARGS: `IgnoreUnknown=1;MAC=${macs[2]}` };
      const wishes = [
        bench.config({ runtimeConfig: { mac: macs[0] }, args: { cni: { mac: macs[1] } } }),
        bench.config({ args: { cni: { mac: macs[1] } } }),
        bench.config(),
      ];
      for (const [index, config] of wishes.entries()) {
        bench.succeed("ADD", config, env);
        expect(bench.container.kernel.link("eth0")?.mac).to.equal(macs[index]);
        bench.succeed("DEL", config, env);
      }
    });

    it("addresses have their network's broadcast address, on both sides", () => {
      bench.succeed("ADD", bench.config());
      const sides = [bench.container.kernel.addresses("eth0"), bench.fixture.kernel.addresses("br0")];
      for (const addresses of sides) {
        const [first] = addresses.filter(({ address }) => address.ip.family === 4);
        expect(first?.broadcast && formatIp(first.broadcast)).to.equal("10.1.0.255");
      }
    });

    it("a bridge that was there keeps its hardware address, whatever the containers' are", () => {
      bench.fixture.kernel.apply([{ do: "link.add", link: { kind: "bridge", name: "br0" } }]);
      const before = bench.fixture.kernel.link("br0")?.mac;
      const result = bench.succeed("ADD", bench.config({ runtimeConfig: { mac: "02:00:00:00:00:01" } }));
      expect(bench.fixture.kernel.link("br0")?.mac).to.equal(before);
      expect(result["interfaces"]).to.deep.include({ name: "br0", mac: before, mtu: 1500 });
    });

    it("DEL waits for an ADD of the same attachment, and for no other", () => {
      const config = bench.config();
      bench.succeed("ADD", config);
      const held = lockAttachment(bench.files, { network: "net", containerId: "c1", ifname: "eth0" });
      const impatient: Files = {
        ...bench.files,
        lockByte: (path, offset) => bench.files.lockByte(path, offset, 0),
      };
      const refusal = bench.fail("DEL", config, {}, impatient);
      expect(refusal.msg).to.include("another process has held it");
      expect(bench.leases()).to.deep.equal(["10.1.0.2"]);
      bench.succeed("DEL", config, { CNI_IFNAME: "eth1" }, impatient);
      held.release();
      bench.succeed("DEL", config, {}, impatient);
      bench.expectNothingLeft();
    });

    it("the MTU is the bridge's when the configuration gives none", () => {
      bench.fixture.kernel.apply([{ do: "link.add", link: { kind: "bridge", name: "br0", mtu: 1400, up: true } }]);
      bench.succeed("ADD", bench.config());
      expect(bench.container.kernel.link("eth0")?.mtu).to.equal(1400);
    });

    it("DEL succeeds twice, without an ADD, without a namespace, and frees the address each time", () => {
      const config = bench.config();
      bench.succeed("DEL", config);
      bench.succeed("ADD", config);
      bench.succeed("DEL", config, { CNI_NETNS: "" });
      bench.expectNothingLeft();
      bench.succeed("DEL", config, { CNI_NETNS: "/nonexistent/netns" });
      bench.succeed("DEL", config);
    });

    it("DEL takes away the firewall entries of an ADD, whatever its own configuration says", () => {
      bench.succeed("ADD", bench.config({ ipMasq: true }));
      bench.succeed("DEL", bench.config());
      bench.expectNothingLeft();
    });

    it("two interfaces of a container live and go by themselves", () => {
      const config = bench.config();
      bench.succeed("ADD", config);
      bench.succeed("ADD", config, { CNI_IFNAME: "eth1" });
      bench.succeed("DEL", config);
      expect(addressesOf(bench.container.kernel, "eth1")).to.deep.equal(["10.1.0.3/24"]);
      expect(bench.leases()).to.deep.equal(["10.1.0.3"]);
      bench.succeed("DEL", config, { CNI_IFNAME: "eth1" });
      bench.expectNothingLeft();
    });
  });

  describe("refusals", () => {
    it("an interface that is there already is left alone, and no address is kept", () => {
      const { kernel } = bench.container;
      kernel.apply([{ do: "link.add", link: { kind: "veth", name: "eth0", peer: { name: "other" } } }]);
      expect(bench.fail("ADD", bench.config()).msg).to.include('"eth0") already exists');
      expect(bench.leases()).to.deep.equal([]);
      expect(bench.ports()).to.deep.equal([]);
      expect(kernel.link("eth0")).to.not.equal(undefined);
    });

    it("a second ADD of the same attachment leaves the first as it is", () => {
      bench.succeed("ADD", bench.config());
      expect(bench.fail("ADD", bench.config()).msg).to.include("duplicate allocation is not allowed");
      expect(bench.leases()).to.deep.equal(["10.1.0.2"]);
      bench.succeed("DEL", bench.config());
      bench.expectNothingLeft();
    });

    it("a link of the bridge's name that is none is refused", () => {
      bench.fixture.kernel.apply([{ do: "link.add", link: { kind: "veth", name: "br0", peer: { name: "br1" } } }]);
      const { msg } = bench.fail("ADD", bench.config());
      expect(msg).to.include("already exists but is not a bridge");
      expect(bench.leases()).to.deep.equal([]);
    });

    it("another address on the bridge is refused unless forceAddress is set", () => {
      const { kernel } = bench.fixture;
      const other = { dev: "br0", address: parsePrefix("192.168.7.1/24") };
      kernel.apply([
        { do: "link.add", link: { kind: "bridge", name: "br0", up: true } },
        { do: "address.add", address: other },
      ]);
      expect(bench.fail("ADD", bench.config()).msg).to.include("already has an IP address different from 10.1.0.1/24");
      expect(addressesOf(kernel, "br0")).to.deep.equal(["192.168.7.1/24"]);
      bench.expectNothingLeft();
      bench.succeed("ADD", bench.config({ forceAddress: true }));
      expect(addressesOf(kernel, "br0")).to.deep.equal(["10.1.0.1/24"]);
    });

    it("a full pool is refused by name, size and holders, and STATUS says so beforehand", () => {
      const config = bench.config({ ipam: bench.ipam({ subnet: "10.1.0.0/30" }) });
      bench.succeed("STATUS", config);
      bench.succeed("ADD", config);
      expect(bench.fail("STATUS", config).code).to.equal(50);
      const refusal = bench.fail("ADD", config, { CNI_CONTAINERID: "c2" });
      expect(refusal.code).to.equal(111);
      expect(refusal.msg).to.include("net").and.to.include("10.1.0.1-10.1.0.2").and.to.include("c1");
    });

    it("contradictions and bad values are refused with nothing changed", () => {
      const bad: Config[] = [
        { hairpinMode: true, promiscMode: true },
        { vlan: 4095 },
        { mtu: -1 },
        { bridge: "a/b" },
        { disableContainerInterface: true },
        { ipMasqExclude: ["nonsense"] },
        { vlanTrunk: [{ minID: 9, maxID: 3 }] },
      ];
      for (const changes of bad) bench.fail("ADD", bench.config(changes));
      expect(bench.fixture.kernel.link("br0")).to.equal(undefined);
      bench.expectNothingLeft();
    });
  });

  describe("CHECK", () => {
    it("passes after ADD and names each thing that is taken away", () => {
      const plain = bench.config({ hairpinMode: true });
      const config = { ...plain, prevResult: bench.succeed("ADD", plain) };
      bench.succeed("CHECK", config);
      const { kernel } = bench.fixture;
      const inside = bench.container.kernel;
      const [port = ""] = bench.ports();
      const gateway = { dev: "br0", address: parsePrefix("10.1.0.1/24") };
      const route = { dst: parsePrefix("0.0.0.0/0"), dev: "eth0" };
      kernel.apply([{ do: "port.set", dev: port, set: { hairpin: false } }]);
      expect(bench.fail("CHECK", config).msg).to.include("hairpin");
      kernel.apply([{ do: "port.set", dev: port, set: { hairpin: true } }]);
      kernel.apply([{ do: "address.delete", address: gateway }]);
      expect(bench.fail("CHECK", config).msg).to.include("gateway address 10.1.0.1/24");
      kernel.apply([{ do: "address.add", address: gateway }]);
      inside.apply([{ do: "route.delete", route }]);
      expect(bench.fail("CHECK", config).msg).to.include("route 0.0.0.0/0");
      inside.apply([{ do: "address.delete", address: { dev: "eth0", address: parsePrefix("10.1.0.2/24") } }]);
      expect(bench.fail("CHECK", config).msg).to.include("address 10.1.0.2/24");
      kernel.apply([{ do: "link.set", dev: port, set: { master: null } }]);
      kernel.apply([{ do: "link.delete", dev: port }]);
      expect(bench.fail("CHECK", config).msg).to.include("interface eth0");
      rmSync(join(bench.folder, "leases/net/10.1.0.2"));
      expect(bench.fail("CHECK", config).msg).to.include("Failed to find address");
    });

    it("works on layer 2, where the reference always fails", () => {
      const { ipam: _, ...plain } = bench.config({ isGateway: false });
      bench.succeed("CHECK", { ...plain, prevResult: bench.succeed("ADD", plain) });
    });
  });

  describe("GC", () => {
    it("removes the links and leases that no valid attachment has, of this network only", () => {
      const config = bench.config();
      const other = bench.config({ name: "other", ipam: bench.ipam({ subnet: "10.2.0.0/24" }), bridge: "br1" });
      const second = bench.fixture.another();
      bench.succeed("ADD", config);
      bench.succeed("ADD", config, { CNI_CONTAINERID: "c2", CNI_NETNS: second.path });
      bench.succeed("ADD", other, { CNI_IFNAME: "eth1" });
      const attachments = [{ containerID: "c2", ifname: "eth0" }];
      bench.succeed("GC", { ...config, "cni.dev/valid-attachments": attachments });
      expect(bench.leases()).to.deep.equal(["10.1.0.3"]);
      expect(bench.container.kernel.link("eth0")).to.equal(undefined);
      expect(bench.container.kernel.link("eth1")).to.not.equal(undefined);
      expect(second.kernel.link("eth0")).to.not.equal(undefined);
    });

    it("removes the link of an ADD that was killed before it could label it, unless that ADD still runs", () => {
      const attachment = { network: "another", containerId: "c9", ifname: "eth0" };
      const name = hostLinkName(attachment);
      const add = { kind: "veth", name, mac: hostMac(name), peer: { name: "eth9" } } as const;
      const stranger = { ...add, name: "veth00000001", mac: "02:00:00:00:00:01", peer: { name: "eth8" } } as const;
      bench.fixture.kernel.apply([add, stranger].map((link) => ({ do: "link.add", link })));
      const config = bench.config({ "cni.dev/valid-attachments": [] });
      const running = lockAttachment(bench.files, attachment);
      bench.succeed("GC", config);
      expect(bench.ports()).to.include(name);
      running.release();
      bench.succeed("GC", config);
      expect(bench.ports()).to.include("veth00000001").and.not.include(name);
    });

    it("removes firewall entries though nothing says that there ever were any", () => {
      const config = bench.config({ ipMasq: true, "cni.dev/valid-attachments": [] });
      bench.succeed("ADD", config);
      rmSync(join(bench.folder, "firewall.lock"));
      bench.succeed("GC", config);
      bench.expectNothingLeft();
    });

    it("removes nothing when the runtime gives no list", () => {
      bench.succeed("ADD", bench.config());
      bench.succeed("GC", bench.config());
      expect(bench.leases()).to.deep.equal(["10.1.0.2"]);
    });
  });
}
