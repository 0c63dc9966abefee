import { type Alias, answer } from "./answer.ts";
import { EDNS_UDP_BYTES, EXTENDED_ERROR, PLAIN_UDP_BYTES, RCODE, TCP_BYTES } from "./codes.ts";
import { decodeQuery, type Query } from "./message.ts";
import { emptyReply, encodeReply, type Reply } from "./reply.ts";
import type { ZoneLookup } from "./zones.ts";

/** What a server answers from. */
export interface Authority {
  readonly zones: ZoneLookup;
  readonly aliases: readonly Alias[];
  /** Changes the name that is looked up before anything else; Mesos-DNS drops `.*`. */
  readonly rewrite?: (query: Query) => Query;
  /** Whether names outside the zones are asked of others: the RA flag. */
  readonly recursion: boolean;
}

/** Answer to a message: bytes to send, silence, or a query for a name outside the zones. */
export type Outcome =
  | { readonly outcome: "reply"; readonly query: Query; readonly message: Uint8Array }
  | { readonly outcome: "foreign"; readonly query: Query }
  | { readonly outcome: "dropped" };

export type Transport = "udp" | "tcp";

/** Makes the cookie option that goes back, with its head, from the content of the asker's. */
export type MakeCookie = (cookie: Uint8Array) => Uint8Array;

/** What comes of a message that somebody sent. Pure. */
export function respond(
  message: Uint8Array,
  transport: Transport,
  authority: Authority,
  makeCookie?: MakeCookie,
): Outcome {
  const decoded = decodeQuery(message);
  if (decoded.outcome === "dropped") return decoded;
  const query = withCookie(decoded.query, makeCookie);
  const send = (reply: Reply): Outcome => ({
    outcome: "reply",
    query,
    message: encode(query, reply, transport, authority),
  });
  if (decoded.outcome === "refused") return send(emptyReply(decoded.rcode));
  const options = { aliases: authority.aliases, overUdp: transport === "udp" };
  const reply = answer(authority.rewrite?.(query) ?? query, authority.zones, options);
  if (reply !== undefined) return send(reply);
  if (authority.recursion) return { outcome: "foreign", query };
  const text = "this server answers for its own zones only";
  return send(emptyReply(RCODE.REFUSED, { code: EXTENDED_ERROR.NOT_AUTHORITATIVE, text }));
}

function withCookie(query: Query, makeCookie: MakeCookie | undefined): Query {
  const cookie = query.edns?.cookie;
  if (cookie === undefined || query.edns === undefined || makeCookie === undefined) return query;
  return { ...query, edns: { ...query.edns, replyCookie: makeCookie(cookie) } };
}

/** The reply in bytes, as many as the asker takes over this transport. */
export function encode(query: Query, reply: Reply, transport: Transport, { recursion }: Authority): Uint8Array {
  return encodeReply(query, reply, { limit: limitOf(query, transport), recursion });
}

/** Bytes that the asker takes, and that we send. */
export function limitOf({ edns }: Query, transport: Transport): number {
  if (transport === "tcp") return TCP_BYTES;
  return edns === undefined ? PLAIN_UDP_BYTES : Math.min(edns.size, EDNS_UDP_BYTES);
}
