import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  endLingering,
  type Handover,
  lingering,
  lingerPath,
  readHandover,
  writeHandover,
} from "../../../../bin/dns/handover.ts";
import { processOf } from "../../../../bin/process.ts";
import { recordsOf } from "../../../../dns/naming.ts";
import { Zones } from "../../../../dns/zones.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { parseIp } from "../../../../lib/address.ts";
import { localZones, taskWith } from "../../../support/dns.ts";

const upstream = { ip: parseIp("fd00::53"), port: 5353 };

/** All records in their order, without how many origins they have. */
function contentOf(zones: Zones) {
  return [...zones].flatMap(({ data: { zone, sets } }) =>
    sets.flatMap(({ records }) => records.map(({ name, ttl, data }) => ({ zone: zone.name, name, ttl, data }))),
  );
}

describe("the handover of names", () => {
  it("gives the same records and the same of everything else, in whatever pieces it comes", async () => {
    const zones = localZones();
    for (let index = 0; index < 300; index++) {
      zones.put(`task/${index}`, recordsOf({ kind: "task", task: taskWith({ id: `t.${index}`, name: `t-${index}` }) }));
    }
    const handover: Handover = {
      zones: zones.zones(),
      aliases: [{ from: "thisdcos.global", to: "thisdcos.directory" }],
      listen: [{ ip: parseIp("198.51.100.1"), port: 53 }, upstream],
      forwardZones: [{ zone: "", upstreams: [upstream] }],
      cacheBytes: 1000,
      workers: 2,
    };
    let text = "";
    await writeHandover(handover, zones, async (part) => {
      text += part;
    });
    async function* pieces() {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.slice(at, at + 1000);
    }
    const read = await readHandover(pieces());
    expect(read.handover).to.deep.equal(handover);
    const copy = new Zones(read.handover.zones);
    copy.put("handed over", read.records);
    expect(contentOf(copy)).to.deep.equal(contentOf(zones));
  });

  it("is refused when nothing comes", async () => {
    const failed = await readHandover((async function* () {})()).catch(String);
    expect(failed).to.include("nothing was handed over");
  });
});

describe("the process that stands in for an agent", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-linger-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("is known while it runs, and ended once", async () => {
    expect(lingering(linuxFiles, directory)).to.equal(undefined);
    const child = Bun.spawn(["sleep", "60"]);
    const own = processOf(child.pid);
    writeFileSync(lingerPath(directory), JSON.stringify(own));
    expect(lingering(linuxFiles, directory)).to.deep.equal(own);
    expect(endLingering(linuxFiles, directory)).to.equal(true);
    await child.exited;
    expect(endLingering(linuxFiles, directory)).to.equal(false);
  });

  it("isn't taken for a later process of the same number", () => {
    writeFileSync(lingerPath(directory), JSON.stringify({ pid: process.pid, start: "1" }));
    expect(lingering(linuxFiles, directory)).to.equal(undefined);
  });
});
