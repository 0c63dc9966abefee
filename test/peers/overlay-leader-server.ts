import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** Debian's package `zookeeper` puts its class path here. */
const JAR = "/usr/share/java/zookeeper.jar";
const READY_MS = 30_000;

/** Why no ZooKeeper can be started here; undefined when one can. */
export function zooKeeperProblem(): string | undefined {
  if (!existsSync(JAR)) return "the Debian package zookeeper is not installed";
  return Bun.which("java") === null ? "there is no java" : undefined;
}

/** A ZooKeeper server on loopback with a directory of its own, started by hand. */
export class ZooKeeperServer {
  readonly port: number;
  readonly #directory = mkdtempSync(join(tmpdir(), "dcos-net-zookeeper-"));
  #process: Bun.Subprocess | undefined;

  private constructor(port: number) {
    this.port = port;
    const lines = [
      "tickTime=250",
      `dataDir=${this.#directory}`,
      "clientPortAddress=127.0.0.1",
      `clientPort=${port}`,
      "admin.enableServer=false",
      "4lw.commands.whitelist=srvr",
    ];
    writeFileSync(join(this.#directory, "zoo.cfg"), `${lines.join("\n")}\n`);
  }

  static async start(): Promise<ZooKeeperServer> {
    const server = new ZooKeeperServer(await freePort());
    try {
      await server.run();
      return server;
    } catch (error) {
      await server.remove();
      throw error;
    }
  }

  /** Starts the program on what the directory holds, and waits until it serves. */
  async run(): Promise<void> {
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
      await pause(100);
    }
  }

  /** Ends the program at once, as a crash does. Its directory stays. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    this.#process = undefined;
  }

  /** Stops and continues the program's execution: connections stay open, and nobody answers. */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#process?.kill(name);
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
    socket.on("error", () => resolve(""));
    socket.on("close", () => resolve(text));
    return (await promise).includes("Mode:");
  }
}

/** A way to the server that can be cut. */
export class Cable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async to(target: number): Promise<Cable> {
    const port = await freePort();
    const server = createServer();
    const cable = new Cable(server, port);
    server.on("connection", (socket) => cable.#accept(socket, target));
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(port, "127.0.0.1", resolve);
    await promise;
    return cable;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  remove(): void {
    this.cut();
    this.#server.close();
  }

  #accept(socket: Socket, target: number): void {
    if (this.#cut) {
      socket.destroy();
      return;
    }
    const other = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      this.#sockets.add(from);
      from.on("data", (data) => to.write(data));
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<number>();
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    resolve(typeof address === "object" && address !== null ? address.port : 0);
  });
  const port = await promise;
  server.close();
  return port;
}
