import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { formatIp, offsetIp, parsePrefix } from "../../lib/address.ts";
import { leftovers, present } from "../support/peer-leftovers.ts";
import { INTERNET, Machine, NODE, PLUGIN_PATH, type Ran } from "../support/peer-machine.ts";
import { callsOfMesos, parseAsMesos, type Recorded } from "../support/peer-mesos.ts";
import { describePeer, PLUGINS, recordingsAt, TESTING_REFERENCE } from "../support/peer-needs.ts";

const RECORDINGS = "mesos-live/plugin-calls";
const CALLS = recordingsAt(RECORDINGS) ?? "";
const LEASES = "/var/lib/mesos/ipam";
const ECHO = fileURLToPath(new URL("../support/peer-echo.ts", import.meta.url));

/** A recording. The reference has no port mapper: what that called stands in its place when the reference is tested. */
function recording(file: string): Recorded[] {
  const calls: Recorded[] = JSON.parse(readFileSync(join(CALLS, file), "utf8"));
  return callsOfMesos(calls.filter((call) => !TESTING_REFERENCE || existsSync(join(PLUGINS, call.plugin))));
}

/** The first recorded call that `wanted` accepts. */
function recorded(file: string, wanted: (call: Recorded) => boolean): Recorded {
  const found = recording(file).find(wanted);
  if (found === undefined) throw new Error(`no such call in ${file}`);
  return found;
}

/** The network configuration that a call carries. */
function networkOf(call: Recorded): { name: string; ipam: { ranges?: { subnet: string }[][]; subnet?: string } } {
  const config = JSON.parse(call.stdin);
  return { name: config.name, ipam: (config.delegate ?? config).ipam };
}

/** A machine laid out as the recorded agent: plugins in its directory, a namespace handle for each recorded
 *  container. */
async function agentMachine(calls: readonly Recorded[]): Promise<Machine> {
  const machine = await Machine.start(PLUGINS);
  await machine.script(`mkdir -p /var/lib/mesos/plugins; mount --rbind ${PLUGIN_PATH} /var/lib/mesos/plugins`);
  const handles = new Set(calls.map((call) => call.env.CNI_NETNS).filter((path) => path !== undefined));
  for (const path of handles)
    await machine.script(`mkdir -p ${path.replace(/\/ns$/, "")}; touch ${path}
    unshare --net=${path} ip link set lo up`);
  return machine;
}

/** Runs a call with exactly the recorded environment and input; `env` changes variables, undefined removes one. */
function replay(machine: Machine, call: Recorded, env: Record<string, string | undefined> = {}): Promise<Ran> {
  const merged = Object.entries({ ...call.env, ...env }).filter((entry): entry is [string, string] => !!entry[1]);
  return machine.run([`/var/lib/mesos/plugins/${call.plugin}`], { env: Object.fromEntries(merged), stdin: call.stdin });
}

/** The same call with another verb or container: what the agent makes of its checkpointed configuration. */
function as(call: Recorded, command: string, id = call.env.CNI_CONTAINERID): Recorded {
  const netns = (call.env.CNI_NETNS ?? "").replace(call.env.CNI_CONTAINERID, id);
  return { ...call, command, env: { ...call.env, CNI_COMMAND: command, CNI_CONTAINERID: id, CNI_NETNS: netns } };
}

/** Marks every network's addresses before its first recorded one as just used, so that a replay allocates as
 *  recorded. */
async function seedLeases(machine: Machine, calls: readonly Recorded[]): Promise<void> {
  const networks = new Set<string>();
  for (const call of calls.filter(({ command, rc }) => command === "ADD" && rc === "0")) {
    const { name } = networkOf(call);
    if (networks.has(name)) continue;
    networks.add(name);
    const { ip4, ip6 } = parseAsMesos(call.stdout);
    for (const [index, address] of [ip4, ip6].entries()) {
      const before = address === undefined ? undefined : offsetIp(parsePrefix(address).ip, -1);
      if (before !== undefined) await machine.write(`${LEASES}/${name}/last_reserved_ip.${index}`, formatIp(before));
    }
  }
}

