import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerDriver } from "../../cnm-driver/driver.ts";
import type { DockerOverlay } from "../../cnm-driver/overlay.ts";
import { openPluginSocket, type PluginSocket } from "../../cnm-driver/socket.ts";
import { type FakeKernel, openFake } from "../../kernel/fake.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";

const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** This node's part of the overlays in tests: one of both families, one of IPv4 only. */
export const OVERLAYS: readonly DockerOverlay[] = [
  {
    name: "dcos",
    bridge: "d-dcos",
    cniBridge: "m-dcos",
    mtu: 1420,
    pools: [
      { pool: parsePrefix("9.0.1.128/25"), gateway: parseIp("9.0.1.129"), range: parsePrefix("9.0.0.0/8") },
      {
        pool: parsePrefix("fd01:b::1:8000:0:0/81"),
        gateway: parseIp("fd01:b::1:8000:0:1"),
        range: parsePrefix("fd01:b::/64"),
      },
    ],
    inside: [parsePrefix("9.0.0.0/8"), parsePrefix("10.64.0.0/16"), parsePrefix("fd01:b::/64")],
  },
  {
    name: "small",
    bridge: "d-small",
    cniBridge: "m-small",
    mtu: 1420,
    pools: [{ pool: parsePrefix("10.64.1.4/30"), gateway: parseIp("10.64.1.5"), range: parsePrefix("10.64.0.0/16") }],
    inside: [parsePrefix("9.0.0.0/8"), parsePrefix("10.64.0.0/16"), parsePrefix("fd01:b::/64")],
  },
];

/** What a call was answered. */
export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The plugin on a real socket, with a kernel in memory and files in a directory of its own. */
export class DockerPlugin {
  readonly kernel: FakeKernel = openFake();
  readonly folder = mkdtempSync(join(tmpdir(), "docker-plugin-"));
  readonly path = join(this.folder, "dcos.sock");
  #driver: DockerDriver = this.#newDriver();
  #socket: PluginSocket | undefined;

  static async open(overlays: readonly DockerOverlay[] | undefined = OVERLAYS): Promise<DockerPlugin> {
    const plugin = new DockerPlugin();
    await plugin.#listen();
    if (overlays !== undefined) plugin.driver.overlays.set(overlays);
    return plugin;
  }

  get driver(): DockerDriver {
    return this.#driver;
  }

  /** As after SIGKILL: a new process reads what the old one has written down. */
  async restart(): Promise<void> {
    await this.#socket?.close();
    this.#driver = this.#newDriver();
    this.#driver.overlays.set(OVERLAYS);
    await this.#listen();
  }

  /** POSTs as Docker does: no content type, and no body at all where there is none. */
  async call(method: string, body?: object | string): Promise<Reply> {
    const response = await fetch(`http://plugin.moby.localhost/${method}`, {
      method: "POST",
      unix: this.path,
      headers: { Accept: "application/vnd.docker.plugins.v1.2+json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Reply["body"] };
  }

  /** Every file below the plugin's directory but its socket, with its content. */
  state(): string {
    const names = [...new Bun.Glob("**/*").scanSync({ cwd: this.folder, dot: true })].filter(
      (name) => !name.endsWith(".sock") && !name.endsWith("/lock") && !name.includes(".dcos-net/"),
    );
    const content = (name: string) => new TextDecoder().decode(linuxFiles.read(join(this.folder, name)));
    return names
      .sort()
      .map((name) => `${name}: ${content(name)}`)
      .join("\n");
  }

  async close(): Promise<void> {
    await this.#socket?.close();
    rmSync(this.folder, { recursive: true });
  }

  async #listen(): Promise<void> {
    this.#socket = openPluginSocket(this.path, (method, text) => this.#driver.answer(method, text));
  }

  #newDriver(): DockerDriver {
    return new DockerDriver({
      kernel: this.kernel,
      files: linuxFiles,
      clock: systemClock,
      log: QUIET,
      stateDir: join(this.folder, "state"),
      dataDir: join(this.folder, "leases"),
      bootId: "boot",
    });
  }
}
