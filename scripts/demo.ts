import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { controlGroupsOf, dockerProblem, withImage } from "./demo-docker.ts";
import { showVip } from "./demo-vip.ts";

// The main job on this machine, in half a minute: three hosts that find each other and get their subnets from a leader,
// containers on each, also Docker's where there is Docker, traffic between them, and nothing left afterwards. Every
// step checks what came of it; the first that fails says what to look at, takes the hosts down and ends with status 1.
// Needs root and dist/dcos-net.

const EXECUTABLE = join(import.meta.dir, "../dist/dcos-net");
const LAB = `demo-${process.pid}`;
const LAB_DIR = "/run/dcos-net/lab";
const STEP_LIMIT_MS = 30_000;
const TRANSFER_BYTES = 10_000_000;
const REPAIR_LIMIT_MS = 5000;
const ENVIRONMENT = { PATH: process.env["PATH"] ?? "", DCOS_NET_LAB_DIR: LAB_DIR };
/** Names that the lab gives to links in its own namespaces; none may turn up in the machine's. */
const LAB_LINKS = /^(?:vtep1024|[md]-dcos|spartan|underlay|n[123])$/;
/** What the web container is called in the cluster. */
const WEB_NAME = "web.lab.containerip.dcos.thisdcos.directory";
const DOCKER_IMAGE = "busybox:demo";

/** The part of `lab status --json` that the demo reads. */
interface Status {
  readonly nodes: readonly {
    readonly name: string;
    readonly repairs: number;
    readonly agent: { readonly pid: number };
    readonly tunnel?: { readonly receivedBytes: number; readonly receivedPackets: number };
  }[];
  readonly containers: readonly {
    readonly name: string;
    readonly pid: number;
    readonly addresses: readonly string[];
  }[];
}

interface Finished {
  readonly status: number;
  readonly output: string;
}

/** A step that didn't come out as it should. */
class StepFailed extends Error {}

/** What runs now, so that Ctrl-C ends it. */
let running: Bun.Subprocess | undefined;
let interrupted = false;

function say(text: string): void {
  console.log(`\n== ${text}`);
}

async function run(args: readonly string[], shown: boolean): Promise<Finished> {
  if (interrupted) throw new StepFailed("interrupted");
  if (shown) console.log(`$ dcos-net ${args.join(" ")}`);
  const child = Bun.spawn([EXECUTABLE, ...args], {
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: STEP_LIMIT_MS,
    // Ctrl-C goes to the whole group of the terminal; what it means for a step is for the demo to decide.
    detached: true,
  });
  running = child;
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const output = `${stderr}${stdout}`.trimEnd();
  if (shown && output !== "") console.log(output.replaceAll(/^/gm, "  "));
  return { status, output };
}

/** Runs a step, and fails unless it succeeds and its output has `wanted`. */
async function step(args: readonly string[], wanted: RegExp): Promise<string> {
  const { status, output } = await run(args, true);
  if (status !== 0) throw new StepFailed(`it ended with status ${status}`);
  if (!wanted.test(output)) throw new StepFailed(`the output should have had ${wanted}`);
  return output;
}

const lab = (verb: string, ...args: string[]) => ["lab", verb, "--lab", LAB, ...args];
const inside = (container: string, ...command: string[]) => lab("exec", "--name", container, "--", ...command);
const fetch = (...args: string[]) => ["dcos-net", "lab", "fetch", ...args];

async function status(): Promise<Status> {
  const { status: code, output } = await run(lab("status", "--json"), false);
  if (code !== 0) throw new StepFailed(`lab status says: ${output}`);
  return JSON.parse(output) as Status;
}

function addressOf(of: Status, container: string, family: 4 | 6): string {
  const addresses = of.containers.find(({ name }) => name === container)?.addresses ?? [];
  const found = addresses.find((address) => address.includes(":") === (family === 6));
  if (found === undefined) throw new StepFailed(`container ${container} has no IPv${family} address`);
  return found;
}

