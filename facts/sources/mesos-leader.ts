import { NetError } from "../../lib/error.ts";
import { ask, type Caller, refusalOf } from "./mesos-http.ts";

/** Finds the leading Mesos master. */
export interface LeaderFinder {
  /** Base URL (`http://10.0.0.1:5050`) of the leader, or of a master that will name it. Throws a NetError `unavailable`
   *  when there is none now; to be asked again later, also after that master has failed. */
  find(signal: AbortSignal): Promise<string>;
  /** Calls `changed` when another master leads; only finders that are told by somebody ever do. Once only. */
  watch(changed: () => void): void;
  stop(): Promise<void>;
}

/** Masters given as base URLs, asked in turn: each names the leader by redirecting a subscriber to it (307). */
export function listedMasters(bases: readonly string[]): LeaderFinder {
  const next = turns(bases);
  return { find: async () => next(), watch: () => {}, stop: async () => {} };
}

const REDIRECT_TIMEOUT_MS = 5_000;

/** Masters given as base URLs (one may stand for all: `http://leader.mesos:5050`), asked in turn at `/redirect`. */
export function redirectingMasters(bases: readonly string[], caller: Caller): LeaderFinder {
  const next = turns(bases);
  return {
    async find(signal) {
      const url = `${next()}/redirect`;
      const answer = await ask(caller, { method: "GET", url, signal, timeoutMs: REDIRECT_TIMEOUT_MS });
      const target = redirectTarget(url, answer.status, answer.header("location"));
      if (target === undefined) throw await refusalOf(answer, url);
      for await (const _ of answer.body) break;
      return new URL(target).origin;
    },
    watch: () => {},
    stop: async () => {},
  };
}

/** Where a 307 of `url` leads; Mesos writes it without scheme (`//host:port/path`). undefined when the answer is no
 *  redirect. Throws a NetError `permission` for one that would leave https: the token would go out in clear. */
export function redirectTarget(url: string, status: number, location: string | undefined): string | undefined {
  if ((status !== 307 && status !== 308) || location === undefined) return undefined;
  const target = URL.parse(location, url);
  if (target === null || (target.protocol !== "http:" && target.protocol !== "https:")) return undefined;
  if (url.startsWith("https:") && target.protocol !== "https:") {
    throw new NetError("permission", {
      tried: `follow the redirect of ${url}`,
      said: `it leads to ${target.origin}, without TLS`,
      remedy: "let all masters use https",
    });
  }
  return target.href;
}

function turns(bases: readonly string[]): () => string {
  let index = -1;
  return () => {
    index = (index + 1) % bases.length;
    const base = bases[index];
    if (base === undefined) throw new Error("a list of masters must not be empty");
    return base.replace(/\/+$/, "");
  };
}
