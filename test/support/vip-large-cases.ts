import { expect } from "chai";
import { compareBackends, type Scheduler, type Service } from "../../l4lb/service.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import type { VipWorld } from "./vip-behaviour.ts";
import type { VipHarness } from "./vip-harness.ts";
import { ADDRESS } from "./vip-network.ts";
import { service } from "./vip-services.ts";

const VIP = { address: "11.0.0.1", port: 80 } as const;
const NAME = "tcp 11.0.0.1:80";
/** The machine behind the node has all of these addresses, and one program that listens on all of them. */
const BACKENDS = { prefix: "10.99.0.0/16", count: 6000, port: 8081 } as const;
const EXTRA = "10.99.255.1";
const ASKED = 300;
const TABLE_LOCAL = 255;

const ALL = Array.from({ length: BACKENDS.count }, (_, index) => `10.99.${index >> 8}.${index & 255}`);

/** Cases about a service with thousands of backends. */
export function largeCases(current: () => VipWorld, { balances }: VipHarness): void {
  const schedulers = (["wlc", "mh"] as const).filter((each) => (balances?.[each] ?? BACKENDS.count) >= BACKENDS.count);

  describe("with 6,000 backends", () => {
    before(async () => {
      const { network, peers } = current();
      const dst = parsePrefix(BACKENDS.prefix);
      network.far.apply([{ do: "route.add", route: { dst, dev: "lo", table: TABLE_LOCAL, local: true } }]);
      network.node.apply([{ do: "route.add", route: { dst, gateway: parseIp(ADDRESS[4].far[0]) } }]);
      await peers.far.serve({ protocol: "tcp", address: "0.0.0.0", port: BACKENDS.port });
    });

    for (const scheduler of schedulers) {
      it(`one ends its connections when it goes, keeps them while it drains, and has others when it is back (${scheduler})`, async () => {
        const { peers, want } = current();
        want(large(ALL, scheduler));
        const connection = await peers.client.open("tcp", VIP);
        const [own = ""] = connection.greeting.split(" ");
        expect(ALL).to.include(own);
        want(large(ALL, scheduler, { [own]: 0 }));
        expect(await connection.say("drained")).to.equal(`${own} drained`);
        expect(await peers.client.ask(VIP, 20)).not.to.have.property(own);
        want(
          large(
            ALL.filter((each) => each !== own),
            scheduler,
          ),
        );
        expect(await connection.say("gone")).to.equal("closed");
        await connection.close();
        want(large(ALL, scheduler));
        const again = await peers.client.greeting(VIP);
        expect(ALL).to.include(again.split(" ")[0]);
      });
    }

    it("connections are spread over all of them, and one more gets all when the others drain", async () => {
      const { peers, want } = current();
      want(large(ALL, "wlc"));
      const heard = Object.keys(await peers.client.ask(VIP, ASKED));
      expect(ALL).to.include.members(heard);
      // Of 300 backends drawn at random from 6,000 some 293 are different ones.
      expect(heard.length).to.be.greaterThan(ASKED * 0.9);
      const drained = Object.fromEntries(ALL.map((address) => [address, 0]));
      want(large([...ALL, EXTRA], "wlc", drained));
      expect(await peers.client.ask(VIP, 20)).to.deep.equal({ [EXTRA]: 20 });
    });
  });
}

function large(
  addresses: readonly string[],
  scheduler: Scheduler,
  weights: Readonly<Record<string, number>> = {},
): Service {
  const backends = addresses.map((address) => ({
    ip: parseIp(address),
    port: BACKENDS.port,
    weight: weights[address] ?? 1,
  }));
  return { ...service(NAME, [], { scheduler }), backends: backends.sort(compareBackends) };
}
