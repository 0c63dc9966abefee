import { type Command, InvalidArgumentError } from "commander";
import { formatIp, parseIp } from "../../lib/address.ts";
import { type App, EXIT } from "../app.ts";
import { checked, numberFrom } from "../checked.ts";
import { type Fetched, fetchedLine, fetchOnce, resolvedBy } from "../lab/fetch.ts";
import { serve } from "../lab/serve.ts";

interface ServeOptions {
  readonly port: number;
  readonly text?: string;
}

interface FetchOptions {
  readonly count: number;
  readonly timeout: number;
  readonly wait: number;
  readonly resolver?: string;
  readonly json?: boolean;
}

/** `lab serve` and `lab fetch`: a server and a client for trying the network, so that a lab needs no other programs. */
export function addTrafficCommands(lab: Command, app: App): void {
  lab
    .command("serve")
    .description("a small HTTP server: / says who answers, /bytes/N gives N bytes")
    .option("--port <number>", "port to listen on, IPv4 and IPv6", numberFrom(0, 65_535), 80)
    .option("--text <text>", "first line of the answer (default: the container's name)")
    .action(async ({ port, text }: ServeOptions) => {
      const server = serve({ port, text: text ?? app.env["DCOS_NET_CONTAINER"] ?? "dcos-net", out: app.out });
      await new Promise<void>((end) => {
        process.once("SIGTERM", () => end());
        process.once("SIGINT", () => end());
      });
      await server.stop();
    });
  lab
    .command("fetch")
    .description("request a URL and print status, size, time and rate; exit status 1 unless every answer is 2xx")
    .argument("<url>", "http://HOST[:PORT]/PATH, an IPv6 address in brackets", asUrl)
    .option("--count <number>", "how many times", numberFrom(1, 1_000_000), 1)
    .option("--timeout <seconds>", "longest time for one answer", numberFrom(1, 3600), 10)
    .option("--wait <seconds>", "keep trying for this long while the connection is refused", numberFrom(0, 3600), 0)
    .option("--resolver <address>", "DNS server to ask for a name, instead of the machine's", checked(asAddress))
    .option("--json", "print one line of JSON for each answer")
    .action((url: URL, options: FetchOptions) => fetchAll(app, url, options));
}

async function fetchAll(app: App, url: URL, options: FetchOptions): Promise<void> {
  const { count, timeout, wait, resolver, json = false } = options;
  for (let done = 0; done < count; done++) {
    const place = resolver === undefined ? url : await resolvedBy(resolver, url);
    const fetched = await fetchOnce(place, timeout * 1000, wait * 1000);
    if (fetched.status < 200 || fetched.status > 299) app.exitCode = EXIT.bad;
    app.out.line(json ? JSON.stringify(fetched) : lines(fetched));
  }
}

function lines(fetched: Fetched): string {
  const text = fetched.text?.trimEnd();
  return text ? `${fetchedLine(fetched)}\n${text}` : fetchedLine(fetched);
}

function asAddress(text: string): string {
  return formatIp(parseIp(text));
}

function asUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidArgumentError("an http:// URL is needed");
}
