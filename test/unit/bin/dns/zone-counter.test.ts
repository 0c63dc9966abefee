import { expect } from "chai";
import { ZoneCounter } from "../../../../bin/dns/zone-counter.ts";
import { addressData } from "../../../../dns/record.ts";
import { dcosZone } from "../../../../dns/zone.ts";
import { localZones } from "../../../support/dns.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const ZONE = "dcos.thisdcos.directory";

function zonesWith(names: number) {
  const zones = localZones();
  const add = (index: number) =>
    zones.put(`task/${index}`, [
      { name: `t${index}.${ZONE}`, ttl: 5, data: addressData("9.0.0.1") },
      { name: `t${index}.${ZONE}`, ttl: 5, data: addressData("9.0.0.2") },
    ]);
  for (let index = 0; index < names; index++) add(index);
  return { zones, add };
}

describe("the count of names and records", () => {
  it("is that of each zone, apex included, in several turns of the event loop when there are many", async () => {
    const clock = fakeClock();
    const counter = new ZoneCounter(zonesWith(5000).zones, clock);
    let done = false;
    const counting = counter.count().finally(() => {
      done = true;
    });
    await Promise.resolve();
    expect(done).to.equal(false);
    await clock.advance(1);
    expect((await counting).get(ZONE)).to.deep.equal({ names: 5001, records: 10_002 });
    expect(counter.last().get("spartan")).to.deep.equal({ names: 1, records: 2 });
  });

  it("is one for all the small zones that are counted together", async () => {
    const zones = localZones();
    for (const number of [1, 2, 3])
      zones.open({ ...dcosZone(`${number}.0.0.10.in-addr.arpa`), countedAs: "in-addr.arpa" });
    const counts = await new ZoneCounter(zones, fakeClock()).count();
    expect(counts.get("in-addr.arpa")).to.deep.equal({ names: 3, records: 6 });
    expect(counts.has("1.0.0.10.in-addr.arpa")).to.equal(false);
  });

  it("may be a few seconds old, and is made anew when it is older", async () => {
    const clock = fakeClock();
    const { zones, add } = zonesWith(1);
    const counter = new ZoneCounter(zones, clock);
    expect(counter.last().get(ZONE)?.names).to.equal(2);
    add(1);
    await clock.advance(9000);
    expect(counter.last().get(ZONE)?.names).to.equal(2);
    await clock.advance(2000);
    expect(counter.last().get(ZONE)?.names).to.equal(3);
  });
});
