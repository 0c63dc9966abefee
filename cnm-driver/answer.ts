import { parseObject } from "../cni/config.ts";
import { CniError } from "../cni/error.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { Method } from "./method.ts";
import type { DockerOverlay } from "./overlay.ts";
import type { Ready } from "./ready.ts";

/** The answer to one call. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** Becomes JSON. */
  readonly body: object;
}

/** Answers the call of method `name` with `text` as its body. Never throws. Success is 200 with an object; a refusal is
 *  400 when the request is at fault, 404 for a method that doesn't exist, otherwise 500, and always says why under both
 *  names that Docker reads: `Err` for network drivers, `Error` for IPAM drivers. */
export async function answerCall(
  methods: ReadonlyMap<string, Method>,
  overlays: Ready<readonly DockerOverlay[]>,
  name: string,
  text: string,
): Promise<Answer> {
  const method = methods.get(name);
  if (method === undefined) return failed(404, `this plugin has no method ${JSON.stringify(name.slice(0, 100))}`);
  try {
    if (method.needs === "nothing") return { status: 200, body: method.run() };
    if (text === "") return withoutBody(method, name);
    const body = { at: "", fields: parseObject(text, `the body of ${name}`) };
    if (method.needs === "body") return { status: 200, body: method.run(body) };
    return { status: 200, body: method.run(body, await overlays.wait()) };
  } catch (error) {
    return failed(statusOf(error), messageOf(error));
  }
}

/** Docker repeats a call whose connection broke with the rest of its body, which is nothing. */
function withoutBody(method: Method, name: string): Answer {
  if (method.needs === "body" && method.withoutBody !== undefined) return { status: 200, body: method.withoutBody };
  throw new NetError("invalid", {
    tried: `carry out ${name}`,
    said: "it came without its body, as when Docker repeats a call during which the agent ended",
    remedy: "do it again",
  });
}

/** A refusal in Docker's form. */
export function failed(status: number, message: string): Answer {
  return { status, body: { Err: message, Error: message } };
}

function statusOf(error: unknown): number {
  return error instanceof CniError || (error instanceof NetError && error.code === "invalid") ? 400 : 500;
}
