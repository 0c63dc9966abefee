import { createSocket, type Socket as Datagrams, type SocketType } from "node:dgram";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap } from "../../kernel/bpf-map.ts";
import { type CgroupHook, closeProgram, loadProgram } from "../../kernel/bpf-program.ts";
import type { Change, Dataplane } from "../../l4lb/dataplane.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { connectionsIn } from "../../l4lb/dataplanes/socket-connections.ts";
import type { SocketMaps } from "../../l4lb/dataplanes/socket-foundation.ts";
import { MAPS, type MapName, PART, pairKey, slotKey } from "../../l4lb/dataplanes/socket-layout.ts";
import { socketProgram } from "../../l4lb/dataplanes/socket-program.ts";
import type { MapDescriptors } from "../../l4lb/dataplanes/socket-program-writer.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { parseIp } from "../../lib/address.ts";
import { becomes } from "../support/lab.ts";
import {
  openSocketPlace,
  programsOf,
  type SocketPlace,
  socketPlaceUnavailable,
  testCgroups,
  withExclusiveProgram,
} from "../support/socket-place.ts";
import { service, sorted } from "../support/vip-services.ts";

const SILENCE_MS = 2000;
/** Changes, and connections at least, of the test that makes them at the same time. */
const ROUNDS = 30;
/** A change with a new program takes a tenth of a second of a processor that many others want. */
const ROUNDS_LIMIT_MS = 120_000;

/** Moves this process, with all sockets that it makes from now on, into a control group. */
function enterCgroup(path: string): void {
  writeFileSync(join(path, "cgroup.procs"), String(process.pid));
}

function ownCgroup(): string {
  const [, path = "/"] = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8")) ?? [];
  return join(testCgroups(), path);
}

/** A server on the loopback that greets with its name. */
async function greeter(name: string, host = "127.0.0.1"): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write(name);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, server };
}

/** Resolves when the greeting has come; rejects with the error's code. */
function dial(host: string, port = 80): Promise<{ readonly socket: Socket; readonly greeting: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once("data", (data) => resolve({ socket, greeting: data.toString() }));
    socket.once("error", (error: NodeJS.ErrnoException) => reject(new Error(error.code)));
  });
}

async function greetingOf(host: string, port = 80): Promise<string> {
  const { socket, greeting } = await dial(host, port);
  socket.destroy();
  return greeting;
}

/** What another program, in the control group of this process, is told when it connects. */
function refusalBy(protocol: "tcp" | "udp", host: string, port: number): string {
  const command = ["bash", "-c", `exec 3<> /dev/${protocol}/${host}/${port}`];
  return Bun.spawnSync(command, { env: { LC_ALL: "C", PATH: "/usr/bin:/bin" } }).stderr.toString();
}

/** A datagram server on the loopback that answers with its name. */
async function answerer(name: string, type: SocketType = "udp4"): Promise<Datagrams> {
  const socket = createSocket(type);
  socket.on("message", (_, from) => socket.send(name, from.port, from.address));
  await new Promise<void>((resolve) => socket.bind(0, type === "udp4" ? "127.0.0.1" : "::1", resolve));
  return socket;
}

/** The next thing that happens to a socket: `text from address:port`, or an error's code. */
function next(socket: Datagrams): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("timeout"), SILENCE_MS);
    const finish = (what: string): void => {
      clearTimeout(timer);
      socket.removeAllListeners("message").removeAllListeners("error");
      socket.on("error", () => undefined);
      resolve(what);
    };
    socket.once("message", (text, from) => finish(`${text} from ${from.address}:${from.port}`));
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

function sendTo(socket: Datagrams, host: string, port: number): Promise<string> {
  const answer = next(socket);
  socket.send("hello", port, host);
  return answer;
}

function ended(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("open"), SILENCE_MS);
    const finish = (how: string): void => {
      clearTimeout(timer);
      resolve(how);
    };
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? "error"));
    socket.once("close", () => finish("closed"));
  });
}

