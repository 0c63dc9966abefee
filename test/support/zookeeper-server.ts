import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

/** Debian's package `zookeeper` puts its class path here. */
const JAR = "/usr/share/java/zookeeper.jar";
const READY_MS = 30_000;
const ANSWER_MS = 1000;

/** Why no ZooKeeper can be started here; undefined when one can. */
export function zooKeeperProblem(): string | undefined {
  if (!existsSync(JAR)) return "the Debian package zookeeper is not installed";
  return Bun.which("java") === null ? "there is no java" : undefined;
}

/** A real ZooKeeper server on loopback with a directory of its own, started by hand. */
export class ZooKeeperServer {
  readonly port: number;
  readonly #directory = mkdtempSync(join(tmpdir(), "dcos-net-zookeeper-"));
  #process: Bun.Subprocess | undefined;

  private constructor(port: number, tickMs: number) {
    this.port = port;
    const lines = [
      `tickTime=${tickMs}`,
      `dataDir=${this.#directory}`,
      "clientPortAddress=127.0.0.1",
      `clientPort=${port}`,
      "admin.enableServer=false",
      "4lw.commands.whitelist=srvr",
    ];
    writeFileSync(join(this.#directory, "zoo.cfg"), `${lines.join("\n")}\n`);
  }

  /** A server that serves. It grants sessions of 2 to 20 ticks. */
  static async create(tickMs: number): Promise<ZooKeeperServer> {
    const server = new ZooKeeperServer(await freePort(), tickMs);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.remove();
      throw error;
    }
  }

  /** Starts the program on what the directory holds, and waits until it serves. */
  async start(): Promise<void> {
    this.#process = Bun.spawn({
      cmd: [
        ...["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", `${this.#directory}:${JAR}`],
        ...["org.apache.zookeeper.server.quorum.QuorumPeerMain", join(this.#directory, "zoo.cfg")],
      ],
      stdout: "ignore",
      stderr: "ignore",
    });
    const until = performance.now() + READY_MS;
    while (!(await this.#serves())) {
      if (performance.now() > until || this.#process.exitCode !== null) throw new Error("ZooKeeper did not start");
      await Bun.sleep(100);
    }
  }

  /** Ends the program at once, as a crash does. Its directory stays. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    this.#process = undefined;
  }

  /** Stops it from answering while its connections stay open, and lets it go on. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The command `srvr` is answered with more than a line only when the server serves. */
  async #serves(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let text = "";
    const socket = connect(this.port, "127.0.0.1", () => socket.write("srvr"));
    socket.on("data", (data) => {
      text += data.toString();
    });
    // A server that is only just starting may take a connection and forget it.
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("error", () => resolve(""));
    socket.on("close", () => resolve(text));
    return (await promise).includes("Mode:");
  }
}
