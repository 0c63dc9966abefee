import { expect } from "chai";
import * as packet from "dns-packet";
import { Forwarder } from "../../../../dns/forward/forwarder.ts";
import { decodeQuery, type Query } from "../../../../dns/message.ts";
import { encode } from "../../../../dns/respond.ts";
import type { Zones } from "../../../../dns/zones.ts";
import { decoded, queryBytes } from "../../../support/dns.ts";
import { a, answerTo, endpoint, type Received, ScriptedNetwork, soa } from "../../../support/dns-upstream.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

const NAME = "www.example.org";
const [FIRST, SECOND, THIRD] = [1, 2, 3].map((last) => `192.0.2.${last}:53`);

describe("the forwarder", () => {
  let clock: FakeClock;
  let network: ScriptedNetwork;
  let forwarder: Forwarder;
  let events: string[];

  beforeEach(async () => {
    clock = fakeClock();
    network = new ScriptedNetwork();
    events = [];
    await start();
  });

  afterEach(() => forwarder.stop());

  async function start(cacheBytes = 1 << 20): Promise<void> {
    const log = { debug() {}, info: note, warn: note, error: note };
    const random = seeded();
    const upstreams = [1, 2, 3].map((last) => endpoint(`192.0.2.${last}`));
    const zones = [{ zone: "", upstreams }];
    forwarder = new Forwarder({ zones, own: [endpoint("198.51.100.1")], cacheBytes, network, clock, random, log });
    await clock.advance(0);
  }

  function note(event: string): void {
    events.push(event);
  }

  function query(name = NAME, type = "A", edns?: number): Query {
    const read = decodeQuery(queryBytes(name, type, 7, edns));
    if (read.outcome !== "query") throw new Error(read.outcome);
    return read.query;
  }

  /** The answer to a query, as its asker reads it. */
  async function ask(asked = query(), transport: "udp" | "tcp" = "udp") {
    const reply = await forwarder.forward(asked, transport);
    const authority = { zones: undefined as unknown as Zones, aliases: [], recursion: true };
    return decoded(reply instanceof Uint8Array ? reply : encode(asked, reply, transport, authority));
  }

  /** Lets time pass until the answer is there. */
  async function within<T>(ms: number, promise: Promise<T>): Promise<{ value: T; afterMs: number }> {
    const began = clock.monotonic();
    let done: { value: T; afterMs: number } | undefined;
    void promise.then((value) => {
      done = { value, afterMs: clock.monotonic() - began };
    });
    for (let passed = 0; done === undefined && passed < ms; passed++) await clock.advance(1);
    if (done === undefined) throw new Error(`nothing in ${ms} ms`);
    return done;
  }

  const good = (received: Received): void =>
    received.answer(answerTo(received.message, { answers: [a(received.name, "192.0.2.80")] }));
  const extendedError = (message: packet.DecodedPacket): { code: number; text: string } | undefined => {
    const [opt] = message.additionals ?? [];
    const data =
      opt?.type === "OPT" ? (opt.options as unknown as { code: number; data: Buffer }[])[0]?.data : undefined;
    return data && { code: data.readUInt16BE(0), text: data.subarray(2).toString() };
  };

  it("gives the answer of an upstream in the asker's letters, and keeps it", async () => {
    network.onMessage = good;
    const first = await ask(query("wWw.eXample.org"));
    expect(first).to.deep.include({ id: 7, flag_ra: true, flag_aa: false, rcode: "NOERROR" });
    expect(first.questions?.[0]?.name).to.equal("wWw.eXample.org");
    await clock.advance(100_000);
    const second = await ask();
    expect(second.answers?.[0]).to.deep.include({ name: NAME, data: "192.0.2.80", ttl: 200 });
    expect(network.received.length).to.equal(1);
    expect(forwarder.status().counters).to.deep.include({ queries: 2, hits: 1, asked: 1 });
    expect(forwarder.explain(NAME, 1)?.kept).to.deep.include({ ageSeconds: 100, lifetimeSeconds: 300, expired: false });
  });

  it("asks once for all who ask the same at the same time", async () => {
    const all = [ask(), ask(), ask(query(NAME.toUpperCase()))];
    await clock.advance(1);
    network.received.forEach(good);
    expect((await Promise.all(all)).map(({ answers }) => answers?.length)).to.deep.equal([1, 1, 1]);
    expect(network.received.length).to.equal(1);
    expect(forwarder.status().counters.joined).to.equal(2);
  });

  it("asks another while the first is silent, and takes the first good answer", async () => {
    network.onMessage = (received) => {
      if (received.to === network.received[1]?.to) good(received);
    };
    const { value, afterMs } = await within(1800, ask());
    expect(value.rcode).to.equal("NOERROR");
    expect(afterMs).to.be.within(15, 150);
    expect(new Set(network.received.map(({ to }) => to)).size).to.equal(2);
  });

  it("prefers a good answer to an error that came sooner", async () => {
    network.onMessage = (received) => {
      if (network.received.length < 3) received.answer(answerTo(received.message, { rcode: "SERVFAIL" }));
      else good(received);
    };
    expect((await within(1800, ask())).value.rcode).to.equal("NOERROR");
    expect(network.received.map(({ to }) => to).sort()).to.deep.equal([FIRST, SECOND, THIRD]);
  });

  it("passes on the error when all have none but that", async () => {
    network.onMessage = (received) => received.answer(answerTo(received.message, { rcode: "REFUSED" }));
    expect((await within(100, ask())).value.rcode).to.equal("REFUSED");
  });

  it("says in time that nobody answered, and what each of them did", async () => {
    network.onMessage = (received) => {
      if (received.to === FIRST) received.fail("ECONNREFUSED");
    };
    const { value, afterMs } = await within(2000, ask(query(NAME, "A", 1232)));
    expect(value.rcode).to.equal("SERVFAIL");
    expect(afterMs).to.be.at.most(1801);
    expect(extendedError(value)?.code).to.equal(22);
    expect(extendedError(value)?.text).to.match(/192.0.2.1:53 ECONNREFUSED; 192.0.2.2:53 .*; 192.0.2.3:53/);
  });

  it("doesn't take what it didn't ask for", async () => {
    network.onMessage = (received) => {
      received.answer(answerTo(received.message, { id: 1, answers: [a(NAME, "203.0.113.1")] }));
      received.answer(answerTo(received.message, { question: "example.com", answers: [a(NAME, "203.0.113.2")] }));
      received.answer(new Uint8Array(40));
      good(received);
    };
    expect((await ask()).answers?.[0]).to.deep.include({ data: "192.0.2.80" });
  });

  it("gives up one that only floods", async () => {
    network.onMessage = (received) => {
      if (received.to === network.received[0]?.to)
        for (let index = 0; index < 100; index++) received.answer(new Uint8Array(40));
      else good(received);
    };
    expect((await within(5, ask())).value.rcode).to.equal("NOERROR");
  });

  it("fetches the whole over TCP when it was cut", async () => {
    network.onMessage = (received) => {
      if (received.over === "tcp") good(received);
      else received.answer(answerTo(received.message, { flags: packet.TRUNCATED_RESPONSE }));
    };
    expect((await ask()).answers?.length).to.equal(1);
    expect(network.received.map(({ over }) => over)).to.deep.equal(["udp", "tcp"]);
  });

  it("asks those who don't know EDNS without it", async () => {
    network.onMessage = (received) => {
      const edns = (packet.decode(Buffer.from(received.message)).additionals ?? []).length > 0;
      if (edns) received.answer(answerTo(received.message, { rcode: "FORMERR" }));
      else good(received);
    };
    expect((await ask()).answers?.length).to.equal(1);
    expect(network.received.length).to.equal(2);
  });

  it("keeps that there is nothing, as long as the SOA record says", async () => {
    network.onMessage = (received) =>
      received.answer(answerTo(received.message, { rcode: "NXDOMAIN", authorities: [soa("example.org", 600, 60)] }));
    expect((await ask()).rcode).to.equal("NXDOMAIN");
    await clock.advance(59_000);
    await ask();
    expect(network.received.length).to.equal(1);
    await clock.advance(2000);
    await ask();
    expect(network.received.length).to.equal(2);
  });

  it("gives an answer that is too old when nobody answers, and says how old", async () => {
    network.onMessage = good;
    await ask();
    network.onMessage = () => {};
    network.probes = false;
    await clock.advance(400_000);
    const stale = await within(1000, ask(query(NAME, "A", 1232)));
    expect(stale.value.answers?.[0]).to.deep.include({ data: "192.0.2.80", ttl: 30 });
    expect(extendedError(stale.value)).to.deep.include({ code: 3 });
    expect(extendedError(stale.value)?.text).to.match(/said this 400 s ago, for 300 s/);
    await clock.advance(2000);
    const asked = network.received.length;
    expect((await within(2, ask())).value.answers?.length, "at once, since nobody answered just now").to.equal(1);
    expect(network.received.length).to.equal(asked);
    expect(forwarder.status().counters.stale).to.equal(2);
  });

  it("asks again as soon as an upstream is back", async () => {
    network.onMessage = good;
    await ask();
    network.onMessage = () => {};
    network.probes = false;
    await clock.advance(400_000);
    for (let index = 0; index < 4; index++) await within(2000, ask(query(`${index}.${NAME}`)));
    await within(2000, ask());
    expect(events).to.include("upstream is down");
    network.probes = true;
    network.onMessage = good;
    await clock.advance(31_000);
    expect(events).to.include("upstream answers again");
    // A too old answer would have 30.
    const [answer] = (await within(10, ask())).value.answers ?? [];
    expect(answer?.type === "A" ? answer.ttl : 0).to.be.within(260, 300);
  });

  it("fetches what is often asked before it is too old", async () => {
    network.onMessage = good;
    for (let index = 0; index < 5; index++) await ask();
    await ask(query(`seldom.${NAME}`));
    await clock.advance(290_000);
    expect(network.received.map(({ name }) => name.toLowerCase())).to.deep.equal([NAME, `seldom.${NAME}`, NAME]);
    expect(forwarder.status().counters.prefetched).to.equal(1);
  });

  it("asks nobody for what is no name's business", async () => {
    expect((await ask(query(NAME, "AXFR"), "tcp")).rcode).to.equal("REFUSED");
    expect(await ask(query(NAME, "ANY"))).to.deep.include({ flag_tc: true, rcode: "NOERROR" });
    expect((await ask({ ...query(), flags: 0 })).rcode).to.equal("REFUSED");
    expect(network.received).to.deep.equal([]);
  });

  it("cuts what is too long for the asker after whole records", async () => {
    const many = Array.from({ length: 60 }, (_, index) => a(NAME, `192.0.2.${index}`));
    network.onMessage = (received) => received.answer(answerTo(received.message, { answers: many }));
    const cut = await ask();
    expect(cut.flag_tc).to.equal(true);
    expect(cut.answers?.length).to.be.within(10, 30);
    expect((await ask(query(), "tcp")).answers?.length).to.equal(60);
  });

  it("notices at run time that an upstream asks this server, and asks it no more", async () => {
    forwarder.stop();
    network.probes = false;
    const probes: string[] = [];
    const udp = network.udp;
    const watching = {
      tcp: network.tcp,
      udp: (...[to, message, replies]: Parameters<typeof udp>) => {
        probes.push(`${packet.decode(Buffer.from(message)).questions?.[0]?.name} ${to.port}`);
        return udp(to, message, replies);
      },
    };
    const log = { debug() {}, info: note, warn: note, error: note };
    const zones = [{ zone: "", upstreams: [endpoint("192.0.2.1"), endpoint("192.0.2.2", 54)] }];
    forwarder = new Forwarder({ zones, own: [], cacheBytes: 0, network: watching, clock, random: seeded(), log });
    const [name = ""] = (probes.find((each) => each.endsWith(" 53")) ?? "").split(" ");
    expect((await ask(query(name.toLowerCase()))).rcode).to.equal("REFUSED");
    expect(events).to.deep.equal(["upstream is down"]);
    expect(forwarder.status().zones[0]?.upstreams.map(({ health }) => health)).to.deep.equal(["loop", "unknown"]);
    network.onMessage = good;
    await within(100, ask());
    expect(network.received.map(({ to }) => to)).to.deep.equal(["192.0.2.2:54"]);
  });

  it("refuses at start, and later, an upstream that is the server itself", () => {
    const loop = [{ zone: "", upstreams: [endpoint("198.51.100.1")] }];
    expect(() => forwarder.setZones(loop)).to.throw(/ask itself for ever/);
    expect(forwarder.status().zones[0]?.upstreams.length).to.equal(3);
  });

  it("asks others when its zones change, and gives nothing of those before", async () => {
    network.onMessage = good;
    await ask();
    forwarder.setZones([{ zone: "org", upstreams: [endpoint("192.0.2.9")] }]);
    await ask();
    expect(network.received.map(({ to }) => to)[1]).to.equal("192.0.2.9:53");
    expect((await ask(query("example.com"))).rcode).to.equal("REFUSED");
  });

  it("keeps no more than it may", async () => {
    forwarder.stop();
    await start(50_000);
    network.onMessage = good;
    for (let index = 0; index < 200; index++) await ask(query(`${index}.example.org`));
    const { bytes, entries, evicted } = forwarder.status().cache;
    expect(bytes).to.be.at.most(50_000);
    expect(entries + evicted).to.equal(200);
    expect(entries).to.be.greaterThan(20);
  });
});

/** Numbers that are the same in each run. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}
