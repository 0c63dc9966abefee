import { expect } from "chai";
import { leftovers } from "../support/peer-leftovers.ts";
import { Machine, PLUGIN_PATH } from "../support/peer-machine.ts";
import { describePeer, PLUGINS } from "../support/peer-needs.ts";

const CONTAINERS = 500;
const AT_ONCE = 32;

const CONFIG = {
  cniVersion: "1.0.0",
  name: "crowd",
  type: "bridge",
  bridge: "crowd0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", ranges: [[{ subnet: "10.78.0.0/22" }]], routes: [{ dst: "0.0.0.0/0" }] },
};

/** What one process answered. */
interface Answer {
  readonly container: string;
  readonly code: number;
  readonly stdout: string;
}

/** Calls the plugin once for each container, every call a process of its own, {@link AT_ONCE} at a time. */
async function callForAll(machine: Machine, command: string): Promise<Answer[]> {
  await machine.write("/run/test/config", JSON.stringify(CONFIG));
  await machine.write(
    "/run/test/call",
    `export CNI_COMMAND=${command} CNI_CONTAINERID=$1 CNI_NETNS=/run/netns/$1 CNI_IFNAME=eth0 CNI_PATH=${PLUGIN_PATH}
     ${PLUGIN_PATH}/bridge </run/test/config >/run/test/$1.out 2>/dev/null
     echo $? >/run/test/$1.code`,
  );
  await machine.script(
    `seq -f 'c%g' ${CONTAINERS} | xargs -P ${AT_ONCE} -I '{}' sh /run/test/call '{}'
     for c in $(seq -f 'c%g' ${CONTAINERS}); do
       echo "$c $(cat /run/test/$c.code) $(tr -d '\\n' </run/test/$c.out)"
     done >/run/test/answers`,
    { timeoutMs: 240_000 },
  );
  const lines = ((await machine.read("/run/test/answers")) ?? "").trim().split("\n");
  return lines.map((line) => {
    const [, container = "", code = "", stdout = ""] = /^(\S+) (\d+) (.*)$/.exec(line) ?? [];
    return { container, code: Number(code), stdout };
  });
}

function addressOf({ stdout }: Answer): string {
  const result: { ips: { address: string }[] } = JSON.parse(stdout);
  return result.ips[0]?.address ?? "none";
}

describePeer(`${CONTAINERS} containers at once`, { programs: ["xargs", "seq"] }, function () {
  this.timeout(600_000);
  let machine: Machine;
  let added: Answer[];

  before(async () => {
    machine = await Machine.start(PLUGINS);
    await machine.script(`for c in $(seq -f 'c%g' ${CONTAINERS}); do ip netns add $c; done`, { timeoutMs: 240_000 });
    added = await callForAll(machine, "ADD");
  });

  after(async () => {
    await machine?.stop();
  });

  it("are all added", () => {
    expect(added.filter(({ code }) => code !== 0)).to.deep.equal([]);
    expect(added.length).to.equal(CONTAINERS);
  });

  it("each get an address that nobody else has", () => {
    expect(new Set(added.map(addressOf)).size).to.equal(CONTAINERS);
  });

  it("carry the address that they were told, with a lease that names them", async () => {
    const text = await machine.script(
      `for c in $(seq -f 'c%g' ${CONTAINERS}); do
         a=$(ip -n $c -4 -o address show dev eth0 | awk '{print $4}')
         echo "$c $a $(head -n 1 "/var/lib/cni/networks/crowd/\${a%/*}" | tr -d '\\r')"
       done`,
      { timeoutMs: 240_000 },
    );
    const expected = added.map((answer) => `${answer.container} ${addressOf(answer)} ${answer.container}`);
    expect(text.trim().split("\n")).to.deep.equal(expected);
  });

  it("leave nothing when all are deleted at once", async () => {
    const deleted = await callForAll(machine, "DEL");
    expect(deleted.filter(({ code }) => code !== 0)).to.deep.equal([]);
    const marks = added.flatMap((answer) => [answer.container, addressOf(answer).replace(/\/.*/, "")]);
    expect(await leftovers(machine, marks)).to.deep.equal([]);
  });
});
