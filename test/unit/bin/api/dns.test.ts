import { expect } from "chai";
import { hostEntries, queryBody, serviceEntries, zonesBody } from "../../../../bin/api/dns.ts";
import { sampleState } from "../../../support/api-state.ts";
import { dnsState, REPORT } from "../../../support/dns-state.ts";

const ZONE = "dcos.thisdcos.directory";
describe("names over HTTP", function () {
  this.timeout(20_000);

  it("have their addresses, IPv4 first, asked in whatever case and form, and none when they aren't there", () => {
    const { dns } = dnsState();
    const host = `app.marathon.containerip.${ZONE}`;
    const both = [
      { host, ip: "9.0.1.1" },
      { host, ip: "fd01:b::6" },
    ];
    for (const asked of [host, `${host.toUpperCase()}.`]) expect(hostEntries(dns, asked)).to.deep.equal(both);
    expect(hostEntries(dns, `app.marathon.containerip.dcos.thisdcos.global`).map(({ ip }) => ip)).to.have.length(2);
    for (const asked of ["nothing.spartan", "www.example.org"]) expect(hostEntries(dns, asked)).to.deep.equal([]);
    expect(() => hostEntries(dns, "a..b"))
      .to.throw("is no name")
      .with.property("code", "invalid");
  });

  it("have an entry for each service and address, with the port as a number, and without one where there is none", () => {
    const { dns, names } = dnsState();
    const service = `_http._app._tcp.marathon.containerip.${ZONE}`;
    const entries = serviceEntries(dns, service);
    expect(entries.map(({ port, ip }) => [port, ip])).to.deep.equal([
      [80, "9.0.1.1"],
      [80, "fd01:b::6"],
    ]);
    expect(entries[0]?.host).to.match(/^app-\w{5}-s0\.marathon\.containerip/);
    const data = { type: "SRV", priority: 1, weight: 1, port: 7, target: "far.example" } as const;
    names.zones.put("test", [{ name: `_x._tcp.${ZONE}`, ttl: 5, data }]);
    expect(serviceEntries(dns, `_x._tcp.${ZONE}`)).to.deep.equal([
      { service: `_x._tcp.${ZONE}`, host: "far.example", port: 7 },
    ]);
    expect(serviceEntries(dns, "nothing.spartan")).to.deep.equal([]);
  });

  it("are counted by zone, beside how the server does", async () => {
    const { zones, listening } = await zonesBody(dnsState().dns);
    expect(listening).to.deep.equal(REPORT.listening);
    expect(zones.find(({ zone }) => zone === "spartan")).to.deep.equal({ zone: "spartan", names: 3, records: 5 });
  });

  it("tell what made them, whose word it is and how old", () => {
    const { dns } = dnsState();
    const sample = sampleState();
    const body = queryBody(sample.state, dns, `app.marathon.containerip.${ZONE}`, undefined);
    expect(body).to.deep.include({ type: "A", status: "NOERROR", zone: ZONE });
    expect(body.records[0]?.origins).to.deep.equal([
      {
        rule: "containerip",
        form: `<task>.<framework>.containerip.${ZONE}`,
        of: "task app of marathon, app.0",
        fact: { kind: "task", key: "F-0000/app.0", owner: "m1", ownerName: "m1.example", age: 7 },
      },
    ]);
  });

  it("tell of what isn't there, of others' names, and refuse what is no type", () => {
    const { dns } = dnsState();
    const { state } = sampleState();
    expect(queryBody(state, dns, "nothing.spartan", "srv")).to.deep.include({ type: "SRV", status: "NXDOMAIN" });
    expect(queryBody(state, dns, "www.a.example", "TYPE65")).to.deep.include({ type: "TYPE65", status: "FORWARDED" });
    expect(queryBody(state, dns, "www.example.org", "A")).to.deep.include({ status: "REFUSED" });
    for (const type of ["B", "TYPE0", "TYPE65536", ""])
      expect(() => queryBody(state, dns, "a.spartan", type))
        .to.throw("is no type")
        .with.property("code", "invalid");
  });
});
