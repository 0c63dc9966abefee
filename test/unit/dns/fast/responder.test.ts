import { expect } from "chai";
import fc from "fast-check";
import { Responder } from "../../../../dns/fast/responder.ts";
import { SharedTable } from "../../../../dns/fast/table.ts";
import { addressData, type DnsRecord } from "../../../../dns/record.ts";
import { respond } from "../../../../dns/respond.ts";
import { dcosZone } from "../../../../dns/zone.ts";
import { Zones } from "../../../../dns/zones.ts";
import { decoded, queryBytes } from "../../../support/dns.ts";

const ZONE = "dcos.thisdcos.directory";

class Both {
  readonly zones = new Zones([dcosZone(ZONE)]);
  readonly table = new SharedTable(1 << 24);
  readonly #responder = new Responder(this.table.memory, false);

  put(origin: string, records: readonly DnsRecord[]): void {
    this.zones.put(origin, records);
    for (const name of this.zones.settle()) this.table.put(name, this.zones.get(name));
  }

  /** What is given when there were too many large answers. */
  cut(message: Uint8Array): Uint8Array {
    const output = new Uint8Array(2048);
    this.#responder.respond(message, 0, message.length, output, 0);
    return output.slice(0, this.#responder.cut(output, 0));
  }

  fast(message: Uint8Array): Uint8Array | undefined {
    const output = new Uint8Array(2048);
    const length = this.#responder.respond(message, 0, message.length, output, 0);
    return length === 0 ? undefined : output.slice(0, length);
  }

  slow(message: Uint8Array): Uint8Array | undefined {
    const outcome = respond(message, "udp", { zones: this.zones, aliases: [], recursion: false });
    return outcome.outcome === "reply" ? outcome.message : undefined;
  }
}

const records = (name: string, addresses: readonly string[]): DnsRecord[] =>
  addresses.map((address) => ({ name: `${name}.${ZONE}`, ttl: 5, data: addressData(address) }));

describe("the workers' answer", () => {
  it("is cut to none when it may not be large", () => {
    const both = new Both();
    both.put(
      "one",
      records(
        "app",
        Array.from({ length: 80 }, (_, index) => `9.0.0.${index}`),
      ),
    );
    for (const edns of [1232, undefined]) {
      const message = decoded(both.cut(queryBytes(`app.${ZONE}`, "A", 9, edns)));
      expect(message).to.deep.include({ id: 9, flag_tc: true, rcode: "NOERROR", answers: [], authorities: [] });
      expect(message.questions?.length).to.equal(1);
      expect(message.additionals?.length).to.equal(edns === undefined ? 0 : 1);
    }
  });

  it("is byte for byte that of the main thread, wherever there is one", () => {
    const number = fc.integer({ min: 0, max: 254 });
    const v4 = fc.array(number, { maxLength: 90 }).map((all) => all.map((each) => `9.0.0.${each}`));
    const v6 = fc.array(number, { maxLength: 60 }).map((all) => all.map((each) => `fd01::${each.toString(16)}`));
    const query = fc.record({
      id: fc.integer({ min: 0, max: 65_535 }),
      type: fc.constantFrom("A", "AAAA", "MX", "TXT", "SRV", "HTTPS"),
      edns: fc.option(fc.constantFrom(100, 512, 1232, 4096), { nil: undefined }),
      upper: fc.boolean(),
    });
    let answered = 0;
    fc.assert(
      fc.property(v4, v6, query, (four, six, { id, type, edns, upper }) => {
        const both = new Both();
        both.put("one", [...records("app", four), ...records("app", six)]);
        const name = `app.${ZONE}`;
        const message = queryBytes(upper ? name.toUpperCase() : name, type, id, edns);
        const fast = both.fast(message);
        if (fast === undefined) return;
        answered++;
        expect(fast).to.deep.equal(Uint8Array.from(both.slow(message) ?? []));
      }),
    );
    expect(answered).to.be.greaterThan(50);
  });

  it("follows every change of many names, through growth of the table", () => {
    const both = new Both();
    const name = (index: number): string => `app-${index}`;
    for (let index = 0; index < 5000; index++) both.put(`${index}`, records(name(index), ["9.0.0.1"]));
    for (let index = 0; index < 5000; index += 2) both.put(`${index}`, []);
    for (let index = 1; index < 5000; index += 4) both.put(`${index}`, records(name(index), ["9.0.0.2", "9.0.0.3"]));
    for (let index = 0; index < 5000; index++) {
      const message = queryBytes(`${name(index)}.${ZONE}`, "A", index);
      const fast = both.fast(message);
      if (index % 2 === 0) expect(fast).to.equal(undefined);
      else expect(fast).to.deep.equal(Uint8Array.from(both.slow(message) ?? []));
    }
  });

  it("uses the memory of what was taken out again", () => {
    const both = new Both();
    for (let round = 0; round < 200; round++) both.put("one", records("app", [`9.0.0.${round % 200}`]));
    const used = both.table.bytesUsed;
    for (let round = 0; round < 5000; round++) both.put("one", records("app", [`9.0.0.${round % 200}`]));
    expect(both.table.bytesUsed).to.equal(used);
  });

  it("is left to the main thread for all that isn't simple", () => {
    const both = new Both();
    both.put("one", records("app", ["9.0.0.1"]));
    both.put("alias", [{ name: `www.${ZONE}`, ttl: 5, data: { type: "CNAME", target: `app.${ZONE}` } }]);
    expect(both.fast(queryBytes(`www.${ZONE}`, "A"))).to.equal(undefined);
    expect(both.fast(queryBytes(`none.${ZONE}`, "A"))).to.equal(undefined);
    expect(both.fast(queryBytes(`app.${ZONE}`, "ANY"))).to.equal(undefined);
    expect(both.fast(queryBytes(ZONE, "MX"))).to.equal(undefined);
    const message = queryBytes(`app.${ZONE}`, "A");
    expect(both.fast(message.subarray(0, message.length - 1))).to.equal(undefined);
    expect(both.fast(message)).to.not.equal(undefined);
  });
});
