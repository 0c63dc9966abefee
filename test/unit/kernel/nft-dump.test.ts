import { expect } from "chai";
import type { Message, Netlink, Request } from "../../../kernel/netlink.ts";
import { readElements } from "../../../kernel/nft-dump.ts";
import { fieldTypesNamed } from "../../../kernel/nft-fields.ts";

const KEY = fieldTypesNamed("ipv4_addr") ?? [];

function attribute(type: number, payload: readonly number[]): number[] {
  return [4 + payload.length, 0, type, 0, ...payload];
}

/** One message of a dump: nfgenmsg, then the list of elements, each with its key. */
function answer(...keys: readonly (readonly number[])[]): Message {
  const elements = keys.flatMap((key) => attribute(1, attribute(1, attribute(1, key))));
  return { type: 0, flags: 0, sequence: 0, payload: Uint8Array.from([0, 0, 0, 0, ...attribute(3, elements)]) };
}

describe("the elements of a set", () => {
  it("come once each, though the kernel's dump came by some twice", () => {
    const answers = [answer([10, 0, 0, 1], [10, 0, 0, 2]), answer([10, 0, 0, 2], [10, 0, 0, 3])];
    const socket = {
      dump: <T>(_request: Request, decode: (message: Message) => T) => answers.map(decode),
    } as unknown as Netlink;
    const elements = readElements(socket, "inet", "t", "s", { key: KEY, data: undefined });
    expect(elements.map(({ key }) => key.join())).to.deep.equal(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  });
});
