import { messageOf } from "../../lib/error.ts";
import { Refusal } from "./refusal.ts";

/** Enough for the longest list of nodes that one request may name, bytes. */
const LARGEST_BODY = 1 << 20;

/**
 * The JSON of a request's body. Throws a Refusal: 415 when it isn't said to be plain JSON in UTF-8, 413 when it is too
 * large, 400 when it isn't JSON.
 *
 * A web page can make a browser send a form here, but not JSON, unless this API agreed to it (CORS), which it never
 * does.
 */
export async function readJson(request: Request, tried: string): Promise<unknown> {
  checkHeaders(request.headers, tried);
  const bytes = await readBytes(request, tried);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Refusal(400, "invalid", { tried, said: `the body isn't JSON: ${messageOf(error)}` });
  }
}

function checkHeaders(headers: Headers, tried: string): void {
  const [type = "", ...parameters] = (headers.get("content-type") ?? "").toLowerCase().split(";");
  if (type.trim() !== "application/json") {
    const remedy = "send the header Content-Type: application/json";
    throw new Refusal(415, "unsupported", { tried, said: "the body must be JSON, and say so", remedy });
  }
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-8"?$/.test(charset)) {
    throw new Refusal(415, "unsupported", { tried, said: "the body isn't UTF-8" });
  }
  if ((headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new Refusal(415, "unsupported", { tried, said: "the body is compressed", remedy: "send it as it is" });
  }
  if (Number(headers.get("content-length") ?? 0) > LARGEST_BODY) throw tooLarge(tried);
}

/** Counts, because a chunked body doesn't say its length. */
async function readBytes({ body }: Request, tried: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body ?? []) {
    size += part.length;
    if (size > LARGEST_BODY) throw tooLarge(tried);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function tooLarge(tried: string): Refusal {
  return new Refusal(413, "invalid", { tried, said: `the body has more than ${LARGEST_BODY} bytes` });
}
