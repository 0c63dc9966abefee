import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { leftovers, ruleset } from "./peer-leftovers.ts";
import { INTERNET, type Machine, NODE, type Running } from "./peer-machine.ts";
import { TESTING_REFERENCE } from "./peer-needs.ts";

/** A running container. */
export interface Container {
  readonly name: string;
  /** Process number inside the machine: where its namespaces are found. */
  readonly pid: number;
  readonly id: string;
}

/** A container runtime that calls CNI plugins, started by hand inside a machine. */
export interface Runtime {
  readonly machine: Machine;
  /** Starts a container that serves its name on TCP port 80; its ports are published when `published`. */
  run(name: string, published: boolean): Promise<Container>;
  /** Runs a command in a container and gives its output; throws when it fails. */
  exec(container: Container, argv: readonly string[]): Promise<string>;
  /** Stops the container and starts it again. */
  restart(container: Container): Promise<Container>;
  remove(container: Container): Promise<void>;
  stop(): Promise<void>;
}

/** The addresses of the test network, and the ports that a runtime publishes for a published container. */
export const NETWORK = { bridge: "peer0", v4: "10.77.0.0/24", v6: "fd77::/64" } as const;
export const GATEWAY = { v4: "10.77.0.1", v6: "fd77::1" } as const;
export const PORTS = { tcp: 8080, udp: 5353, containerTcp: 80, containerUdp: 53 } as const;
export const PORT_MAPPINGS = [
  { hostPort: PORTS.tcp, containerPort: PORTS.containerTcp, protocol: "tcp" },
  { hostPort: PORTS.udp, containerPort: PORTS.containerUdp, protocol: "udp" },
];

const ECHO = fileURLToPath(new URL("peer-echo.ts", import.meta.url));
const ECHO_PORT = 7000;

interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

export interface RuntimeTraits {
  /** False where the runtime's tool can't start a container again with CNI. */
  readonly restarts: boolean;
  /** True when the container's namespace is gone by the time the runtime calls DEL. */
  readonly lateDel: boolean;
}

/** The tests that every runtime must pass, whichever network configuration it was given. */
export function runtimeCases(traits: RuntimeTraits, open: () => Promise<Runtime>): void {
  let runtime: Runtime;
  let machine: Machine;
  let web: Container;
  let other: Container;
  let udp: Running;
  const marks: string[] = [];

  const start = async (name: string, published: boolean) => {
    const container = await runtime.run(name, published);
    const { v4, v6 } = await addresses(machine, container);
    marks.push(v4, v6, container.id);
    return container;
  };

  /** The reference keeps masquerade rules when DEL comes after the namespace has gone. */
  const leaks = () => TESTING_REFERENCE && traits.lateDel;

  before(async () => {
    runtime = await open();
    machine = runtime.machine;
    await machine.start(inNamespace("/run/netns/internet", echo(ECHO_PORT, [INTERNET.v4, INTERNET.v6])));
    web = await start("web", true);
    other = await start("other", false);
    udp = await startUdp(machine, web);
  });

  after(async () => {
    await runtime?.stop();
  });

  it("gives each container its own address of both families", async () => {
    const [a, b] = [await addresses(machine, web), await addresses(machine, other)];
    for (const { v4, v6 } of [a, b]) {
      expect(v4).to.match(/^10\.77\.0\.\d+$/);
      expect(v6).to.match(/^fd77::/);
    }
    expect(a.v4).not.to.equal(b.v4);
    expect(a.v6).not.to.equal(b.v6);
  });

  it("routes everything through the bridge's address", async () => {
    for (const [family, gateway] of [
      ["-4", GATEWAY.v4],
      ["-6", GATEWAY.v6],
    ] as const) {
      const routes: { gateway: string; dev: string }[] = JSON.parse(
        await machine.must(inContainer(web, ["ip", "-j", family, "route", "show", "default"])),
      );
      expect(routes.map((route) => [route.gateway, route.dev])).to.deep.equal([[gateway, "eth0"]]);
    }
  });

  it("reaches its gateway", async () => {
    const pings = [
      ["ping", "-c", "3", GATEWAY.v4],
      ["ping6", "-c", "3", GATEWAY.v6],
    ];
    for (const said of await Promise.all(pings.map((ping) => runtime.exec(web, ping))))
      expect(said).to.match(/[123] packets received/);
  });

  it("appears to the world under the node's address", async () => {
    for (const family of ["v4", "v6"] as const) {
      const seen = await runtime.exec(web, ["nc", "-w", "2", INTERNET[family], String(ECHO_PORT)]);
      expect(seen.split(" ")[0]).to.equal(NODE[family]);
    }
  });

  it("lets two containers talk to each other under their own addresses", async () => {
    const { v4, v6 } = await addresses(machine, web);
    for (const address of [v4, v6]) {
      expect(await ask(runtime, other, address, PORTS.containerTcp)).to.equal("web");
    }
  });

  it("answers on its host port from outside", async () => {
    expect(await curl(machine, "internet", `http://${NODE.v4}:${PORTS.tcp}/`)).to.equal("web");
    expect(await curl(machine, "internet", `http://[${NODE.v6}]:${PORTS.tcp}/`)).to.equal("web");
  });

  it("answers on its host port from the node itself, by the node's address and by 127.0.0.1", async () => {
    expect(await curl(machine, undefined, `http://${NODE.v4}:${PORTS.tcp}/`)).to.equal("web");
    expect(await curl(machine, undefined, `http://127.0.0.1:${PORTS.tcp}/`)).to.equal("web");
  });

  it("answers on its host port from another container and from itself", async () => {
    expect(await ask(runtime, other, NODE.v4, PORTS.tcp)).to.equal("web");
    expect(await ask(runtime, web, NODE.v4, PORTS.tcp)).to.equal("web");
  });

  it("answers on its UDP host port and sees the client's real address", async () => {
    const seen = await udpFromInternet(machine);
    expect(seen.split(" ")[0]).to.equal(INTERNET.v4);
  });

  if (traits.restarts) {
    it("is reachable as before after a restart", async () => {
      await udp.stop();
      web = await runtime.restart(web);
      const { v4, v6 } = await addresses(machine, web);
      marks.push(v4, v6);
      udp = await startUdp(machine, web);
      expect(await curl(machine, "internet", `http://${NODE.v4}:${PORTS.tcp}/`)).to.equal("web");
      expect(await ask(runtime, other, v4, PORTS.containerTcp)).to.equal("web");
      expect((await udpFromInternet(machine)).split(" ")[0]).to.equal(INTERNET.v4);
    });
  }

  it("leaves no lease, link or rule when its containers are removed", async function () {
    await udp.stop();
    await runtime.remove(web);
    await runtime.remove(other);
    if (leaks()) return this.skip();
    expect(await leftovers(machine, [...marks, `dport ${PORTS.tcp}`, `dport ${PORTS.udp}`])).to.deep.equal([]);
  });

  it("leaves no connection tracking entry that sends a UDP client to a removed container", async function () {
    // The reference forgets them when the next container takes the port, not when the old one goes.
    if (TESTING_REFERENCE) return this.skip();
    const entries = await machine.must(["conntrack", "-L", "-p", "udp"]);
    expect(entries.split("\n").filter((line) => line.includes(`dport=${PORTS.udp}`))).to.deep.equal([]);
  });

  it("doesn't let the rule set grow from one container to the next", async function () {
    if (leaks()) return this.skip();
    const before = await ruleset(machine);
    await runtime.remove(await runtime.run("next", true));
    expect(await ruleset(machine)).to.equal(before);
  });
}