/** The DELs of containers that were still running when the recording ended. */
function endings(calls: readonly Recorded[]): Recorded[] {
  const same = (a: Recorded, b: Recorded) =>
    a.env.CNI_CONTAINERID === b.env.CNI_CONTAINERID && a.env.CNI_IFNAME === b.env.CNI_IFNAME;
  const running = calls.filter((add) => !calls.some((call) => call.command === "DEL" && same(call, add)));
  return running.map((add) => as(add, "DEL"));
}

/** The namespace handle that a container had at ADD. */
function handleOf(calls: readonly Recorded[], { env }: Recorded): string {
  const add = calls.find((call) => call.command === "ADD" && call.env.CNI_CONTAINERID === env.CNI_CONTAINERID);
  return add?.env.CNI_NETNS ?? "none";
}

function marksOf(calls: readonly Recorded[]): string[] {
  return ["31100", "31300", ...calls.map((call) => call.env.CNI_CONTAINERID)];
}

describePeer("calls recorded on a Mesos agent", { recordings: RECORDINGS, programs: ["flock", "curl"] }, function () {
  this.timeout(180_000);
  let machine: Machine | undefined;

  afterEach(async () => {
    await machine?.stop();
    machine = undefined;
  });

  for (const file of existsSync(CALLS) ? readdirSync(CALLS) : []) {
    it(`are answered as then: ${file}`, async () => {
      const calls = recording(file).filter((call) => call.rc === "0");
      machine = await agentMachine(calls);
      await seedLeases(machine, calls);
      for (const call of [...calls, ...endings(calls)]) {
        // The agent leaves CNI_NETNS out when the namespace handle is gone, as after a reboot.
        if (call.env.CNI_NETNS === undefined) await machine.script(`umount ${handleOf(calls, call)}`);
        const { code, stdout } = await replay(machine, call);
        expect([code, call.command === "DEL" ? stdout : ""], `${call.time} ${call.plugin}: ${stdout}`).to.deep.equal([
          0,
          "",
        ]);
        if (call.command === "ADD") expect(parseAsMesos(stdout)).to.deep.equal(parseAsMesos(call.stdout));
      }
      expect(await leftovers(machine, marksOf(calls), LEASES)).to.deep.equal([]);
    });
  }

  const single = () => recorded("70-clean-single-task.json", (call) => call.command === "ADD");

  it("report a failed ADD as an error that Mesos shows, and DEL cleans up after it", async () => {
    const add = single();
    machine = await agentMachine([add]);
    const nowhere = { CNI_NETNS: "/var/lib/mesos/none/ns" };
    const failed = await replay(machine, add, nowhere);
    expect(failed.code).not.to.equal(0);
    expect(JSON.parse(failed.stdout)).to.include.keys("code", "msg");
    const deleted = await replay(machine, as(add, "DEL"), nowhere);
    expect([deleted.code, deleted.stdout]).to.deep.equal([0, ""]);
    expect(await leftovers(machine, marksOf([add]), LEASES)).to.deep.equal([]);
  });

  it("free everything on a DEL without CNI_NETNS, as after a reboot", async () => {
    const add = single();
    machine = await agentMachine([add]);
    expect((await replay(machine, add)).code).to.equal(0);
    // As a reboot takes the namespace away, and with it both ends of the container's link, a moment later.
    await machine.script(`umount ${add.env.CNI_NETNS}`);
    const deleted = await replay(machine, as(add, "DEL"), { CNI_NETNS: undefined });
    expect([deleted.code, deleted.stdout]).to.deep.equal([0, ""]);
    expect(await leftovers(machine, marksOf([add]), LEASES)).to.deep.equal([]);
  });

  it("accept a DEL before any ADD, however often", async () => {
    const add = single();
    machine = await agentMachine([add]);
    for (let round = 0; round < 2; round++) {
      const { code, stdout } = await replay(machine, as(add, "DEL"));
      expect([code, stdout]).to.deep.equal([0, ""]);
    }
    expect(await leftovers(machine, marksOf([add]), LEASES)).to.deep.equal([]);
  });

  it("keep a nested container connected when its parent goes", async () => {
    const file = "50-nested-and-ipv6.json";
    const nested = recorded(file, (call) => call.command === "ADD" && call.env.CNI_CONTAINERID.includes("."));
    const [parentId = ""] = nested.env.CNI_CONTAINERID.split(".");
    const parent = as(nested, "ADD", parentId);
    machine = await agentMachine([nested, parent]);
    expect((await replay(machine, parent)).code).to.equal(0);
    const { ip4 = "none" } = parseAsMesos((await replay(machine, nested)).stdout);
    expect((await replay(machine, as(parent, "DEL"))).code).to.equal(0);
    const rest = await present(machine, [], LEASES);
    expect(rest.filter((line) => line.startsWith("lease"))).to.deep.equal([
      `lease ${LEASES}/dcos/${ip4.replace(/\/.*/, "")}`,
    ]);
    expect(rest.filter((line) => line.startsWith("link")).length).to.equal(1);
    expect((await replay(machine, as(nested, "DEL"))).code).to.equal(0);
    expect(await leftovers(machine, marksOf([nested, parent]), LEASES)).to.deep.equal([]);
  });

  it("join two networks at the same time and leave them at the same time", async () => {
    const first = single();
    const [subnet, bridge] = ["9.0.4.0/25", "m-second"];
    const config = JSON.parse(first.stdin);
    const stdin = JSON.stringify({ ...config, name: "second", bridge, ipam: { ...config.ipam, subnet, routes: [] } });
    const second = { ...first, stdin, env: { ...first.env, CNI_IFNAME: "eth1" } };
    const calls = [first, second];
    const node = await agentMachine(calls);
    machine = node;
    const added = await Promise.all(calls.map((call) => replay(node, call)));
    expect(added.map(({ stdout }) => parseAsMesos(stdout).ip4)).to.deep.equal(["9.0.1.2/25", "9.0.4.2/25"]);
    const deleted = await Promise.all(calls.map((call) => replay(node, as(call, "DEL"))));
    expect(deleted.map(({ code }) => code)).to.deep.equal([0, 0]);
    expect(await leftovers(node, marksOf(calls), LEASES)).to.deep.equal([]);
  });

  it("leave nothing when DEL comes while ADD still runs", async () => {
    const add = single();
    const node = await agentMachine([add]);
    machine = node;
    // ADD has to wait for the lease directory's lock, which somebody else holds, and so DEL comes while it runs.
    await node.script(`mkdir -p ${LEASES}/dcos`);
    const holder = await node.start(["flock", "--close", `${LEASES}/dcos/lock`, "sh", "-c", "echo held; sleep 30"]);
    const adding = replay(node, add);
    await node.script(
      `until [ "$(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ${LEASES}/dcos/lock)" -ge 2 ]; do sleep 0.02; done`,
    );
    const deleting = replay(node, as(add, "DEL"));
    await pause(300);
    await holder.stop();
    const [deleted] = await Promise.all([deleting, adding]);
    expect(deleted.code).to.equal(0);
    expect(await leftovers(node, marksOf([add]), LEASES)).to.deep.equal([]);
  });

  it("make the port mapper's host ports reach the container from outside", async function () {
    if (TESTING_REFERENCE) return this.skip();
    const add = recorded("10-normal-tasks.json", (call) => call.stdin.includes("31300") && call.command === "ADD");
    machine = await agentMachine([add]);
    const { ip4 = "none" } = parseAsMesos((await replay(machine, add)).stdout);
    const inside = [`nsenter`, `--net=${add.env.CNI_NETNS}`, "--", process.execPath, ECHO];
    await machine.start([...inside, "80", ip4.replace(/\/.*/, "")]);
    const ask = `exec 3<>/dev/tcp/${NODE.v4}/31300; head -n 1 <&3`;
    const seen = await machine.must(["nsenter", "--net=/run/netns/internet", "--", "bash", "-ec", ask]);
    expect(seen.split(" ")[0]).to.equal(INTERNET.v4);
  });
});
