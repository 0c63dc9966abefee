import { type MesosDnsConfig, shownConfig } from "./config.ts";
import type { MesosRecord, MesosRecords, TaskRecords } from "./records.ts";

/** What the API shows. */
export interface ApiState {
  readonly config: MesosDnsConfig;
  /** Undefined until the first state was read. */
  readonly made: MesosRecords | undefined;
  /** Serial of the SOA record. */
  readonly serial: number;
  readonly version: string;
}

export interface ApiRequest {
  readonly method: string;
  /** Path of the URL as it was sent, still percent-encoded. */
  readonly path: string;
  /** Accept header; empty without. */
  readonly accept: string;
}

export interface ApiReply {
  readonly status: number;
  readonly type: "application/json" | "text/plain; charset=utf-8";
  readonly body: string;
}

/** Clients may look at it to tell whom they talk to. */
const UPSTREAM = "https://github.com/mesosphere/mesos-dns";

/** The HTTP API of Mesos-DNS (docs/http.md): same paths, same JSON, an unknown name is one blank element. Pure. */
export class MesosDnsApi {
  readonly #state: () => ApiState;
  /** Records by type and name in lower case, made anew when the records are others. */
  #index: { readonly of: MesosRecords | undefined; readonly records: Map<string, MesosRecord[]> } | undefined;

  constructor(state: () => ApiState) {
    this.#state = state;
  }

  answer({ method, path, accept }: ApiRequest): ApiReply {
    const [, version, kind = "", name, rest, ...more] = path.split("/");
    if (version !== "v1" || more.length > 0) return NOT_FOUND;
    const ports = kind === "hosts" && rest === "ports";
    const shown = name === undefined ? this.#whole(kind) : this.#named(kind, decoded(name), rest);
    if (shown === undefined && !ports) return NOT_FOUND;
    if (method !== "GET") return plain(405, "405: Method Not Allowed");
    if (ports) return plain(501, "To be implemented...");
    if (!acceptsJson(accept)) return plain(406, "406: Not Acceptable");
    return { status: 200, type: "application/json", body: `${JSON.stringify(shown, undefined, 2)}\n` };
  }

  #whole(kind: string): unknown {
    const { config, made, serial, version } = this.#state();
    if (kind === "version") return { Service: "Mesos-DNS", URL: UPSTREAM, Version: version };
    if (kind === "config") return shownConfig(config);
    if (!config.EnumerationOn) return undefined;
    if (kind === "enumerate") return enumeration(made?.tasks ?? []);
    return kind === "axfr" ? transfer(config, made?.records ?? [], serial) : undefined;
  }

  #named(kind: string, name: string, rest: string | undefined): unknown {
    if (rest !== undefined || name === "") return undefined;
    if (kind === "hosts") return this.#hosts(name);
    return kind === "services" ? this.#services(name) : undefined;
  }

  #find(rtype: MesosRecord["rtype"], name: string): readonly MesosRecord[] {
    const { made } = this.#state();
    if (this.#index === undefined || this.#index.of !== made) {
      const records = Map.groupBy(made?.records ?? [], (record) => `${record.rtype} ${record.name.toLowerCase()}`);
      this.#index = { of: made, records };
    }
    return this.#index.records.get(`${rtype} ${name}`) ?? [];
  }

  #addresses(name: string): readonly MesosRecord[] {
    return [...this.#find("A", name), ...this.#find("AAAA", name)];
  }

  #hosts(asked: string): unknown {
    const name = canonical(asked);
    const found = this.#addresses(name).map(({ host }) => ({ host: name, ip: host }));
    return found.length > 0 ? found : [{ host: "", ip: "" }];
  }

  #services(asked: string): unknown {
    const found = this.#find("SRV", canonical(asked)).flatMap(({ host: target }) => {
      const colon = target.lastIndexOf(":");
      const [host, port] = [target.slice(0, colon), target.slice(colon + 1)];
      const addresses = [this.#find("A", host)[0], this.#find("AAAA", host)[0]];
      return addresses.flatMap((address) =>
        address === undefined ? [] : [{ service: asked, host, ip: address.host, port }],
      );
    });
    return found.length > 0 ? found : [{ service: "", host: "", ip: "", port: "" }];
  }
}

/** Absolute, in lower case, without `.*`. */
function canonical(asked: string): string {
  return `${asked.toLowerCase().replaceAll(".*", "").replace(/\.$/, "")}.`;
}

/** Text of a path; as it is when it isn't percent-encoded well. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function enumeration(tasks: readonly TaskRecords[]): unknown {
  const byFramework = Map.groupBy(tasks, ({ framework }) => framework);
  const frameworks = [...byFramework].map(([name, of]) => ({
    tasks: of.map(({ name, id, records }) => ({ name, id, records })),
    name,
  }));
  return { frameworks };
}

function transfer(config: MesosDnsConfig, records: readonly MesosRecord[], serial: number): unknown {
  const of = (rtype: MesosRecord["rtype"]): Record<string, string[]> => {
    const names = Map.groupBy(
      records.filter((record) => record.rtype === rtype),
      ({ name }) => name,
    );
    return Object.fromEntries([...names].map(([name, all]) => [name, all.map(({ host }) => host)]));
  };
  return {
    TTL: config.TTL,
    Serial: serial,
    RefreshSeconds: config.RefreshSeconds,
    Mname: config.SOAMname,
    Rname: config.SOARname,
    Domain: config.Domain,
    Records: { As: of("A"), AAAAs: of("AAAA"), SRVs: of("SRV") },
  };
}

function acceptsJson(accept: string): boolean {
  return accept === "" || /(?:^|[\s,])(?:application\/(?:json|\*)|\*\/\*)/.test(accept);
}

const NOT_FOUND = plain(404, "404: Page Not Found");

function plain(status: number, body: string): ApiReply {
  return { status, type: "text/plain; charset=utf-8", body: `${body}\n` };
}
