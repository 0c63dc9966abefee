import { expect } from "chai";
import fc from "fast-check";
import { firstAddress, type VipPool } from "../../../l4lb/address.ts";
import { AddressBook } from "../../../l4lb/address-book.ts";
import { formatIp, offsetIp, parseIp } from "../../../lib/address.ts";

const POOL: VipPool = { min: parseIp("11.0.0.0"), max: parseIp("11.0.0.15") };
const NAMES = ["a", "b", "c", "d", "e", "f"] as const;
const OWNERS = ["n1", "n2", "n3"] as const;

const claim = (owner: string, name: string, address: string, since: number, reachable = true) => ({
  ...{ owner, name, address: parseIp(address), since, reachable },
});

function addressOf(book: AddressBook, name: string): string | undefined {
  book.settle();
  const standing = book.standing(name);
  return standing && formatIp(standing.address);
}

const name = fc.constantFrom(...NAMES);
const owner = fc.constantFrom(...OWNERS);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ do: fc.constant("claim" as const), owner, name },
      address: fc.integer({ min: 0, max: 17 }).map((number) => parseIp(`11.0.0.${number}`)),
      since: fc.integer({ min: 0, max: 5 }),
      reachable: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant("withdraw" as const), owner, name }),
  fc.record({ do: fc.constantFrom("want" as const, "unwant" as const), name }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(book: AddressBook, step: Step): void {
  if (step.do === "claim") book.claim(step);
  else if (step.do === "withdraw") book.withdraw(step.owner, step.name);
  else book[step.do](step.name);
}

describe("the address book", function () {
  this.timeout(20_000);

  it("gives a name the address of its hash until somebody claims another for it", () => {
    const book = new AddressBook(POOL);
    book.want("a");
    expect(addressOf(book, "a")).to.equal(formatIp(firstAddress("a", POOL)));
    book.claim(claim("n1", "a", "11.0.0.3", 10));
    expect(addressOf(book, "a")).to.equal("11.0.0.3");
    book.withdraw("n1", "a");
    expect(addressOf(book, "a")).to.equal(formatIp(firstAddress("a", POOL)));
  });

  it("lets the earlier of two claims to one address win, and the other name go elsewhere", () => {
    const book = new AddressBook(POOL);
    for (const name of ["a", "b"]) book.want(name);
    book.claim(claim("n1", "a", "11.0.0.3", 20));
    book.claim(claim("n2", "b", "11.0.0.3", 10));
    expect(addressOf(book, "b")).to.equal("11.0.0.3");
    expect(addressOf(book, "a")).not.to.be.oneOf(["11.0.0.3", undefined]);
  });

  it("gives a name that lost its earliest claim the next that nobody had before", () => {
    const book = new AddressBook(POOL);
    for (const name of ["a", "b"]) book.want(name);
    book.claim(claim("n1", "b", "11.0.0.3", 5));
    book.claim(claim("n1", "a", "11.0.0.3", 10));
    book.claim(claim("n2", "a", "11.0.0.4", 30));
    expect([addressOf(book, "a"), addressOf(book, "b")]).to.deep.equal(["11.0.0.4", "11.0.0.3"]);
  });

  it("believes those who can be reached, and those who can't when there are no others", () => {
    const book = new AddressBook(POOL);
    book.want("a");
    book.claim(claim("n1", "a", "11.0.0.3", 5, false));
    expect(addressOf(book, "a")).to.equal("11.0.0.3");
    book.claim(claim("n2", "a", "11.0.0.4", 30));
    expect(addressOf(book, "a")).to.equal("11.0.0.4");
  });

  it("keeps names without claim off addresses of virtual IPs that have no name, and leaves claims there", () => {
    const book = new AddressBook(POOL);
    const first = firstAddress("a", POOL);
    book.take(first);
    book.want("a");
    expect(addressOf(book, "a")).to.equal(formatIp(offsetIp(first, 1) ?? first));
    book.claim(claim("n1", "a", formatIp(first), 5));
    expect(addressOf(book, "a")).to.equal(formatIp(first));
  });

  it("takes no claim from outside the pool", () => {
    const book = new AddressBook(POOL);
    book.want("a");
    book.claim(claim("n1", "a", "10.0.0.1", 5));
    expect(addressOf(book, "a")).to.equal(formatIp(firstAddress("a", POOL)));
  });

  it("is the same whatever happened before, and tells of every name that changed", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), fc.integer(), (steps, seed) => {
        const book = new AddressBook(POOL);
        const told = new Map<string, string | undefined>();
        const last = new Map<string, Step>();
        for (const each of steps) {
          take(book, each);
          last.set("owner" in each ? `${each.owner} ${each.name}` : each.name, each);
          for (const name of book.settle()) told.set(name, text(book, name));
        }
        const anew = new AddressBook(POOL);
        const shuffled = fc.shuffledSubarray([...last.values()], { minLength: last.size });
        for (const each of fc.sample(shuffled, { numRuns: 1, seed })[0] ?? []) take(anew, each);
        anew.settle();
        for (const name of NAMES) {
          expect(text(book, name)).to.equal(text(anew, name));
          expect(told.get(name)).to.equal(text(book, name));
        }
        const addresses = NAMES.flatMap((name) => book.standing(name)?.address.value ?? []);
        expect(new Set(addresses).size).to.equal(addresses.length);
      }),
      { numRuns: 1000 },
    );
  });
});

function text(book: AddressBook, name: string): string | undefined {
  const standing = book.standing(name);
  return standing && `${formatIp(standing.address)} ${standing.since}`;
}
