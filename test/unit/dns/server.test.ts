import { expect } from "chai";
import { recordsOf } from "../../../dns/naming.ts";
import { DnsServer } from "../../../dns/server.ts";
import { parseIp } from "../../../lib/address.ts";
import { systemClock } from "../../../lib/clock.ts";
import { decoded, localZones, queryBytes, taskWith } from "../../support/dns.ts";

const NAME = "myapp-mygroup.marathon.containerip.dcos.thisdcos.directory";

describe("the server", function () {
  this.timeout(20_000);
  const zones = localZones();
  const warnings: string[] = [];
  const quiet = { debug() {}, info() {}, warn: (event: string) => void warnings.push(event), error: console.error };
  let server: DnsServer;
  let port = 0;

  before(() => {
    zones.put("task", recordsOf({ kind: "task", task: taskWith() }));
    server = new DnsServer({
      // The last address is no machine's own (RFC 5737).
      listen: ["127.0.0.1", "127.0.0.2", "192.0.2.1"].map((text) => ({ ip: parseIp(text), port: 0 })),
      zones,
      authority: { aliases: [] },
      forward: undefined,
      workers: 2,
      tableBytes: 1 << 22,
      clock: systemClock,
      log: quiet,
    });
    port = server.bound()[0]?.udpPort ?? 0;
  });

  after(() => server.stop());

  /** What comes back for so many datagrams, in order of arrival. */
  async function overUdp(messages: readonly Uint8Array[], answers: number): Promise<Uint8Array[]> {
    const received: Uint8Array[] = [];
    const all = Promise.withResolvers<void>();
    const socket = await Bun.udpSocket({
      connect: { hostname: "127.0.0.1", port },
      socket: {
        data(_, data) {
          received.push(Uint8Array.from(data));
          if (received.length === answers) all.resolve();
        },
      },
    });
    for (const message of messages) socket.send(message);
    await all.promise;
    socket.close();
    return received;
  }

  /** What comes back for bytes on a connection, until so many messages are there or the server closes it. */
  async function overTcp(bytes: readonly Uint8Array[], answers: number): Promise<Uint8Array[]> {
    const received: Uint8Array[] = [];
    let rest = Buffer.alloc(0);
    const all = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(_, data) {
          rest = Buffer.concat([rest, data]);
          while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
            received.push(rest.subarray(2, rest.readUInt16BE(0) + 2));
            rest = rest.subarray(rest.readUInt16BE(0) + 2);
          }
          if (received.length === answers) all.resolve();
        },
        close: () => all.resolve(),
      },
    });
    for (const part of bytes) {
      socket.write(part);
      await Bun.sleep(5);
    }
    await all.promise;
    socket.end();
    return received;
  }

  const framed = (message: Uint8Array): Uint8Array => Uint8Array.of(0, message.length, ...message);
  const addressOf = (message: Uint8Array | undefined) => message && decoded(message).answers?.[0];

  it("answers by workers and by the main thread, after garbage too", async () => {
    const garbage = [new Uint8Array(0), Uint8Array.of(1, 2, 3), new Uint8Array(4000), new Uint8Array(1200).fill(0xff)];
    const answers = await overUdp([...garbage, queryBytes(NAME, "A", 5), queryBytes(NAME, "ANY", 6)], 2);
    expect(answers.map((message) => decoded(message).id).sort()).to.deep.equal([5, 6]);
    for (const message of answers) expect(addressOf(message)).to.deep.include({ data: "9.0.2.5" });
    expect(server.fastPath().answered).to.equal(1);
  });

  it("answers pipelined queries that come in pieces", async () => {
    const stream = Uint8Array.from([1, 2, 3].flatMap((id) => [...framed(queryBytes(NAME, "A", id))]));
    const answers = await overTcp([stream.subarray(0, 1), stream.subarray(1, 50), stream.subarray(50)], 3);
    expect(answers.map((message) => decoded(message).id)).to.deep.equal([1, 2, 3]);
  });

  it("closes a connection on which something else is spoken", async () => {
    expect(await overTcp([new TextEncoder().encode("\0\x04GET / HTTP/1.1\r\n\r\n")], 1)).to.deep.equal([]);
  });

  it("serves what changed at once", async () => {
    zones.put("task", recordsOf({ kind: "task", task: taskWith({ addresses: [{ address: "9.0.2.6" }] }) }));
    server.publish();
    const [answer] = await overUdp([queryBytes(NAME, "A", 7)], 1);
    expect(addressOf(answer)).to.deep.include({ data: "9.0.2.6" });
  });

  it("goes on without an address that it can't have", () => {
    expect(warnings).to.deep.equal(["cannot listen yet"]);
    expect(server.bound().length).to.equal(2);
  });
});
