import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describePeer } from "./peer-needs.ts";

/** Where scripts/install-docker puts a newer Docker, and the reason why it couldn't. */
const NEWER = fileURLToPath(new URL("../../.cache/docker", import.meta.url));
const NEWER_MISSING = `${NEWER}-missing`;
/** What runs the containers of either engine. */
const BESIDE = ["containerd", "runc", "busybox"];

/** A Docker to test with. */
export interface DockerEngine {
  /** `Docker 20`; without a number when there is none. */
  readonly name: string;
  /** Number of the release: 20 is 20.10; 0 when there is none. */
  readonly release: number;
  /** Where its programs are. They come first on the PATH of a machine. */
  readonly directories: readonly string[];
}

/** The Docker on PATH. */
export const DOCKER = engineIn(
  ["dockerd", "docker"].flatMap((program) => {
    const path = Bun.which(program);
    return path === null ? [] : [dirname(path)];
  }),
);

/** The one that scripts/install-docker has fetched. */
export const NEWER_DOCKER = engineIn(["usr/sbin", "usr/bin"].map((directory) => join(NEWER, directory)));

/** Why {@link NEWER_DOCKER} isn't there; undefined when it is. */
export function newerDockerMissing(): string | undefined {
  if (NEWER_DOCKER.release > 0) return undefined;
  const reason = existsSync(NEWER_MISSING) ? readFileSync(NEWER_MISSING, "utf8").trim() : "run scripts/install-docker";
  return `no newer Docker: ${reason}`;
}

/** A suite for the Docker on PATH that needs these programs beside it. */
export function describeDocker(
  title: string,
  programs: readonly string[],
  body: (this: Mocha.Suite, engine: DockerEngine) => void,
): void {
  describePeer(`${title} (${DOCKER.name})`, { programs: ["dockerd", "docker", ...BESIDE, ...programs] }, function () {
    body.call(this, DOCKER);
  });
}

/** The same suite twice: for the Docker on PATH, and for {@link NEWER_DOCKER}, without which it is skipped. */
export function describeDockers(
  title: string,
  programs: readonly string[],
  body: (this: Mocha.Suite, engine: DockerEngine) => void,
): void {
  describeDocker(title, programs, body);
  const needs = { programs: [...BESIDE, ...programs], unavailable: newerDockerMissing() };
  describePeer(`${title} (newer: ${NEWER_DOCKER.name})`, needs, function () {
    body.call(this, NEWER_DOCKER);
  });
}

function engineIn(directories: readonly string[]): DockerEngine {
  const dockerd = Bun.which("dockerd", { PATH: directories.join(":") });
  const said = dockerd === null ? "" : Bun.spawnSync([dockerd, "--version"]).stdout.toString();
  const release = Number(/^Docker version (\d+)\./.exec(said)?.[1] ?? 0);
  return { name: release === 0 ? "Docker" : `Docker ${release}`, release, directories };
}
