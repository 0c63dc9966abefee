import { formatEndpoint } from "../../gossip/endpoint.ts";
import { tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";

const MOST_SEEDS = 64;

/** The nodes to join through, as `address:port`, from text such as `10.0.0.1, 10.0.0.2:7000, [fd00::3]:62501`; `port`
 *  stands where none is given. Throws a NetError `invalid` that names what isn't an address: names are not looked up,
 *  so that a node can start while DNS is away. */
export function parseSeeds(text: string, port: number): string[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length > MOST_SEEDS) throw refusal(text, `it names ${words.length} nodes; ${MOST_SEEDS} are enough`);
  return words.map((word) => parseSeed(word, port));
}

function parseSeed(word: string, port: number): string {
  if (tryParseIp(word) !== undefined) return formatEndpoint(word, port);
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(word) ?? [];
  const host = bracketed ?? plain ?? "";
  const own = Number(digits);
  if (tryParseIp(host) === undefined || own < 1 || own > 65_535) {
    throw refusal(word, "it isn't an IP address, or one with a port");
  }
  return formatEndpoint(host, own);
}

function refusal(text: string, said: string): NetError {
  const remedy = "give for example 10.0.0.1,10.0.0.2,10.0.0.3";
  return new NetError("invalid", { tried: `join through ${JSON.stringify(text.slice(0, 80))}`, said, remedy });
}
