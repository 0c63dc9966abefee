import { expect } from "chai";
import { Responder } from "../../../../dns/fast/responder.ts";
import { SharedTable } from "../../../../dns/fast/table.ts";
import { dcosZone } from "../../../../dns/zone.ts";
import { Zones } from "../../../../dns/zones.ts";
import { queryBytes } from "../../../support/dns.ts";

const nameOf = (index: number): string => `app-${index}.zk`;

function put(zones: Zones, table: SharedTable, index: number, address: string | undefined): void {
  const records = address === undefined ? [] : [{ name: nameOf(index), ttl: 5, data: { type: "A", address } as const }];
  zones.put(`${index}`, records);
  for (const name of zones.settle()) table.put(name, zones.get(name));
}

/** The address that a worker answers, as four numbers; undefined when it leaves the question to the main thread. */
function addressOf(responder: Responder, index: number): string | undefined {
  const output = new Uint8Array(512);
  const message = queryBytes(nameOf(index), "A");
  const length = responder.respond(message, 0, message.length, output, 0);
  return length === 0 ? undefined : output.subarray(length - 4, length).join(".");
}

describe("a table that is full", () => {
  it("goes on with what it has, and leaves the rest to the main thread", () => {
    const zones = new Zones([dcosZone("zk")]);
    const table = new SharedTable(1 << 17);
    const responder = new Responder(table.memory, false);
    for (let index = 0; index < 5000; index++) put(zones, table, index, `9.0.${index >> 8}.${index & 255}`);
    const known = Array.from({ length: 5000 }, (_, index) => index).filter((index) => addressOf(responder, index));
    expect(known.length).to.be.within(500, 2000);
    for (const index of known) expect(addressOf(responder, index)).to.equal(`9.0.${index >> 8}.${index & 255}`);
    for (const index of known) put(zones, table, index, undefined);
    for (let index = 0; index < 100; index++) put(zones, table, index, "9.9.9.9");
    const again = Array.from({ length: 100 }, (_, index) => addressOf(responder, index));
    expect(again.filter((address) => address === "9.9.9.9").length).to.be.greaterThan(50);
    expect(again.filter((address) => address !== undefined && address !== "9.9.9.9")).to.deep.equal([]);
  });
});
