import { formatIp, tryParseIp } from "../../lib/address.ts";
import { isObject } from "../section.ts";
import { giveBack } from "./pool.ts";
import { type Draft, freeAddress, holdingsOf, type Registry } from "./registry.ts";

/** A body with more names than a cluster can have nodes is refused. */
const MOST_AGENTS = 65_536;
const NAMES_SHOWN = 10;

/** Frees everything that a node holds. Unknown nodes are ignored, as the reference does. Whether the node may be
 *  forgotten is the caller's question: see {@link decideDelete}. */
export function forget(draft: Draft, id: string): void {
  draft.refusals.delete(id);
  const record = draft.records.get(id);
  if (record === undefined) return;
  for (const { key, piece } of holdingsOf(record)) {
    const pool = draft.pools.get(key);
    if (pool === undefined) throw new Error(`node ${id} holds a piece of ${key}, which is not configured`);
    draft.pools.set(key, giveBack(pool, piece));
  }
  freeAddress(draft.byAddress, record);
  draft.records.delete(id);
  draft.changes.push({ do: "remove", id });
}

/** The answer to `POST /overlay-master/agents/delete`: which nodes to forget, after which the answer is 200 with the
 *  master's state; or the status and sentence of the refusal. */
export type DeleteDecision =
  | { readonly forget: readonly string[] }
  | { readonly status: 400 | 409 | 503; readonly message: string };

/**
 * Decides on the parsed body `{"agents": ["10.0.0.5"]}`. As in the reference, the entries are IPv4 addresses of nodes,
 * unknown ones are ignored, and until the stored state is there (`registry` undefined, or this is not the leading
 * master) the answer is 503. Unlike it, a node that may be alive is never forgotten: its containers would go on using
 * addresses that are somebody else's by then. One such node refuses the whole request, and nothing is done.
 */
export function decideDelete(
  registry: Registry | undefined,
  body: unknown,
  isAlive: (id: string) => boolean,
): DeleteDecision {
  if (registry === undefined) {
    return { status: 503, message: "allocations are not loaded, or another master leads: ask the leading master" };
  }
  const addresses = readAddresses(body);
  if (typeof addresses === "string") return { status: 400, message: addresses };
  const ids = [...registry.records.values()]
    .filter(({ address }) => addresses.has(formatIp(address)))
    .map(({ id }) => id);
  const alive = ids.filter((id) => isAlive(id));
  // A dead node whose address another one took over can be meant, so the owner of the address then doesn't matter.
  const meant = ids.filter((id) => !isAlive(id));
  const hit = new Set(meant.map((id) => addressOf(registry, id)));
  const refused = alive.filter((id) => !hit.has(addressOf(registry, id)));
  if (refused.length > 0) return { status: 409, message: aliveMessage(registry, refused) };
  return { forget: meant };
}

/** The addresses of the request, or what is wrong with it. */
function readAddresses(body: unknown): Set<string> | string {
  const agents = isObject(body) ? body["agents"] : undefined;
  if (!Array.isArray(agents)) return 'the body must be {"agents": ["<IPv4 address>", ...]}';
  if (agents.length > MOST_AGENTS) return `agents has ${agents.length} entries, at most ${MOST_AGENTS} are allowed`;
  const addresses = new Set<string>();
  for (const [index, agent] of agents.entries()) {
    const ip = typeof agent === "string" ? tryParseIp(agent) : undefined;
    if (ip?.family !== 4) return `agents[${index}] must be an IPv4 address, not ${JSON.stringify(agent).slice(0, 60)}`;
    addresses.add(formatIp(ip));
  }
  return addresses;
}

function aliveMessage(registry: Registry, ids: readonly string[]): string {
  const shown = ids.slice(0, NAMES_SHOWN).map((id) => `${addressOf(registry, id)} (${id})`);
  const more = ids.length > shown.length ? ` and ${ids.length - shown.length} more` : "";
  const nodes = `${shown.join(", ")}${more}`;
  return `alive: ${nodes}. Stop the agent there and wait until it is seen as gone; nothing was deleted`;
}

function addressOf(registry: Registry, id: string): string {
  const record = registry.records.get(id);
  return record === undefined ? "" : formatIp(record.address);
}