/** A service whose backends are ports of the loopback. */
function onLoopback(name: string, ports: readonly (number | readonly [port: number, weight: number])[]): Service {
  const { ip, ...rest } = service(name, []);
  const backends = ports
    .map((each) => (typeof each === "number" ? ([each, 1] as const) : each))
    .map(([port, weight]) => ({ ip: parseIp(ip.family === 4 ? "127.0.0.1" : "::1"), port, weight }))
    .sort((a, b) => a.port - b.port);
  return { ...rest, ip, backends };
}

describe("virtual IPs at the system calls of sockets", function () {
  this.timeout(30_000);
  const undo: (() => void)[] = [];
  let place: SocketPlace;
  let plane: Dataplane;

  const want = (...services: readonly Service[]): void => {
    const changes = planServices(plane.read(), services);
    expect(plane.apply(changes)).to.deep.equal(changes.map(() => undefined));
  };
  const openPlace = (): { readonly place: SocketPlace; readonly plane: Dataplane } => {
    const made = openSocketPlace();
    undo.push(() => made.close());
    const opened = openSocketDataplane(made);
    undo.push(() => {
      opened.remove();
      opened.close();
    });
    opened.prepare();
    return { place: made, plane: opened };
  };
  const greet = async (name: string, host?: string): Promise<number> => {
    const { port, server } = await greeter(name, host);
    undo.push(() => server.close());
    return port;
  };
  const answer = async (name: string, type?: SocketType): Promise<number> => {
    const socket = await answerer(name, type);
    undo.push(() => socket.close());
    return socket.address().port;
  };
  const client = (type: SocketType): Datagrams => {
    const socket = createSocket(type);
    undo.push(() => socket.close());
    return socket;
  };
  const connected = async (type: SocketType, host: string, port: number): Promise<Datagrams> => {
    const socket = client(type);
    await new Promise<void>((resolve) => socket.connect(port, host, resolve));
    return socket;
  };
  const map = (name: MapName): BpfMap => {
    const found = BpfMap.pinned(`${place.pins}/maps/${name}`, MAPS[name]);
    if (found === undefined) throw new Error(`no map ${name}`);
    undo.push(() => found.close());
    return found;
  };
  const maps = (): SocketMaps =>
    Object.fromEntries((Object.keys(MAPS) as MapName[]).map((name) => [name, map(name)])) as SocketMaps;
  /** The pairs of connected sockets. */
  const noted = (): string[] => [...connectionsIn(maps())].map(({ pair }) => pair);
  const held = (): string[] => {
    const { values, count } = map("connections").dump();
    return Array.from({ length: count }, (_, part) =>
      values.subarray(part * PART.bytes + PART.held, part * PART.bytes + PART.places).toHex(),
    );
  };
  /** All places seem to be taken. */
  const takePlaces = (): void => {
    const { keys, values, count } = map("connections").dump();
    const view = new DataView(values.buffer, values.byteOffset);
    for (let part = 0; part < count; part++) {
      for (let at = PART.held; at < PART.places; at += 8) view.setBigUint64(part * PART.bytes + at, 1n, true);
    }
    map("connections").setMany({ keys, values, count }, (_, error) => {
      throw error;
    });
  };
  /** Loads the program of a hook anew and puts it in place of the present one. */
  const replaceProgram = (hook: CgroupHook, isRecent: boolean): void => {
    const descriptors = Object.fromEntries(
      Object.entries(maps()).map(([name, { descriptor }]) => [name, descriptor]),
    ) as MapDescriptors;
    const instructions = socketProgram(hook, { maps: descriptors, isRecent });
    const program = loadProgram({ name: "next_version", hook, instructions });
    const link = CgroupLink.pinned(`${place.pins}/links/${hook}`);
    link?.update(program);
    link?.close();
    closeProgram(program);
  };

  before(function () {
    const reason = socketPlaceUnavailable();
    if (reason === undefined) return;
    console.log(`      skipped: ${reason}`);
    this.skip();
  });
  beforeEach(() => {
    const home = ownCgroup();
    ({ place, plane } = openPlace());
    undo.push(() => enterCgroup(home));
    enterCgroup(place.cgroup);
  });
  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  it("a client believes that it is connected to the virtual IP", async () => {
    want(
      onLoopback("tcp 11.0.0.1:80", [await greet("four")]),
      onLoopback("tcp [fd11::1]:80", [await greet("six", "::1")]),
    );
    for (const [host, name, family] of [
      ["11.0.0.1", "four", "IPv4"],
      ["fd11::1", "six", "IPv6"],
      ["::ffff:11.0.0.1", "four", "IPv6"],
    ] as const) {
      const { socket, greeting } = await dial(host);
      expect(greeting, host).to.equal(name);
      expect(parseIp(socket.remoteAddress ?? "").value & 0xffffffffn).to.equal(parseIp(host).value & 0xffffffffn);
      expect(socket.remotePort).to.equal(80);
      expect(socket.remoteFamily).to.equal(family);
      socket.destroy();
    }
  });

  it("a client that goes to the backend itself sees the backend", async () => {
    const port = await greet("direct");
    want(onLoopback("tcp 11.0.0.1:80", [port]));
    const { socket } = await dial("127.0.0.1", port);
    expect(socket.remotePort).to.equal(port);
    socket.destroy();
  });

  it("the error of a refused connection says that it was refused", () => {
    want(onLoopback("tcp 11.0.0.1:80", []), onLoopback("udp 11.0.0.1:53", []));
    expect(refusalBy("tcp", "11.0.0.1", 80)).to.include("Connection refused");
    expect(refusalBy("tcp", "11.0.0.1", 81)).to.include("Connection refused");
    expect(refusalBy("udp", "11.0.0.1", 53)).to.include("Connection refused");
  });

  it("programs for kernels that can't set the error refuse too", () => {
    want(onLoopback("tcp 11.0.0.1:80", []));
    replaceProgram("connect4", false);
    expect(refusalBy("tcp", "11.0.0.1", 80)).to.include("Operation not permitted");
  });

  for (const [type, host, shown] of [
    ["udp4", "11.0.0.1", "11.0.0.1"],
    ["udp6", "fd11::1", "fd11::1"],
  ] as const) {
    it(`answers to a UDP socket come from the virtual IP, connected or not (${type})`, async () => {
      const name = `udp ${host.includes(":") ? `[${host}]` : host}:53`;
      want(onLoopback(name, [await answer("served", type)]));
      expect(await sendTo(client(type), host, 53)).to.equal(`served from ${shown}:53`);
      const socket = await connected(type, host, 53);
      expect(socket.remoteAddress().address).to.equal(shown);
      expect(socket.remoteAddress().port).to.equal(53);
      const heard = next(socket);
      socket.send("hello");
      expect(await heard).to.equal(`served from ${shown}:53`);
    });
  }

  it("an IPv6 socket reaches an IPv4 service by the mapped address, over UDP too", async () => {
    want(onLoopback("udp 11.0.0.1:53", [await answer("mapped")]));
    const socket = client("udp6");
    expect(await sendTo(socket, "::ffff:11.0.0.1", 53)).to.match(/^mapped from ::ffff:(?:11\.0\.0\.1|b00:1):53$/);
  });

  it("a connected UDP socket is ended with its backend, another goes on", async () => {
    const [first, second] = [await answer("first"), await answer("second")];
    want(onLoopback("udp 11.0.0.1:53", [first]));
    const doomed = await connected("udp4", "11.0.0.1", 53);
    want(onLoopback("udp 11.0.0.1:53", [[first, 0], second]));
    const kept = await connected("udp4", "11.0.0.1", 53);
    const end = next(doomed);
    want(onLoopback("udp 11.0.0.1:53", [second]));
    doomed.send("hello", () => undefined);
    expect(await end).to.be.oneOf(["ECONNABORTED", "EDESTADDRREQ"]);
    const heard = next(kept);
    kept.send("hello");
    expect(await heard).to.equal("second from 11.0.0.1:53");
  });

  it("an unconnected UDP socket keeps its backend while that has weight 0, a new one goes elsewhere", async () => {
    const [first, second] = [await answer("first"), await answer("second")];
    want(onLoopback("udp 11.0.0.1:53", [first]));
    const old = client("udp4");
    expect(await sendTo(old, "11.0.0.1", 53)).to.match(/^first/);
    want(onLoopback("udp 11.0.0.1:53", [[first, 0], second]));
    expect(await sendTo(old, "11.0.0.1", 53)).to.match(/^first/);
    expect(await sendTo(client("udp4"), "11.0.0.1", 53)).to.match(/^second/);
  });

  it("one UDP socket talks to several services at a time", async () => {
    want(onLoopback("udp 11.0.0.1:53", [await answer("one")]), onLoopback("udp 11.0.0.2:53", [await answer("two")]));
    const socket = client("udp4");
    for (let times = 0; times < 3; times++) {
      expect(await sendTo(socket, "11.0.0.1", 53)).to.equal("one from 11.0.0.1:53");
      expect(await sendTo(socket, "11.0.0.2", 53)).to.equal("two from 11.0.0.2:53");
    }
  });

  const cases: readonly [where: string, prepare: () => void][] = [
    ["in their places", () => undefined],
    ["where others have their places", takePlaces],
    ["by programs for older kernels", () => replaceProgram("connect4", false)],
  ];
  for (const [where, prepare] of cases) {
    it(`connections are counted as they come and go, show the virtual IP, and end with their backend (${where})`, async () => {
      const port = await greet("counted");
      want(onLoopback("tcp 11.0.0.1:80", [port]));
      prepare();
      const before = held();
      const counted = () => plane.counters()[0]?.backends.map(({ active, total }) => ({ active, total }));
      expect(counted()).to.deep.equal([{ active: 0, total: 0 }]);
      const first = await dial("11.0.0.1");
      const second = await dial("11.0.0.1");
      expect(first.socket.remoteAddress).to.equal("11.0.0.1");
      expect(counted()).to.deep.equal([{ active: 2, total: 2 }]);
      first.socket.destroy();
      await ended(first.socket);
      expect(counted()).to.deep.equal([{ active: 1, total: 2 }]);
      want(...plane.read().map((each) => ({ ...each, affinity: 5 })));
      expect(counted(), "after another change").to.deep.equal([{ active: 1, total: 2 }]);
      const end = ended(second.socket);
      want(onLoopback("tcp 11.0.0.1:80", []));
      expect(await end).to.equal("ECONNABORTED");
      await becomes(SILENCE_MS, async () => noted().join(), "");
      expect(held()).to.deep.equal(before);
    });
  }

  for (const [where, prepare] of cases) {
    it(`a UDP socket that connects again has one connection, to whom it connected last (${where})`, async () => {
      const [first, second] = [await answer("first"), await answer("second")];
      want(onLoopback("udp 11.0.0.1:53", [first]), onLoopback("udp 11.0.0.2:53", [second]));
      prepare();
      const socket = client("udp4");
      for (const address of ["11.0.0.1", "11.0.0.2", "11.0.0.1"]) {
        await new Promise<void>((resolve) => socket.connect(53, address, resolve));
        expect(noted()).to.have.length(1);
        expect(socket.remoteAddress().address).to.equal(address);
        socket.disconnect();
      }
    });
  }

  it("processes outside the control group notice nothing", async () => {
    const port = await greet("inside");
    want(onLoopback("tcp 127.0.0.1:81", [port]));
    expect(await greetingOf("127.0.0.1", 81)).to.equal("inside");
    enterCgroup(testCgroups());
    expect(await dial("127.0.0.1", 81).catch((error: Error) => error.message)).to.equal("ECONNREFUSED");
    enterCgroup(place.cgroup);
  });

  it("two data planes in control groups of their own know nothing of each other", async () => {
    const other = openPlace();
    want(onLoopback("tcp 11.0.0.1:80", [await greet("mine")]));
    expect(other.plane.read()).to.deep.equal([]);
    const changes = planServices([], [onLoopback("tcp 11.0.0.1:80", [await greet("theirs")])]);
    expect(other.plane.apply(changes)).to.deep.equal([undefined]);
    expect(await greetingOf("11.0.0.1")).to.equal("mine");
    enterCgroup(other.place.cgroup);
    expect(await greetingOf("11.0.0.1")).to.equal("theirs");
    enterCgroup(place.cgroup);
  });

  it("connections are made all the time while services and programs are replaced", async () => {
    const ports = [await greet("a"), await greet("b"), await greet("c")];
    const variants = ports.map((gone) =>
      onLoopback(
        "tcp 11.0.0.1:80",
        ports.filter((port) => port !== gone),
      ),
    );
    want(onLoopback("tcp 11.0.0.1:80", ports));
    let dialled = 0;
    let stop = false;
    const hammer = async (): Promise<void> => {
      for (; !stop; dialled++) {
        const { socket } = await dial("11.0.0.1");
        socket.destroy();
      }
    };
    const hammers = Promise.all([hammer(), hammer(), hammer()]);
    for (let round = 0; round < ROUNDS || dialled < ROUNDS; round++) {
      // Weights, not members, so that no connection is ended on purpose.
      const present = variants[round % 3];
      const all = ports.map((port) => [port, present?.backends.some((each) => each.port === port) ? 1 : 0] as const);
      want(onLoopback("tcp 11.0.0.1:80", all));
      if (round % 3 === 0) replaceProgram("connect4", true);
      if (round % 3 === 1) expect(plane.prepare().made).to.deep.equal(["BPF program connect4"]);
      await Bun.sleep(2);
    }
    stop = true;
    await hammers;
  }).timeout(ROUNDS_LIMIT_MS);

  it("what a killed process has made stands, and is taken over", async () => {
    const port = await greet("survivor");
    plane.remove();
    const program = `
      import { openSocketDataplane } from "${join(import.meta.dir, "../../l4lb/dataplanes/socket.ts")}";
      const plane = openSocketDataplane(${JSON.stringify(place)});
      plane.prepare();
      const loopback = { ip: { family: 4, value: 0x7f000001n }, port: ${port}, weight: 1 };
      const ip = { family: 4, value: 0x0b000001n };
      const service = { protocol: "tcp", ip, port: 80, scheduler: "wlc", affinity: 0, backends: [loopback] };
      if (plane.apply([{ do: "put", service, before: undefined }])[0] === undefined) process.kill(process.pid, 9);`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "inherit", stderr: "inherit" });
    await child.exited;
    expect(child.signalCode).to.equal("SIGKILL");
    const { socket, greeting } = await dial("11.0.0.1");
    expect(greeting).to.equal("survivor");
    expect(plane.prepare().made).to.deep.equal([]);
    expect(plane.read()).to.deep.equal([onLoopback("tcp 11.0.0.1:80", [port])]);
    const end = ended(socket);
    want();
    expect(await end).to.equal("ECONNABORTED");
  });

  it("where somebody keeps a hook to himself, it says so and leaves nothing half done", async () => {
    plane.remove();
    withExclusiveProgram(place.cgroup, "connect6", () => {
      expect(() => plane.prepare()).to.throw(/connect6 of a control group: EPERM .*has this hook for itself/);
    });
    expect(existsSync(place.pins)).to.equal(false);
    expect(programsOf(place.cgroup, "connect4")).to.deep.equal([]);
    expect(plane.prepare().made).to.include("BPF link connect6");
    want(onLoopback("tcp 11.0.0.1:80", [await greet("later")]));
    expect(await greetingOf("11.0.0.1")).to.equal("later");
  });

  it("an heir makes anew what somebody removed while nobody held it", async () => {
    const services = [
      onLoopback("tcp 11.0.0.1:80", [await greet("again")]),
      onLoopback("tcp 11.0.0.1:81", [await greet("other")]),
    ];
    const pins = ["state", "slots", "services", "members"].map((name) => `maps/${name}`);
    for (const pin of [...pins, "links/connect4", "links/release"]) {
      want(...services);
      plane.close();
      rmSync(join(place.pins, pin));
      expect(plane.prepare().made, pin).to.not.deep.equal([]);
      want(...services.map((each) => ({ ...each, affinity: 1 })));
      want(...services);
      expect(sorted(plane.read()), pin).to.deep.equal(services);
      expect(await greetingOf("11.0.0.1"), pin).to.equal("again");
      expect(await greetingOf("11.0.0.1", 81), pin).to.equal("other");
      expect(plane.prepare().made, pin).to.deep.equal([]);
    }
  });

  it("what a broken-off change has left is swept, after the plan had its chance to finish it", async () => {
    const port = await greet("half");
    want(onLoopback("tcp 11.0.0.1:80", [port]));
    const { socket } = await dial("11.0.0.1");
    const end = ended(socket);
    const kept = onLoopback("tcp 11.0.0.1:80", [port]);
    const { keys, count } = map("services").dump();
    map("services").deleteMany(keys, count);
    map("slots").set(slotKey(1_000_000n, 0), map("slots").dump().values);
    plane.prepare();
    expect(map("slots").dump().count, "nobody's").to.equal(0);
    expect(map("members").get(pairKey(kept, kept.backends[0] ?? { ip: kept.ip, port })), "may be wanted").to.not.equal(
      undefined,
    );
    expect(plane.prepare().made).to.deep.equal(["leftovers in BPF maps"]);
    expect(await end).to.equal("ECONNABORTED");
    for (const name of ["members", "slots", "addresses"] as const) {
      expect(map(name).dump().count, name).to.equal(0);
    }
    await becomes(SILENCE_MS, async () => noted().join(), "");
    expect(plane.prepare().made).to.deep.equal([]);
  });

  it("an IPv4 address in IPv6 form is refused, because programs can't tell it from the IPv4 address", () => {
    const outcome = plane.apply([
      { do: "put", service: onLoopback("tcp [::ffff:11.0.0.1]:80", []), before: undefined },
      { do: "put", service: service("tcp [fd11::1]:80", ["::ffff:10.0.0.1"]), before: undefined },
    ]);
    expect(outcome.map((error) => error?.message.includes("IPv4 address in IPv6 form"))).to.deep.equal([true, true]);
    expect(plane.read()).to.deep.equal([]);
  });

  it("a service that doesn't fit any more is refused by itself and leaves nothing", async () => {
    const { keyBytes, valueBytes, capacity } = MAPS.slots;
    const count = capacity - 5;
    const keys = new Uint8Array(count * keyBytes);
    const view = new DataView(keys.buffer);
    for (let index = 0; index < count; index++) view.setBigUint64(index * keyBytes, BigInt(index + 1_000_000), true);
    map("slots").setMany({ keys, values: new Uint8Array(count * valueBytes), count }, (_, error) => {
      throw error;
    });
    const small = onLoopback("tcp 11.0.0.1:80", [await greet("small")]);
    const large = onLoopback("tcp 11.0.0.2:80", [1, 2, 3, 4, 5, 6]);
    const outcome = plane.apply(
      [small, large].map((each): Change => ({ do: "put", service: each, before: undefined })),
    );
    expect(outcome[0]).to.equal(undefined);
    expect(outcome[1]?.message).to.include("full");
    expect(plane.read()).to.deep.equal([small]);
    expect(await greetingOf("11.0.0.1")).to.equal("small");
    expect(map("slots").dump().count).to.equal(count + 1);
    for (const name of ["members", "services", "addresses"] as const) {
      expect(map(name).dump().count, name).to.equal(1);
    }
  });
});
