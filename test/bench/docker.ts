import { type DockerEngine, NEWER_DOCKER, newerDockerMissing, DOCKER as ON_PATH } from "../support/docker-engines.ts";
import { DockerNode, IMAGE } from "../support/docker-node.ts";
import { type Benchmark, type Compared, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

const CONTAINERS = 16;
const AT_ONCE = 8;
const POLL_MS = 1;
const PROGRAMS = ["containerd", "runc", "busybox", "curl"];

/** Our Docker networks beside those of Docker's own bridge driver, like with like: IPv6 alone costs the engine as much
 *  as everything else of a container. And how soon a new agent answers Docker. */
export const DOCKER = benchmark("docker", ON_PATH, () =>
  ON_PATH.release === 0 ? "not installed: dockerd" : undefined,
);

/** The same with the newer Docker that scripts/install-docker fetches. */
export const DOCKER_NEWER = benchmark("docker-newer", NEWER_DOCKER, newerDockerMissing);

function benchmark(name: string, engine: DockerEngine, missing: () => string | undefined): Benchmark {
  return {
    name,
    runs: 8,
    whyNot: () => {
      if (process.getuid?.() !== 0) return "needs root";
      const programs = PROGRAMS.filter((program) => Bun.which(program) === null);
      return programs.length === 0 ? missing() : `not installed: ${programs.join(", ")}`;
    },
    run: async (runs) => {
      const node = await DockerNode.start({ engine });
      try {
        await node.until("the networks are there", async () => (await node.docker("network", "ls")).includes("closed"));
        await node.docker("network", "create", "plain");
        await node.docker("network", "create", "--ipv6", "--subnet", "fd99::/64", "plain6");
        const started = await startTimes(node, runs);
        return [
          await compare(node, runs, `IPv4, ${engine.name}`, "closed", "plain"),
          await compare(node, runs, `IPv4+6, ${engine.name}`, "dcos", "plain6"),
          { name: "agent started, first answer to Docker", ours: summarise(started), budget: { most: 200 } },
        ];
      } finally {
        await node.stop();
      }
    },
  };
}

async function compare(node: DockerNode, runs: number, what: string, ours: string, theirs: string): Promise<Compared> {
  const times = await paired(
    runs,
    () => containerTime(node, ours),
    () => containerTime(node, theirs),
  );
  return {
    name: `docker run --rm, ${AT_ONCE} at once, ${what}`,
    reference: "Docker's bridge driver",
    ours: summarise(times.ours),
    theirs: summarise(times.theirs),
    budget: { ratio: 1.1 },
  };
}

/** Milliseconds for each container. */
async function containerTime(node: DockerNode, network: string): Promise<number> {
  const run = `docker -H unix:///run/docker.sock run --rm --network ${network} ${IMAGE} busybox true`;
  const start = performance.now();
  await node.machine.script(`seq ${CONTAINERS} | xargs -P ${AT_ONCE} -I N ${run}`, { timeoutMs: 120_000 });
  return (performance.now() - start) / CONTAINERS;
}

async function startTimes(node: DockerNode, runs: number): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    await node.killAgent();
    const start = performance.now();
    const starting = node.startAgent();
    while (!(await node.answers())) await Bun.sleep(POLL_MS);
    times.push(performance.now() - start);
    await starting;
  }
  return times;
}
