import { expect } from "chai";
import { type ClaimWord, OwnClaims } from "../../../l4lb/own-claims.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";

const KEY = { name: "app.marathon", family: 4 } as const;
const standing = (last: number, since?: number) => ({ address: parseIp(`11.0.0.${last}`), since });
const text = (words: readonly ClaimWord[]): string[] =>
  words.map(({ key, claim }) =>
    claim === undefined ? `take ${key.name}` : `${formatIp(claim.address)} since ${claim.since}`,
  );

describe("the claims of a node", () => {
  it("claim at once the address that nobody claims for a name that it hosts, and repeat nothing", () => {
    const claims = new OwnClaims();
    expect(text(claims.look(KEY, { hosts: false, standing: standing(1) }, 100, 0))).to.deep.equal([]);
    expect(text(claims.look(KEY, { hosts: true, standing: standing(1) }, 100, 0))).to.deep.equal([
      "11.0.0.1 since 100",
    ]);
    expect(text(claims.look(KEY, { hosts: true, standing: standing(1) }, 200, 0))).to.deep.equal([]);
    expect(text(claims.look(KEY, { hosts: true, standing: standing(1, 100) }, 200, 0))).to.deep.equal([]);
  });

  it("join an earlier claim at once, with its date", () => {
    const claims = new OwnClaims();
    claims.look(KEY, { hosts: true, standing: standing(1) }, 100, 0);
    expect(text(claims.look(KEY, { hosts: true, standing: standing(1, 50) }, 200, 0))).to.deep.equal([
      "11.0.0.1 since 50",
    ]);
  });

  it("give an address up only when it has been lost for a while", () => {
    const claims = new OwnClaims();
    claims.look(KEY, { hosts: true, standing: standing(1) }, 100, 0);
    const lost = { hosts: true, standing: standing(2) };
    expect(text(claims.look(KEY, lost, 200, 1000))).to.deep.equal([]);
    expect(claims.unfit()).to.have.length(1);
    claims.look(KEY, { hosts: true, standing: standing(1, 100) }, 300, 2000);
    expect(claims.unfit()).to.deep.equal([]);
    expect(text(claims.look(KEY, lost, 300, 3000))).to.deep.equal([]);
    expect(text(claims.look(KEY, lost, 400, 7999))).to.deep.equal([]);
    expect(text(claims.look(KEY, lost, 500, 8000))).to.deep.equal(["11.0.0.2 since 500"]);
  });

  it("are kept for a minute after the last task, and then taken back", () => {
    const claims = new OwnClaims();
    claims.look(KEY, { hosts: true, standing: standing(1) }, 100, 0);
    const gone = { hosts: false, standing: undefined };
    expect(text(claims.look(KEY, gone, 200, 1000))).to.deep.equal([]);
    expect(text(claims.look(KEY, gone, 200, 60_999))).to.deep.equal([]);
    expect(text(claims.look(KEY, gone, 200, 61_000))).to.deep.equal(["take app.marathon"]);
    expect(claims.unfit()).to.deep.equal([]);
  });

  it("go on from those of the node's former self", () => {
    const claims = new OwnClaims();
    claims.resume([{ ...KEY, address: parseIp("11.0.0.7"), since: 5 }]);
    expect(text(claims.look(KEY, { hosts: true, standing: standing(7, 5) }, 200, 0))).to.deep.equal([]);
    claims.look(KEY, { hosts: false, standing: undefined }, 200, 0);
    expect(text(claims.look(KEY, { hosts: false, standing: undefined }, 200, 60_000))).to.deep.equal([
      "take app.marathon",
    ]);
  });
});
