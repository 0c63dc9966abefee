import { expect } from "chai";
import { attachment, invoke } from "../support/peer-cni.ts";
import { leftovers, ruleset } from "../support/peer-leftovers.ts";
import { Machine, PLUGIN_PATH } from "../support/peer-machine.ts";
import { describePeer, PLUGINS } from "../support/peer-needs.ts";
import { randomNumbers } from "../support/peer-random.ts";

const KILLS = 200;
const PLUGIN = "dcos";

const CONFIG = {
  cniVersion: "1.1.0",
  name: "crash",
  type: PLUGIN,
  bridge: "crash0",
  isGateway: true,
  ipMasq: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.79.0.0/24" }], [{ subnet: "fd79::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
  runtimeConfig: {
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 5353, containerPort: 53, protocol: "udp" },
    ],
  },
};

/** What the rule set says about a container of this network. */
const MARKS = ["8080", "5353", ...Array.from({ length: 253 }, (_, host) => `10.79.0.${host + 2}`)];

describePeer("a plugin killed at a random moment", { beyondReference: "keep what a kill leaves" }, function () {
  this.timeout(300_000);
  const random = randomNumbers();
  let machine: Machine;
  let empty: string;

  beforeEach(async () => {
    machine = await Machine.start(PLUGINS);
    await machine.must(["ip", "netns", "add", "box"]);
    await call("ADD", "first");
    await call("DEL", "first");
    empty = await ruleset(machine);
  });

  afterEach(async () => {
    await machine?.stop();
  });

  const variables = (command: string, id: string) => ({ ...attachment(command, "box"), CNI_CONTAINERID: id });

  const call = async (command: string, id: string, extra: object = {}) => {
    const { code, stdout } = await invoke(machine, {
      plugin: PLUGIN,
      env: variables(command, id),
      stdin: { ...CONFIG, ...extra },
    });
    if (code !== 0) throw new Error(`${command} ${id} ended with ${code}: ${stdout}`);
  };

  /** Runs one call under `timeout`, which sends SIGKILL after `seconds`; true when that ended it. */
  const killed = async (command: string, id: string, seconds: number) => {
    const { code } = await machine.run(
      ["timeout", "--signal", "KILL", seconds.toFixed(6), `${PLUGIN_PATH}/${PLUGIN}`],
      { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...variables(command, id) }, stdin: JSON.stringify(CONFIG) },
    );
    return code === 137;
  };

  /** Seconds that a whole call takes, the median of several, timed inside the machine as {@link killed} counts; with
   *  them the moments of kills begin (see {@link nextWhole}). */
  const duration = async (command: string, before: string | undefined, after: string | undefined) => {
    await machine.write("/run/test/config", JSON.stringify(CONFIG));
    const all: number[] = [];
    for (let round = 0; round < 9; round++) {
      if (before !== undefined) await call(before, "timed");
      const seconds = await machine.script(
        `t=$EPOCHREALTIME; ${PLUGIN_PATH}/${PLUGIN} </run/test/config >/dev/null; u=$EPOCHREALTIME
         awk "BEGIN { print $u - $t }"`,
        { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...variables(command, "timed") } },
      );
      if (after !== undefined) await call(after, "timed");
      all.push(Number(seconds));
    }
    return all.sort((a, b) => a - b)[4] ?? 0;
  };

  const expectNothing = async (what: string) => {
    expect(await leftovers(machine, MARKS), what).to.deep.equal([]);
    expect(await ruleset(machine), what).to.equal(empty);
    expect(await machine.must(["ip", "-n", "box", "-o", "link", "show", "type", "veth"]), what).to.equal("");
  };

  it(`leaves nothing after DEL or GC, at ${KILLS} moments of ADD`, async () => {
    let whole = await duration("ADD", undefined, "DEL");
    let kills = 0;
    for (let round = 0; round < KILLS; round++) {
      const [id, seconds] = [`add${round}`, random.next() * whole];
      const isKilled = await killed("ADD", id, seconds);
      if (isKilled) kills++;
      if (round % 2 === 0) await call("DEL", id);
      else await call("GC", id, { "cni.dev/valid-attachments": [] });
      await expectNothing(`seed ${random.seed}, ADD ${round} killed after ${seconds} s of ${whole}`);
      whole = nextWhole(whole, seconds, isKilled);
    }
    expect(kills, "calls that were really killed").to.be.greaterThan(KILLS / 4);
  });

  it(`leaves nothing after another DEL, at ${KILLS} moments of DEL`, async () => {
    let whole = await duration("DEL", "ADD", undefined);
    let kills = 0;
    for (let round = 0; round < KILLS; round++) {
      const [id, seconds] = [`del${round}`, random.next() * whole];
      await call("ADD", id);
      const isKilled = await killed("DEL", id, seconds);
      if (isKilled) kills++;
      await call("DEL", id);
      await expectNothing(`seed ${random.seed}, DEL ${round} killed after ${seconds} s of ${whole}`);
      whole = nextWhole(whole, seconds, isKilled);
    }
    expect(kills, "calls that were really killed").to.be.greaterThan(KILLS / 4);
  });
});

/** How long a call seems to take, after one that had so many seconds: what ended before it was killed takes less, and
 *  the machine may have become slower meanwhile. */
function nextWhole(whole: number, seconds: number, isKilled: boolean): number {
  return isKilled ? whole * 1.02 : Math.max(seconds, whole / 2);
}
