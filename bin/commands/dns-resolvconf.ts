import { resolve } from "node:path";
import type { Command } from "commander";
import { parseResolvConf, renderResolvConf, upstreamsOf } from "../../dns/resolv-conf.ts";
import { formatIp } from "../../lib/address.ts";
import { type App, EXIT } from "../app.ts";
import { dnsRemnants } from "../cleanup/dns.ts";
import { cleanUp, isClean, stepLines } from "../cleanup/remnant.ts";
import { DEFAULT_RESOLV_CONF, ResolvConfFile } from "../dns/resolv-conf-file.ts";
import { backupPath, type DnsSettings, dnsSettings } from "../dns/settings.ts";
import { show } from "../output.ts";
import { requireRoot } from "../self.ts";

interface Options {
  readonly file?: string;
  readonly apply?: boolean;
  readonly restore?: boolean;
  readonly json?: boolean;
}

/** `dns resolvconf` and `dns remove`: what the DNS server needs on this host beside itself. */
export function addDnsHost(dns: Command, app: App): void {
  dns
    .command("resolvconf")
    .description(
      "point this host's programs at its DNS server, or back; without an option only show what would be written",
    )
    .option("--apply", "write it, and keep what was there")
    .option("--restore", "bring back what was there before")
    .option("--file <file>", `the file (setting dns_resolv_conf, or ${DEFAULT_RESOLV_CONF})`)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
A running agent with dns_resolv_conf keeps the file by itself. A link to a file that another program keeps below /run is
replaced, and comes back; any other link stays.`,
    )
    .action((options: Options, self: Command) => {
      if (options.apply === true && options.restore === true) self.error("error: give either --apply or --restore");
      resolvConf(app, options);
    });
  dns
    .command("remove")
    .description("take away what the agent made for DNS on this host: addresses, rules, resolv.conf")
    .option("--json", "print JSON")
    .addHelpText("after", "\nStop the agent first, or it puts everything back.")
    .action(({ json = false }: { json?: boolean }) => remove(app, json));
}

function resolvConf(app: App, options: Options): void {
  const { config } = app.settings();
  const path = resolve(options.file ?? (config.dns_resolv_conf || DEFAULT_RESOLV_CONF));
  const settings = dnsSettings(config);
  const file = new ResolvConfFile({ path, backup: backupPath(config) });
  let did = "nothing";
  if (options.apply === true || options.restore === true) requireRoot("change resolv.conf");
  if (options.apply === true) did = file.apply(wanted(file, settings)) ? "applied" : "was so already";
  if (options.restore === true) did = file.restore() ? "restored" : "left alone, it isn't ours";
  const shown = {
    file: path,
    own: file.isOwn(),
    did,
    servers: parseResolvConf(file.text() ?? "").servers,
    upstreams: upstreamsOf(
      file.before(),
      settings.listen.map(({ ip }) => ip),
    ).map(formatIp),
    wanted: wanted(file, settings),
  };
  show(app.out, options.json === true, shown, ({ own, servers, upstreams, wanted: text }) => [
    `${path} ${own ? "leads to this node's DNS server" : "is not ours"}: ${servers.join(" ") || "no name server"}`,
    ...(did === "nothing" ? [] : [did]),
    `other names are asked of: ${upstreams.join(" ") || "nobody, none was named there"}`,
    ...(did === "nothing" && !own ? ["with --apply it would be:", ...text.trimEnd().split("\n")] : []),
  ]);
}

function wanted(file: ResolvConfFile, { addresses, listen, search }: DnsSettings): string {
  const servers = addresses.length > 0 ? addresses : listen.map(({ ip }) => ip);
  return renderResolvConf({ servers, search, before: file.before() });
}

async function remove(app: App, json: boolean): Promise<void> {
  requireRoot("remove the DNS server's addresses and rules");
  const { kernel, files } = app;
  const { config } = app.settings();
  const steps = await cleanUp(dnsRemnants({ config, kernel, files }), { dryRun: false, force: false });
  show(app.out, json, steps, stepLines);
  if (!isClean(steps)) app.exitCode = EXIT.bad;
}
