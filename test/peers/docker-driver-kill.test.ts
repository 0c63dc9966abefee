import { expect } from "chai";
import { type LifeCall, lifeOf, RECORDED, type Release } from "../support/docker-life.ts";
import { DockerNode, lines } from "../support/docker-node.ts";
import { describePeer } from "../support/peer-needs.ts";
import { randomNumbers } from "../support/peer-random.ts";

/** Node n1's half of the overlay. */
const PLACE = { v4: "9.0.0", v6: "fd01:b::8000:0" };
const KILLS_WITHIN = 40;
/** A call takes about so long, seconds. */
const CALL_SECONDS = 0.03;

const MAKE_NAMESPACE = "ip netns add box";
/** What Docker does with the link that Join names. */
const MOVE_IN = `
  ip link set vconeeeeeeeeeee netns box name eth0
  ip -n box address add 9.0.0.130/25 dev eth0
  ip -n box address add fd01:b::8000:0:2/81 dev eth0 nodad
  ip -n box link set eth0 up
  ip -n box route add default via 9.0.0.129
  ip -n box route add default via fd01:b::8000:0:1
`;
/** And what when the container ends, between Leave and DeleteEndpoint. */
const MOVE_OUT = `
  ip -n box link set eth0 down
  ip -n box link set eth0 netns 1 name vconeeeeeeeeeee
  ip netns delete box
`;

/** What is done to the agent before, during or after a call. */
type Disturb = (index: number, call: () => Promise<string>) => Promise<string>;

describePeer("the agent killed while Docker calls it", { programs: ["curl", "ping"] }, function () {
  this.timeout(300_000);
  const random = randomNumbers();
  let node: DockerNode;
  let undisturbed: string;

  before(async () => {
    node = await DockerNode.start();
    undisturbed = await live(20, (_index, call) => call());
    expect(undisturbed)
      .to.include("master d-dcos")
      .and.include("8080")
      .and.match(/true,true$/);
    await expectNothing("undisturbed");
  });
  after(() => node?.stop());

  /** What there is of the container in the kernel, in files and for its peers. */
  async function container(): Promise<string> {
    const links = await node.machine.script(`
      ip -o -d link show vetheeeeeeeeeee | grep -oE 'mtu [0-9]+|master [^ ]+|hairpin o[nf]+|isolated o[nf]+|alias.*'
      ip -n box -o -d link show eth0 | grep -oE 'mtu [0-9]+|ether [^ ]+'
      nft list ruleset | grep -E 'comment "[^"]*docker' | tr -s ' \\t'
      cat /var/lib/leases-n1/dcos.docker/9.0.0.130 | wc -l
      ls /var/lib/leases-n1/dcos.docker /var/lib/leases-n1/dcos.docker6 /var/lib/dcos-net/docker
    `);
    const reached = await Promise.all(["9.0.1.1", "fd01:b::1:0:0:1"].map((peer) => ping(peer)));
    return `${links}${reached.join()}`;
  }

  const ping = async (peer: string) =>
    (await node.machine.run(["ip", "netns", "exec", "box", "ping", "-c", "1", "-W", "2", peer])).code === 0;

  /** Plays the recorded life with `disturb` around every call; gives what there was of the container before it left. */
  async function live(release: Release, disturb: Disturb): Promise<string> {
    let seen = "";
    const early = release >= 28;
    // Addresses are given in turn; each life is to get the first.
    await node.machine.script("rm -rf /var/lib/leases-n1/dcos.docker*");
    for (const [index, life] of lifeOf(PLACE, release).entries()) {
      const [method, , expected] = life;
      if (method === "NetworkDriver.RevokeExternalConnectivity") seen = await container();
      if (method === "NetworkDriver.Join" && early) await node.machine.script(MAKE_NAMESPACE);
      const reply = await disturb(index, () => node.call(method, bodyOf(life)));
      expect(JSON.parse(reply), method).to.deep.equal(expected);
      if (method === "NetworkDriver.Join") await node.machine.script(early ? MOVE_IN : MAKE_NAMESPACE + MOVE_IN);
      if (method === "NetworkDriver.Leave") await node.machine.script(MOVE_OUT);
    }
    return seen;
  }

  async function expectNothing(what: string): Promise<void> {
    expect(await node.leftovers(), what).to.deep.equal([]);
    expect(lines(await node.machine.script("ls /var/lib/dcos-net/docker")), what).to.deep.equal([]);
    expect((await node.machine.run(["ip", "link", "show", "d-dcos"])).code, what).to.equal(1);
  }

  for (const release of RECORDED) {
    it(`goes on after SIGKILL between any two calls of Docker ${release}`, async () => {
      const calls = lifeOf(PLACE, release).length;
      // Half of the moments with each release, so that all of them are met.
      for (let kill = release === 20 ? 0 : 1; kill < calls; kill += 2) {
        const seen = await live(release, async (index, call) => {
          const reply = await call();
          if (index === kill) await restart();
          return reply;
        });
        const what = `killed after call ${kill} of ${calls}`;
        expect(seen, what).to.equal(undisturbed);
        await expectNothing(what);
      }
    });
  }

  it(`leaves nothing when it is killed within calls, ${KILLS_WITHIN} times, and Docker repeats them`, async () => {
    let within = 0;
    const methods = lifeOf(PLACE, 28).map(([method]) => method);
    for (let kills = 0; kills < KILLS_WITHIN; ) {
      const seen = await live(28, async (index, call) => {
        // An address that nobody heard of is found by its age only.
        if (methods[index] === "IpamDriver.RequestAddress" || random.next() < 0.5) return call();
        kills++;
        const pending = call();
        await Bun.sleep(random.next() * CALL_SECONDS * 1000);
        await restart();
        if ((await pending) === "") within++;
        return call();
      });
      expect(seen, `seed ${random.seed}`).to.equal(undisturbed);
      await expectNothing(`seed ${random.seed}`);
    }
    expect(within, "calls that were not answered").to.be.greaterThan(0);
  });

  async function restart(): Promise<void> {
    await node.killAgent();
    await node.startAgent();
  }
});

/** Every call but those without a body. */
function bodyOf([, body]: LifeCall): object | string {
  return body ?? "";
}
