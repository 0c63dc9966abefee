import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const JARS = ["zookeeper", "slf4j-api", "slf4j-nop"].map((name) => `/usr/share/java/${name}.jar`);
const MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/** True when Debian's packages `zookeeper` and a Java runtime are there. */
export function hasZooKeeper(): boolean {
  return existsSync(JARS[0] ?? "") && Bun.which("java") !== null;
}

/** A real ZooKeeper server on loopback with a data directory of its own. */
export class ZooKeeperServer {
  readonly port: number;
  readonly #directory: string;
  #process: Bun.Subprocess | undefined;

  private constructor(port: number) {
    this.port = port;
    this.#directory = mkdtempSync(join(tmpdir(), "dcos-net-zookeeper-"));
    const settings = [
      "tickTime=500",
      `dataDir=${join(this.#directory, "data")}`,
      `clientPort=${port}`,
      "clientPortAddress=127.0.0.1",
      "admin.enableServer=false",
    ];
    writeFileSync(join(this.#directory, "zoo.cfg"), `${settings.join("\n")}\n`);
  }

  static async create(): Promise<ZooKeeperServer> {
    const server = new ZooKeeperServer(await freePort());
    await server.start();
    return server;
  }

  /** Starts it (again), with the data that it had; resolves when it takes connections. */
  async start(): Promise<void> {
    this.#process = Bun.spawn(["java", "-Xmx64m", "-cp", JARS.join(":"), MAIN, join(this.#directory, "zoo.cfg")], {
      stdout: "ignore",
      stderr: "ignore",
    });
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await accepts(this.port)) return;
      await Bun.sleep(100);
    }
    throw new Error("ZooKeeper didn't start within 20 s");
  }

  /** Kills it, as a crash does. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
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
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
