import { expect } from "chai";
import { allocate, release } from "../../../ipam/allocate.ts";
import { collectGarbage } from "../../../ipam/gc.ts";
import type { LeaseStore } from "../../../ipam/store.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import type { Files } from "../../../lib/files.ts";
import { addresses, makeScratch, rangeSets, type Scratch } from "../../support/ipam-scratch.ts";

const sets = rangeSets(["10.0.0.0/29"]);
const eth0 = (id: string) => ({ id, ifname: "eth0" });

/** Files of a process that dies in its `last`th file operation: after it, or, when it writes, also between creating the
 *  file and writing to it. A dead process does nothing more; its lock goes with it. */
function dyingFiles(last: number, halfWritten: boolean): { files: Files; died: () => boolean } {
  let calls = 0;
  let dead = false;
  const until = <A extends readonly unknown[], R>(operation: (...args: A) => R, half: (...args: A) => void) => {
    return (...args: A): R => {
      if (dead) throw new Error("dead");
      dead = ++calls === last;
      if (!dead) return operation(...args);
      if (halfWritten) half(...args);
      else operation(...args);
      throw new Error("died");
    };
  };
  const plain = <A extends readonly unknown[], R>(operation: (...args: A) => R) =>
    until(operation, (...args) => void operation(...args));
  const writing = (operation: (path: string, content: string | Uint8Array, mode?: number) => void) =>
    until(operation, (path, content, mode) => operation(path, content.slice(0, content.length / 2), mode));
  const files: Files = {
    ...linuxFiles,
    read: plain(linuxFiles.read),
    list: plain(linuxFiles.list),
    stat: plain(linuxFiles.stat),
    touch: plain(linuxFiles.touch),
    remove: plain(linuxFiles.remove),
    makeDirectory: plain(linuxFiles.makeDirectory),
    write: writing(linuxFiles.write),
    create: until(linuxFiles.create, (path, _content, mode) => void linuxFiles.create(path, "", mode)),
  };
  return { files, died: () => dead };
}

describe("ipam, when a process dies at any file operation", () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  const steps: Readonly<Record<string, { before: (store: LeaseStore) => void; dying: (store: LeaseStore) => void }>> = {
    "the first allocation of a network": {
      before: () => {},
      dying: (store) => allocate(store, sets, eth0("victim")),
    },
    "an allocation": {
      before: (store) => allocate(store, sets, eth0("present")),
      dying: (store) => allocate(store, sets, eth0("victim")),
    },
    "an allocation of two addresses": {
      before: (store) => allocate(store, sets, eth0("present")),
      dying: (store) => allocate(store, rangeSets(["10.0.0.0/29"], ["10.0.1.0/29"]), eth0("victim")),
    },
    "a release": {
      before: (store) => {
        allocate(store, sets, eth0("present"));
        allocate(store, sets, eth0("victim"));
      },
      dying: (store) => release(store, eth0("victim")),
    },
    "a garbage collection": {
      before: (store) => {
        for (const id of ["victim", "present", "gone"]) allocate(store, sets, eth0(id));
      },
      dying: (store) => collectGarbage(store, [eth0("present")]),
    },
  };

  for (const [what, { before, dying }] of Object.entries(steps)) {
    for (const halfWritten of [false, true]) {
      it(`${halfWritten ? "half way through" : "right after"} it in ${what}, nothing is lost or given twice`, () => {
        let last = 0;
        for (let died = true; died; ) {
          scratch.remove();
          scratch = makeScratch();
          before(scratch.store());
          const process = dyingFiles(++last, halfWritten);
          try {
            dying(scratch.store({ files: process.files }));
          } catch (error) {
            if (!process.died()) throw error;
          }
          died = process.died();
          expectWhole(scratch, last);
        }
        expect(last).to.be.greaterThan(5);
      }).timeout(60_000);
    }
  }

  it("in the first allocation after a reboot, leases of the new boot stay and those of the old one go", () => {
    for (let last = 1, died = true; died; last++) {
      scratch.remove();
      scratch = makeScratch();
      for (const id of ["a", "b"]) allocate(scratch.store(), sets, eth0(id));
      const process = dyingFiles(last, false);
      try {
        allocate(scratch.store({ files: process.files, bootId: "boot-2" }), sets, eth0("a"));
      } catch (error) {
        if (!process.died()) throw error;
      }
      died = process.died();
      const after = scratch.store({ bootId: "boot-2" });
      release(after, eth0("a"));
      const leases = ["c", "d", "e", "f", "g"].flatMap((id) => addresses(allocate(after, sets, eth0(id))));
      expect(new Set(leases).size, `died at operation ${last}`).to.equal(5);
    }
  }).timeout(60_000);
});

/** What the runtime does after a crash (DEL), then every address of the pool given out once and only once. */
function expectWhole(scratch: Scratch, last: number): void {
  const message = `died at operation ${last}`;
  release(scratch.store(), eth0("victim"));
  release(scratch.store(), eth0("gone"));
  const present = Object.values(scratch.leases());
  expect(
    present.every((content) => content === "present\r\neth0"),
    message,
  ).to.equal(true);
  const fresh = Array.from({ length: 5 - present.length }, (_, index) =>
    addresses(allocate(scratch.store(), sets, eth0(`new-${index}`))),
  ).flat();
  expect(new Set(fresh).size, message).to.equal(5 - present.length);
  expect(() => allocate(scratch.store(), sets, eth0("one-too-many")), message).to.throw("no IP addresses available");
  expect(Object.keys(scratch.leases()), message).to.have.length(5);
}
