import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import type { EndpointRecord } from "../../../cnm-driver/record.ts";
import { DockerStore } from "../../../cnm-driver/store.ts";
import { linuxFiles } from "../../../kernel/file.ts";

const RECORD: EndpointRecord = {
  id: "e".repeat(64),
  network: "1".repeat(64),
  addresses: ["9.0.1.130/25"],
  mac: "02:42:09:00:01:82",
  joined: true,
  ports: [{ protocol: "tcp", hostPort: 8080, containerPort: 80 }],
  createdAt: 1,
};

describe("the records of Docker networks and endpoints", () => {
  let folder: string;
  let problems: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "docker-store-"));
    problems = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = () => {
    const note = (_event: string, fields: object = {}) => void problems.push(JSON.stringify(fields));
    return new DockerStore(linuxFiles, folder, { debug: note, info: note, warn: note, error: note });
  };
  const file = () => join(folder, `endpoint-${RECORD.id}.json`);

  it("are there again for the next process, and gone when removed", () => {
    open().putEndpoint(RECORD);
    const store = open();
    expect(store.endpoint(RECORD.id)).to.deep.equal(RECORD);
    expect(store.endpoints("0".repeat(64))).to.deep.equal([]);
    store.removeEndpoint(RECORD.id);
    expect(open().endpoints()).to.deep.equal([]);
  });

  it("leave no file of a process that was killed while it replaced one", () => {
    open().putEndpoint(RECORD);
    writeFileSync(`${file()}.4711.tmp`, "{");
    writeFileSync(join(folder, "notes.tmp"), "an operator's own");
    expect(open().endpoint(RECORD.id)).to.deep.equal(RECORD);
    expect(readdirSync(folder).sort()).to.deep.equal([`endpoint-${RECORD.id}.json`, "notes.tmp"]);
  });

  it("are put aside, not believed and not lost, when a byte of them has changed", () => {
    open().putEndpoint(RECORD);
    const bytes = readFileSync(file());
    fc.assert(
      fc.property(fc.nat(bytes.length - 2), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ change : byte));
        writeFileSync(file(), damaged);
        const found = open().endpoint(RECORD.id);
        if (found !== undefined) expect(found).to.deep.equal(RECORD);
        else expect(readFileSync(`${file()}.damaged`)).to.deep.equal(Buffer.from(damaged));
      }),
      { numRuns: 200 },
    );
  });

  it("of another version are put aside with a reason", () => {
    writeFileSync(file(), JSON.stringify({ version: 2, sha256: "", content: RECORD }));
    expect(open().endpoints()).to.deep.equal([]);
    expect(problems.join()).to.include("version 2 is not 1");
    expect(readdirSync(folder)).to.deep.equal([`endpoint-${RECORD.id}.json.damaged`]);
  });
});
