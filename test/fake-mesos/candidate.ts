import { ACL, type Client, CreateMode, createClient, Id, Permission } from "node-zookeeper-client";

/** A Mesos master as ZooKeeper sees it: a session with an ephemeral znode that tells where the master is. */
export class Candidate {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Registers the master at `base` below `path`; `label` is `json.info_`, or an older one. With `auth`
   *  (`user:password`) only that user may read it. */
  static async join(
    port: number,
    path: string,
    base: string,
    { label = "json.info_", auth }: { readonly label?: string; readonly auth?: string } = {},
  ): Promise<Candidate> {
    const client = await connected(port, auth);
    const readers = auth === undefined ? new Id("world", "anyone") : new Id("auth", "");
    const acls = [new ACL(Permission.ALL, readers)];
    await called<string>((done) => client.mkdirp(path, acls, CreateMode.PERSISTENT, done));
    const data = Buffer.from(JSON.stringify(masterInfo(base)));
    await called<string>((done) =>
      client.create(`${path}/${label}`, data, acls, CreateMode.EPHEMERAL_SEQUENTIAL, done),
    );
    return new Candidate(client);
  }

  /** Forgets about a session whose server died; it ends by itself when that is back. */
  abandon(): void {
    this.#client.close();
  }

  /** The master is gone: its session ends, and with it its znode. */
  async leave(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#client.once("disconnected", resolve));
    this.#client.close();
    await Promise.race([closed, Bun.sleep(LONGEST_CLOSE_MS)]);
  }
}

const LONGEST_CLOSE_MS = 3_000;
const LONGEST_CONNECT_MS = 3_000;

/** A connected client; each attempt gets a new one, because under Bun the library doesn't try again by itself. */
async function connected(port: number, auth: string | undefined): Promise<Client> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const client = createClient(`127.0.0.1:${port}`, { sessionTimeout: 4_000, spinDelay: 100, retries: 0 });
    const ready = new Promise<boolean>((resolve) => client.once("connected", () => resolve(true)));
    if (auth !== undefined) client.addAuthInfo("digest", Buffer.from(auth));
    client.connect();
    if (await Promise.race([ready, Bun.sleep(LONGEST_CONNECT_MS).then(() => false)])) return client;
    client.close();
  }
  throw new Error(`no connection to ZooKeeper on port ${port}`);
}

function called<T>(start: (done: (error: unknown, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}

/** MasterInfo as a master writes it; `ip` is in network order, which nobody should use. */
function masterInfo(base: string): unknown {
  const { hostname, port } = new URL(base);
  return {
    address: { hostname: "name.that.does.not.resolve.invalid", ip: hostname, port: Number(port) },
    hostname: "name.that.does.not.resolve.invalid",
    id: crypto.randomUUID(),
    ip: 16_777_343,
    pid: `master@${hostname}:${port}`,
    port: Number(port),
    version: "1.12.0",
  };
}
