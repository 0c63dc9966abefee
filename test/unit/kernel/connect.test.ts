import { expect } from "chai";
import { beginConnect, type Connecting } from "../../../kernel/connect.ts";
import { parseIp } from "../../../lib/address.ts";

async function outcomeOf(connecting: Connecting): Promise<string> {
  try {
    for (;;) {
      const outcome = connecting.outcome();
      if (outcome !== undefined) return outcome;
      await Bun.sleep(1);
    }
  } finally {
    connecting.close();
  }
}

describe("a connection that is tried", () => {
  for (const address of ["127.0.0.1", "::1"]) {
    it(`stands where somebody listens, and is refused where nobody does, at ${address}`, async () => {
      const server = Bun.listen({ hostname: address, port: 0, socket: { data() {} } });
      const { port } = server;
      expect(await outcomeOf(beginConnect(parseIp(address), port))).to.equal("connected");
      server.stop(true);
      expect(await outcomeOf(beginConnect(parseIp(address), port))).to.equal("ECONNREFUSED");
    });
  }

  it("fails at once with the kernel's word where there is no way", async () => {
    expect(await outcomeOf(beginConnect(parseIp("255.255.255.255"), 80))).to.match(/^E[A-Z]+$/);
  });
});
