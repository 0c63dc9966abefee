import { tryParseIp } from "../../lib/address.ts";
import { Refusal } from "./refusal.ts";

/**
 * Refuses a request whose `Host` is a name other than `localhost`. A web page can make its own name lead to a loopback
 * address (DNS rebinding), so that the browser takes this API for the page's own server; but the name stays in `Host`.
 */
export function checkHost(host: string | undefined): void {
  const name = hostName(host ?? "");
  if (name === "localhost" || tryParseIp(name) !== undefined) return;
  throw new Refusal(421, "permission", {
    tried: "answer a request",
    said: `its Host is ${JSON.stringify((host ?? "").slice(0, 100))}, which may be any web page's`,
    remedy: "ask by address, such as http://127.0.0.1:62080/, or as localhost",
  });
}

/** The host of `127.0.0.1:62080`, `[::1]:62080`, `localhost` (RFC 9110, section 7.2); empty when it is none. */
function hostName(host: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(host) ?? [];
  return (bracketed ?? plain ?? "").toLowerCase();
}