async function addresses(machine: Machine, container: Container): Promise<Addresses> {
  const links: { addr_info: { family: string; local: string; scope: string }[] }[] = JSON.parse(
    await machine.must(inContainer(container, ["ip", "-j", "address", "show", "dev", "eth0"])),
  );
  const found = links.flatMap((link) => link.addr_info).filter((address) => address.scope === "global");
  const of = (family: string) => found.find((address) => address.family === family)?.local ?? "none";
  return { v4: of("inet"), v6: of("inet6") };
}

/** Starts the UDP side of a published container inside its network namespace: busybox has no server for it. */
async function startUdp(machine: Machine, container: Container): Promise<Running> {
  const { v4 } = await addresses(machine, container);
  return machine.start(inContainer(container, echo(PORTS.containerUdp, [v4])));
}

function udpFromInternet(machine: Machine): Promise<string> {
  const client = `exec 3<>/dev/udp/${NODE.v4}/${PORTS.udp}; echo ask >&3; timeout 3 dd bs=2048 count=1 status=none <&3`;
  return machine.must(inNamespace("/run/netns/internet", ["bash", "-ec", client]));
}

function echo(port: number, listen: readonly string[]): string[] {
  return [process.execPath, ECHO, String(port), ...listen];
}

function inContainer(container: Container, argv: readonly string[]): string[] {
  return inNamespace(`/proc/${container.pid}/ns/net`, argv);
}

function inNamespace(path: string, argv: readonly string[]): string[] {
  return ["nsenter", `--net=${path}`, "--", ...argv];
}

/** Fetches a web page from a named namespace of the machine, or from the node itself. */
async function curl(machine: Machine, namespace: string | undefined, url: string): Promise<string> {
  // The server of a container that has only just been started may not listen yet.
  const patience = ["--retry", "5", "--retry-connrefused", "--max-time", "5"];
  const argv = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", ...patience, url];
  const text = await machine.must(namespace === undefined ? argv : inNamespace(`/run/netns/${namespace}`, argv));
  return text.trim();
}

/** Fetches a web page from inside a container: the last line of what the server answers. */
async function ask(runtime: Runtime, from: Container, address: string, port: number): Promise<string> {
  const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${address} ${port}`;
  const answer = await runtime.exec(from, ["sh", "-c", request]);
  return answer.trim().split("\n").at(-1) ?? "";
}