async function show(): Promise<Status> {
  const problem = dockerProblem();
  say("Three hosts on this machine, each a network namespace with its own agent; they start knowing one address");
  await step(lab("up", "--nodes", "3", ...(problem === undefined ? ["--docker"] : [])), /is up$/);

  say("The members that host 2 has found by gossip, and the subnets that the leader, on host 1, gave out");
  const config = ["--config", join(LAB_DIR, LAB, "n2", "config.json")];
  const onHost2 = (...command: string[]) => lab("exec", "--node", "2", "--", "dcos-net", ...config, ...command);
  await step(onHost2("node", "ls"), /n1[\s\S]*n2[\s\S]*n3/);
  await step(onHost2("overlay", "peers"), /9\.0\.\d\.0\/24[\s\S]*9\.0\.\d\.0\/24/);

  say("A container on each host, attached by our CNI plugin");
  const web = ["--node", "1", "--name", "web", "--publish", "8080:80"];
  await step(lab("run", ...web, "--", "dcos-net", "lab", "serve", "--port", "80"), /^web runs on n1 at /m);
  await step(lab("run", "--node", "2", "--name", "client", "--", "sleep", "1h"), /^client runs on n2 at /m);
  await step(lab("run", "--node", "3", "--name", "other", "--", "sleep", "1h"), /^other runs on n3 at /m);

  say("Their addresses, and how the agents are doing");
  await step(lab("status"), /running/);
  const made = await status();
  const [web4, web6] = [addressOf(made, "web", 4), addressOf(made, "web", 6)];

  say("The client on host 2 pings the web container on host 1, over IPv4 and IPv6");
  await step(inside("client", "ping", "-c", "3", "-i", "0.2", web4), / 0% packet loss/);
  await step(inside("client", "ping", "-c", "3", "-i", "0.2", web6), / 0% packet loss/);

  say("It speaks HTTP with it; the server sees the client's own address");
  const [client4, client6] = [addressOf(made, "client", 4), addressOf(made, "client", 6)];
  await step(
    inside("client", ...fetch("--wait", "5", `http://${web4}/`)),
    new RegExp(`^200 [\\s\\S]*client ${client4}$`),
  );
  await step(inside("client", ...fetch(`http://[${web6}]/`)), new RegExp(`^200 [\\s\\S]*client ${client6}$`));

  say("It finds the web container by name: the DNS server of its own host answers, and says why");
  const byName = inside("client", ...fetch("--resolver", "198.51.100.1", `http://${WEB_NAME}/`));
  await step(byName, new RegExp(`^200 [\\s\\S]*client ${client4}$`));
  await step(onHost2("dns", "query", WEB_NAME), new RegExp(`${web4}[\\s\\S]*task web of lab.*fact of n1`));

  say("10 MB from host 1 to host 2, through the tunnel");
  const before = await status();
  const url = `http://${web4}/bytes/${TRANSFER_BYTES}`;
  await step(inside("client", ...fetch(url)), new RegExp(`^200 {2}${TRANSFER_BYTES} bytes .* MB/s$`));
  checkTunnel(before, await status());

  say("Port 8080 of host 1 leads to the web container: asked from host 3, over IPv4 and IPv6");
  await step(lab("exec", "--node", "3", "--", ...fetch("http://10.77.0.1:8080/")), /^200 .*\nweb\n/);
  await step(lab("exec", "--node", "3", "--", ...fetch("http://[fd77::1]:8080/")), /^200 .*\nweb\n/);

  await showVip({
    ...{ executable: EXECUTABLE, environment: ENVIRONMENT, limitMs: STEP_LIMIT_MS, say, run, step, lab, inside, fetch },
    fail(reason) {
      throw new StepFailed(reason);
    },
  });

  say("Somebody deletes the tunnel device of host 3: the agent puts it back");
  await showRepair(web4);

  if (problem === undefined) await showDocker(web4, web6);
  else say(`No Docker container is shown: ${problem}`);
  return status();
}

/** A container of host 3's own Docker engine, on the network that the agent made there. */
async function showDocker(web4: string, web6: string): Promise<void> {
  say("Each host has a Docker engine of its own; the agent of host 3 has made a Docker network of the overlay there");
  const docker = (...args: string[]) => lab("exec", "--node", "3", "--", "docker", ...args);
  await step(docker("network", "ls"), /\bdcos +dcos +local/);
  const { status, output } = await withImage((tar) => run(docker("import", tar, DOCKER_IMAGE), false));
  if (status !== 0) throw new StepFailed(`the image was refused: ${output}`);

  say("A Docker container on it, with a port of the host");
  const serve = ["sh", "-c", "mkdir /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www"];
  const options = ["--name", "shop", "--hostname", "shop", "--network", "dcos", "--publish", "8081:80"];
  await step(docker("run", "--detach", ...options, DOCKER_IMAGE, ...serve), /^[0-9a-f]{64}$/m);
  const format = "{{.NetworkSettings.Networks.dcos.IPAddress}} {{.NetworkSettings.Networks.dcos.GlobalIPv6Address}}";
  const addresses = await step(docker("inspect", "--format", format, "shop"), /^9\.\S+ fd01:\S+$/m);
  const [shop4 = "", shop6 = ""] = addresses.split(" ");

  say("CNI's client on host 2 asks it, and it asks CNI's web container on host 1, over IPv4 and IPv6");
  await step(inside("client", ...fetch("--wait", "5", `http://${shop4}/`)), /^200 [\s\S]*\nshop$/);
  await step(inside("client", ...fetch(`http://[${shop6}]/`)), /^200 [\s\S]*\nshop$/);
  await step(docker("exec", "shop", "wget", "-qO-", `http://${web4}/`), new RegExp(`^client ${shop4}$`, "m"));
  await step(docker("exec", "shop", "wget", "-qO-", `http://[${web6}]/`), new RegExp(`^client ${shop6}$`, "m"));

  say("Docker's own resolver in the container asks the DNS server of host 3 for the name of the web container");
  await step(
    docker("exec", "shop", "nslookup", "-type=a", WEB_NAME, "127.0.0.11"),
    new RegExp(`Address: ${web4}$`, "m"),
  );

  say("Port 8081 of host 3 leads to it: asked from host 1");
  await step(lab("exec", "--node", "1", "--", ...fetch("http://10.77.0.3:8081/")), /^200 [\s\S]*\nshop$/);
}

