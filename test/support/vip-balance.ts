import { expect } from "chai";
import type { Scheduler } from "../../l4lb/service.ts";
import type { VipWorld } from "./vip-behaviour.ts";
import { ADDRESS } from "./vip-network.ts";
import { service } from "./vip-services.ts";

const [FIRST, SECOND, THIRD] = ADDRESS[4].far;
const VIP = { address: "11.0.0.1", port: 80 } as const;
const NAME = "tcp 11.0.0.1:80";

/** Cases about the choice among backends. */
export function balanceCases(current: () => VipWorld): void {
  for (const scheduler of ["wlc", "rr"] as const) {
    it(`connections are spread by weight (${scheduler})`, async () => {
      const { peers, want } = current();
      want(
        service(
          NAME,
          [
            [FIRST, 1],
            [SECOND, 2],
            [THIRD, 3],
          ],
          { scheduler },
        ),
      );
      const heard = await peers.client.ask(VIP, 600);
      expectShares(heard, { [FIRST]: 1 / 6, [SECOND]: 2 / 6, [THIRD]: 3 / 6 });
    });
  }

  it("great and odd weights keep their proportion", async () => {
    const { peers, want } = current();
    // A port of its own: what counts connections also counts those of the cases before.
    want(
      service("tcp 11.0.0.1:8190", [
        [FIRST, 65_535],
        [SECOND, 13_107],
        [THIRD, 1],
      ]),
    );
    const heard = await peers.node.ask({ ...VIP, port: 8190 }, 300);
    const few = heard[THIRD] ?? 0;
    expect(few).to.be.lessThan(10);
    expectShares({ [FIRST]: heard[FIRST] ?? 0, [SECOND]: heard[SECOND] ?? 0 }, { [FIRST]: 5 / 6, [SECOND]: 1 / 6 });
  });

  it("a change of weights holds for the next connections", async () => {
    const { peers, want } = current();
    const options = { scheduler: "rr" } as const;
    want(
      service(
        NAME,
        [
          [FIRST, 1],
          [SECOND, 1],
        ],
        options,
      ),
    );
    expectShares(await peers.client.ask(VIP, 200), { [FIRST]: 1 / 2, [SECOND]: 1 / 2 });
    want(
      service(
        NAME,
        [
          [FIRST, 1],
          [SECOND, 9],
        ],
        options,
      ),
    );
    expectShares(await peers.client.ask(VIP, 200), { [FIRST]: 1 / 10, [SECOND]: 9 / 10 });
  });

  for (const scheduler of ["sh", "mh"] as const) {
    it(`a client keeps its backend as long as the backends stay, and moves when its own goes (${scheduler})`, () =>
      keepsBackend(current(), { scheduler }));
  }

  for (const scheduler of ["wlc", "rr"] as const) {
    it(`with affinity a client keeps its backend, and moves when that goes or takes no more (${scheduler})`, () =>
      keepsBackend(current(), { scheduler, affinity: 300 }));
  }

  it("affinity holds for UDP and IPv6", async () => {
    const { peers, want } = current();
    const { far } = ADDRESS[6];
    want(service("udp [fd11::1]:53", far, { affinity: 300 }));
    const where = { address: "fd11::1", port: 53 };
    const answers = new Set<string>();
    for (let times = 0; times < 20; times++) answers.add((await peers.client.askUdp(where)).split(" ")[0] ?? "");
    expect([...answers]).to.have.length(1);
    expect(far).to.include([...answers][0]);
  });

  it("affinity of one service says nothing of another", async () => {
    const { peers, want } = current();
    const names = Array.from({ length: 12 }, (_, index) => `tcp 11.0.0.1:${2000 + index}`);
    want(...names.map((name) => service(name, [FIRST, SECOND, THIRD], { affinity: 300 })));
    const chosen = new Set<string>();
    for (let port = 2000; port < 2012; port++) {
      const heard = await peers.client.ask({ address: "11.0.0.1", port }, 4);
      expect(Object.values(heard), `port ${port}`).to.deep.equal([4]);
      chosen.add(Object.keys(heard)[0] ?? "");
    }
    // All twelve on one of three backends by chance: once in 177,147 runs.
    expect(chosen.size).to.be.greaterThan(1);
  });
}

async function keepsBackend(
  { peers, want }: VipWorld,
  options: { readonly scheduler: Scheduler; readonly affinity?: number },
): Promise<void> {
  const all = [FIRST, SECOND, THIRD];
  want(service(NAME, all, options));
  const own = await onlyServer(peers.client.ask(VIP, 30));
  expect(all).to.include(own);
  const others = all.filter((each) => each !== own);
  want(service(NAME, [...others, [own, 0]], options));
  const second = await onlyServer(peers.client.ask(VIP, 30));
  expect(others).to.include(second);
  const last = others.filter((each) => each !== second);
  want(service(NAME, last, options));
  expect(await onlyServer(peers.client.ask(VIP, 10))).to.equal(last[0]);
}

async function onlyServer(asked: Promise<Record<string, number>>): Promise<string> {
  const servers = Object.keys(await asked);
  expect(servers, "one backend answers all").to.have.length(1);
  return servers[0] ?? "";
}

/** Expects these shares of all answers, within five standard deviations of a random choice. */
function expectShares(heard: Readonly<Record<string, number>>, shares: Readonly<Record<string, number>>): void {
  expect(Object.keys(heard).sort()).to.deep.equal(Object.keys(shares).sort());
  const total = Object.values(heard).reduce((sum, count) => sum + count, 0);
  for (const [server, share] of Object.entries(shares)) {
    const deviation = Math.sqrt(total * share * (1 - share));
    expect(heard[server], `${server} of ${total}`).to.be.closeTo(total * share, 5 * deviation);
  }
}
