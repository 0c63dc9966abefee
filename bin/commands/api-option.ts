import type { Command } from "commander";
import { tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { ApiAddress } from "../api/client.ts";
import type { App } from "../app.ts";
import { checked } from "../checked.ts";

/** What commands that ask the agent have in common. */
export interface ApiOptions {
  readonly api?: ApiAddress;
  readonly json?: boolean;
}

export function withApi(command: Command): Command {
  return command
    .option("--api <address>", "the agent's API (settings api_address, api_port)", checked(parseApiAddress))
    .option("--json", "print JSON");
}

/** The agent that is meant: the one that `--api` names, or this node's by its settings. Throws a NetError when its API
 *  is switched off. */
export function apiMeant(app: App, { api }: ApiOptions): ApiAddress {
  if (api !== undefined) return api;
  const { api_address, api_port } = app.settings().config;
  if (api_address !== "") return { address: api_address, port: api_port };
  throw new NetError("unavailable", {
    tried: "ask the agent",
    said: "its API is switched off (setting api_address)",
    remedy: "set api_address, 127.0.0.1 for instance, and start the agent again",
  });
}

/** The API's address in `127.0.0.1:62080`, `[::1]:62080`. Throws a NetError for anything else. */
function parseApiAddress(text: string): ApiAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = Number(digits);
  const fits = bracketed === undefined ? 4 : 6;
  if (tryParseIp(address)?.family === fits && port >= 1 && port <= 65_535) return { address, port };
  throw new NetError("invalid", {
    tried: `use ${JSON.stringify(text.slice(0, 100))} as the address of an API`,
    said: "an IP address and a port are needed, such as 127.0.0.1:62080 or [::1]:62080",
  });
}