function checkTunnel(before: Status, after: Status): void {
  const counters = (of: Status) => of.nodes.find(({ name }) => name === "n2")?.tunnel;
  const packets = (counters(after)?.receivedPackets ?? 0) - (counters(before)?.receivedPackets ?? 0);
  const bytes = (counters(after)?.receivedBytes ?? 0) - (counters(before)?.receivedBytes ?? 0);
  console.log(`  the tunnel device vtep1024 of host 2 received ${packets} packets, ${bytes} bytes meanwhile`);
  if (bytes < TRANSFER_BYTES) throw new StepFailed("the bytes did not come through the tunnel");
}

async function showRepair(web4: string): Promise<void> {
  const start = performance.now();
  await step(lab("exec", "--node", "3", "--", "ip", "link", "delete", "vtep1024"), /^$/);
  while (((await status()).nodes.find(({ name }) => name === "n3")?.repairs ?? 0) === 0) {
    if (performance.now() - start > REPAIR_LIMIT_MS) throw new StepFailed("it was not repaired within 5 s");
    await Bun.sleep(50);
  }
  console.log(`  repaired ${Math.round(performance.now() - start)} ms after`);
  await step(inside("other", ...fetch(`http://${web4}/`)), /^200 /);
}

/** Takes the lab down, if it is there. True when that succeeded. */
async function down(): Promise<boolean> {
  if (!existsSync(join(LAB_DIR, LAB))) return true;
  interrupted = false;
  return (await run(lab("down"), true)).status === 0;
}

/** Looks for anything that the lab left on the machine. */
function leftovers(made: Status): string[] {
  const pids = [...made.nodes.map(({ agent }) => agent.pid), ...made.containers.map(({ pid }) => pid)];
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return [
    ...pids.filter((pid) => namespaces.get(pid) === namespaceOf(pid)).map((pid) => `process ${pid}`),
    ...mounts.filter((line) => line.includes(`/${LAB}/`)).map((line) => `mount ${line.split(" ")[4]}`),
    ...(existsSync(join(LAB_DIR, LAB)) ? [join(LAB_DIR, LAB)] : []),
    ...controlGroupsOf(LAB).map((name) => `control group ${name}`),
    ...ownLinks().filter((name) => LAB_LINKS.test(name) && !linksBefore.includes(name)),
  ];
}

/** The namespace of each process of the lab while it was up: tells it from a later process of the same number. */
const namespaces = new Map<number, string | undefined>();
const linksBefore = ownLinks();

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function ownLinks(): string[] {
  return readdirSync("/sys/class/net");
}

async function demo(): Promise<number> {
  const start = performance.now();
  let made: Status;
  try {
    made = await show();
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    if (interrupted) {
      console.error("\nInterrupted.");
      return 130;
    }
    console.error(`\nFAILED: ${error.message}`);
    console.error(
      `The logs of the agents were in ${LAB_DIR}/${LAB}/<host>/agent.log, those of the plugins beside them;`,
    );
    console.error(
      "bring the hosts up by hand (make lab-up) and repeat the step to see more. `dcos-net preflight` tells",
    );
    console.error("what this machine lacks.");
    return 1;
  }
  say("Everything is taken down");
  for (const pid of [...made.nodes.map(({ agent }) => agent.pid), ...made.containers.map((each) => each.pid)]) {
    namespaces.set(pid, namespaceOf(pid));
  }
  if (!(await down())) return 1;
  const left = leftovers(made);
  if (left.length > 0) {
    console.error(`FAILED: this was left behind: ${left.join(", ")}`);
    return 1;
  }
  console.log("  nothing is left: no process, no namespace, no mount, no control group, no link, no file");
  console.log(`\nThe demo took ${((performance.now() - start) / 1000).toFixed(1)} s.`);
  return 0;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    interrupted = true;
    running?.kill("SIGTERM");
  });
}
if (process.getuid?.() !== 0) {
  console.error("The demo makes network namespaces, which needs root: sudo make demo");
  process.exit(1);
}
try {
  process.exitCode = await demo();
} finally {
  await down();
}
