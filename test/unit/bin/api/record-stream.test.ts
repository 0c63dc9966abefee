import { expect } from "chai";
import { recordStream } from "../../../../bin/api/record-stream.ts";
import type { DnsRecord } from "../../../../dns/record.ts";
import { dnsState } from "../../../support/dns-state.ts";

type Line = { readonly name: string; readonly rtype: string; readonly host: string };

function streamOf(records: Iterable<DnsRecord>): ReadableStream<Uint8Array> {
  return recordStream({ zones: { records: () => Iterator.from(records) as Generator<DnsRecord> } });
}

const address = (name: string): DnsRecord => ({ name, ttl: 5, data: { type: "A", address: "9.0.0.1" } });

describe("the list of records", () => {
  it("has all addresses and services, and nothing else, one a line", async () => {
    const { dns } = dnsState(700);
    const text = await new Response(recordStream(dns)).text();
    const lines = JSON.parse(text) as Line[];
    const wanted = [...dns.zones.records()].filter(({ data: { type } }) => ["A", "AAAA", "SRV"].includes(type));
    expect(new Set(lines.map(({ name, rtype }) => `${name} ${rtype}`))).to.deep.equal(
      new Set(wanted.map(({ name, data }) => `${name} ${data.type}`)),
    );
    expect(lines).to.have.length(wanted.length);
    expect(lines.find(({ rtype }) => rtype === "SRV")?.host).to.match(/^app-\S+:80$/);
    const isLine = (line: string) => /^[[{].*[}\]],?$/.test(line);
    expect(text.split("\n").slice(0, -1).every(isLine)).to.equal(true);
  });

  it("is empty where there are none", async () => {
    expect(await new Response(streamOf([])).json()).to.deep.equal([]);
  });

  it("is made only as far as it is read, and others have their turns between the pieces", async () => {
    let made = 0;
    function* endless() {
      for (;;) yield address(`t${made++}.dcos.thisdcos.directory`);
    }
    const reader = streamOf(endless()).getReader();
    let turns = 0;
    const turn = setInterval(() => turns++, 0);
    for (let pieces = 0; pieces < 100; pieces++) await reader.read();
    clearInterval(turn);
    expect(turns).to.be.greaterThan(5);
    expect(made).to.be.within(100, 100_000);
    await reader.cancel();
    const before = made;
    await Bun.sleep(5);
    expect(made).to.equal(before);
  });

  it("holds names that need quoting, however long these are", async () => {
    const long = Array.from({ length: 4 }, () => "\\\\255".repeat(62)).join(".");
    const names = ['a"b.zk', "a\\\\b.zk", long];
    const services = names.map((target): DnsRecord => {
      return { name: target, ttl: 5, data: { type: "SRV", priority: 1, weight: 1, port: 65_535, target } };
    });
    const many = Array.from({ length: 300 }, () => services).flat();
    const lines = (await new Response(streamOf(many)).json()) as Line[];
    expect(lines).to.deep.equal(many.map(({ name }) => ({ name, rtype: "SRV", host: `${name}:65535` })));
  });
});
