import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import type { EndpointRecord, NetworkRecord } from "./record.ts";

const VERSION = 1;
/** Largest record, bytes. */
const RECORD_LIMIT = 1 << 20;
const ID = /^[0-9a-f]{64}$/;
const HALF_WRITTEN = /^(?:network|endpoint)-[0-9a-f]{64}\.json\.\d+\.tmp$/;
const text = new TextDecoder();

/** Networks and endpoints by Docker's id, in memory and on disk: one file for each, replaced as a whole, with a version
 *  and a checksum. A file that can't be believed is told of, put aside as `<file>.damaged`, and not counted. Only one
 *  process at a time may have a directory. */
export class DockerStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #log: Log;
  readonly #networks: Map<string, NetworkRecord>;
  readonly #endpoints: Map<string, EndpointRecord>;

  /** Reads everything below `directory`, making it when it is missing. */
  constructor(files: Files, directory: string, log: Log) {
    this.#files = files;
    this.#directory = directory;
    this.#log = log;
    files.makeDirectory(directory, 0o700);
    const names = files.list(directory);
    // A process that was killed while it replaced a record.
    for (const name of names) if (HALF_WRITTEN.test(name)) files.remove(`${directory}/${name}`);
    this.#networks = this.#load<NetworkRecord>("network", names);
    this.#endpoints = this.#load<EndpointRecord>("endpoint", names);
  }

  network(id: string): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  networks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  putNetwork(record: NetworkRecord): void {
    this.#write("network", record.id, record);
    this.#networks.set(record.id, record);
  }

  removeNetwork(id: string): void {
    this.#networks.delete(id);
    this.#files.remove(this.#path("network", id));
  }

  endpoint(id: string): EndpointRecord | undefined {
    return this.#endpoints.get(id);
  }

  endpoints(network?: string): readonly EndpointRecord[] {
    const all = [...this.#endpoints.values()];
    return network === undefined ? all : all.filter((endpoint) => endpoint.network === network);
  }

  putEndpoint(record: EndpointRecord): void {
    this.#write("endpoint", record.id, record);
    this.#endpoints.set(record.id, record);
  }

  removeEndpoint(id: string): void {
    this.#endpoints.delete(id);
    this.#files.remove(this.#path("endpoint", id));
  }

  #path(kind: string, id: string): string {
    return `${this.#directory}/${kind}-${id}.json`;
  }

  #write(kind: string, id: string, content: object): void {
    const envelope = { version: VERSION, sha256: checksum(content), content };
    this.#files.replace(this.#path(kind, id), `${JSON.stringify(envelope)}\n`);
  }

  #load<T extends { readonly id: string }>(kind: string, names: readonly string[]): Map<string, T> {
    const records = new Map<string, T>();
    for (const name of names) {
      const id = name.slice(kind.length + 1, -".json".length);
      if (name !== `${kind}-${id}.json` || !ID.test(id)) continue;
      const record = this.#read<T>(name, id);
      if (record !== undefined) records.set(id, record);
    }
    return records;
  }

  #read<T extends { readonly id: string }>(name: string, id: string): T | undefined {
    const path = `${this.#directory}/${name}`;
    const bytes = this.#files.read(path, RECORD_LIMIT);
    if (bytes === undefined) return undefined;
    try {
      return decode<T>(text.decode(bytes), path, id);
    } catch (error) {
      this.#log.error("Docker record put aside", { path, problem: messageOf(error) });
      this.#files.replace(`${path}.damaged`, bytes);
      this.#files.remove(path);
      return undefined;
    }
  }
}

/** What passes the checksum is what we wrote, so its shape needs no second look. */
function decode<T extends { readonly id: string }>(json: string, path: string, id: string): T {
  const refuse = (said: string) => new NetError("io", { tried: `read ${path}`, said });
  const envelope = JSON.parse(json) as { version?: unknown; sha256?: unknown; content?: T } | null;
  const content = envelope?.content;
  if (envelope?.version !== VERSION) throw refuse(`version ${JSON.stringify(envelope?.version)} is not ${VERSION}`);
  if (content === undefined || envelope.sha256 !== checksum(content)) throw refuse("the checksum doesn't fit");
  if (content.id !== id) throw refuse(`it is of ${content.id}`);
  return content;
}

function checksum(content: object): string {
  return Bun.CryptoHasher.hash("sha256", JSON.stringify(content), "hex");
}
