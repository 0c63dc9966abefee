import * as packet from "dns-packet";
import type { Endpoint } from "../../dns/endpoint.ts";
import { endpointText } from "../../dns/endpoint.ts";
import type { Replies, UpstreamNetwork } from "../../dns/forward/network.ts";
import { parseIp } from "../../lib/address.ts";

/** One message that an upstream was sent, and what it may do about it. */
export interface Received {
  readonly to: string;
  readonly over: "udp" | "tcp";
  readonly message: Uint8Array;
  readonly name: string;
  readonly type: string;
  answer(bytes: Uint8Array): void;
  fail(said: string): void;
  /** False once the asker has no ear for it any more. */
  isOpen(): boolean;
}

/** A network in memory whose other side is the test. */
export class ScriptedNetwork implements UpstreamNetwork {
  readonly received: Received[] = [];
  /** Told of each message but probes. */
  onMessage: (received: Received) => void = () => {};
  /** Whether probes are answered. */
  probes = true;

  readonly udp = (to: Endpoint, message: Uint8Array, replies: Replies) => this.#exchange("udp", to, message, replies);
  readonly tcp = (to: Endpoint, message: Uint8Array, replies: Replies) => this.#exchange("tcp", to, message, replies);

  #exchange(over: "udp" | "tcp", to: Endpoint, message: Uint8Array, replies: Replies): () => void {
    let open = true;
    const question = packet.decode(Buffer.from(message)).questions?.[0];
    const received: Received = {
      to: endpointText(to),
      over,
      message,
      name: question?.name ?? "",
      type: question?.type ?? "",
      answer: (bytes) => open && replies.message(bytes),
      fail: (said) => open && replies.failed(said),
      isOpen: () => open,
    };
    const isProbe = received.name.toLowerCase().endsWith("loop.dcos-net.test");
    // As the real network, never before the call has returned.
    queueMicrotask(() => {
      if (isProbe && this.probes) received.answer(answerTo(message, { rcode: "NXDOMAIN" }));
      if (isProbe) return;
      this.received.push(received);
      this.onMessage(received);
    });
    return () => {
      open = false;
    };
  }
}

export interface AnswerOptions {
  readonly rcode?: string;
  readonly answers?: readonly packet.Answer[];
  readonly authorities?: readonly packet.Answer[];
  readonly flags?: number;
  /** Said with the error (RFC 8914), as an option of the OPT record. */
  readonly id?: number;
  readonly question?: string;
}

const RCODES: readonly string[] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** The answer to a query as another implementation writes it, wrong where the options say so. */
export function answerTo(query: Uint8Array, options: AnswerOptions): Uint8Array {
  const asked = packet.decode(Buffer.from(query));
  const [question] = asked.questions ?? [];
  const name = options.question ?? question?.name ?? "";
  return packet.encode({
    type: "response",
    id: options.id ?? asked.id ?? 0,
    flags: (options.flags ?? packet.RECURSION_AVAILABLE) | RCODES.indexOf(options.rcode ?? "NOERROR"),
    questions: question === undefined ? [] : [{ ...question, name }],
    answers: [...(options.answers ?? [])],
    authorities: [...(options.authorities ?? [])],
  });
}

export function a(name: string, address: string, ttl = 300): packet.Answer {
  return { type: "A", name, ttl, data: address };
}

export function soa(name: string, ttl: number, minimum: number): packet.Answer {
  const data = { mname: `ns.${name}`, rname: `root.${name}`, serial: 1, refresh: 2, retry: 3, expire: 4, minimum };
  return { type: "SOA", name, ttl, data };
}

export function endpoint(text: string, port = 53): Endpoint {
  return { ip: parseIp(text), port };
}
