import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openLinux } from "../../kernel/linux.ts";
import { createNetns, deleteNetns, openNetns, ownNetns } from "../../kernel/netns.ts";
import { everyNetns, netnsCookie } from "../../kernel/netns-list.ts";
import { type Destination, SocketDiag } from "../../kernel/socket-diag.ts";
import { parseIp } from "../../lib/address.ts";

const LOOPBACK = parseIp("127.0.0.1");

describe("sockets of a namespace", function () {
  this.timeout(20_000);
  const undo: (() => void)[] = [];
  let diag: SocketDiag;

  before(function () {
    if (process.getuid?.() === 0) return;
    console.log("      skipped: ending other people's connections needs root");
    this.skip();
  });
  beforeEach(() => {
    diag = SocketDiag.open();
    undo.push(() => diag.close());
  });
  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  async function server(host: string): Promise<{ readonly port: number; readonly accepted: Socket[] }> {
    const accepted: Socket[] = [];
    const listener: Server = createServer((socket) => {
      socket.on("error", () => undefined);
      accepted.push(socket);
    });
    undo.push(() => {
      for (const socket of accepted) socket.destroy();
      listener.close();
    });
    await new Promise<void>((resolve) => listener.listen(0, host, resolve));
    const address = listener.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return { port: address.port, accepted };
  }

  async function client(host: string, port: number): Promise<Socket> {
    const socket = connect({ host, port });
    undo.push(() => socket.destroy());
    await new Promise((resolve) => socket.once("connect", resolve));
    return socket;
  }

  it("those with a peer are found by it, in both families, and with very many peers asked for", async () => {
    const four = await server("127.0.0.1");
    const six = await server("::1");
    await client("127.0.0.1", four.port);
    await client("::ffff:127.0.0.1", four.port);
    await client("::1", six.port);
    const at = (address: string, port: number): Destination => ({ ip: parseIp(address), port });
    expect(diag.connected("tcp", [at("127.0.0.1", four.port)])).to.have.length(2);
    expect(diag.connected("tcp", [at("::1", six.port)])).to.have.length(1);
    expect(diag.connected("tcp", [at("::1", six.port), at("127.0.0.1", four.port)])).to.have.length(3);
    expect(diag.connected("tcp", [at("127.0.0.2", four.port)])).to.deep.equal([]);
    expect(diag.connected("udp", [at("127.0.0.1", four.port)])).to.deep.equal([]);
    expect(diag.connected("tcp", [])).to.deep.equal([]);
    const others = (count: number) => Array.from({ length: count }, (_, index) => at(`127.1.0.${index}`, four.port));
    expect(diag.connected("tcp", [...others(120), at("127.0.0.1", four.port)])).to.have.length(2);
    const cookies = new Set(diag.connected("tcp", [at("127.0.0.1", four.port)]).map(({ cookie }) => cookie));
    const all = diag.connected("tcp", [...others(200), at("127.0.0.1", four.port)]);
    expect(all.filter(({ cookie }) => cookies.has(cookie))).to.have.length(2);
  });

  it("a connection is ended on both sides, and ending it again is no error", async () => {
    const { port, accepted } = await server("127.0.0.1");
    const doomed = await client("127.0.0.1", port);
    const kept = await client("127.0.0.1", port);
    const error = new Promise<string>((resolve) =>
      doomed.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? "")),
    );
    while (accepted.length < 2) await Bun.sleep(1);
    const reset = new Promise((resolve) =>
      accepted.find(({ remotePort }) => remotePort === doomed.localPort)?.once("close", resolve),
    );
    const found = diag.connected("tcp", [{ ip: LOOPBACK, port }]);
    const own = found.filter(({ id }) => new DataView(id.buffer).getUint16(0) === doomed.localPort);
    expect(diag.destroy(own)).to.equal(1);
    expect(await error).to.equal("ECONNABORTED");
    await reset;
    expect(diag.destroy(own)).to.equal(0);
    expect(diag.connected("tcp", [{ ip: LOOPBACK, port }])).to.have.length(1);
    expect(kept.readyState).to.equal("open");
  });

  it("every namespace is found once, also one that only a mount keeps", () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-netns-"));
    undo.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "kept");
    createNetns(path);
    undo.push(() => deleteNetns(path));
    const all = everyNetns();
    undo.push(() => {
      for (const netns of all) netns.close();
    });
    const kept = openNetns(path);
    const own = ownNetns();
    undo.push(
      () => kept?.close(),
      () => own.close(),
    );
    const ids = all.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
    expect(ids).to.include.members([kept?.id, own.id]);
    const cookies = all.map(netnsCookie);
    expect(new Set(cookies).size).to.equal(all.length);
  });

  it("are those of the namespace in which they were asked for", async () => {
    const { port } = await server("127.0.0.1");
    await client("127.0.0.1", port);
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-netns-"));
    undo.push(() => rmSync(folder, { recursive: true }));
    createNetns(join(folder, "empty"));
    undo.push(() => deleteNetns(join(folder, "empty")));
    const machine = openLinux();
    undo.push(() => machine.close());
    const netns = machine.openNetns(join(folder, "empty"));
    if (netns === undefined) throw new Error("no namespace");
    const inside = machine.within(netns);
    const elsewhere = inside.enter(() => SocketDiag.open());
    expect(elsewhere.connected("tcp", [{ ip: LOOPBACK, port }])).to.deep.equal([]);
    elsewhere.close();
    inside.close();
    netns.close();
  });
});
