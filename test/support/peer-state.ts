import type { Machine } from "./peer-machine.ts";

/** What a network left in a machine and its containers, as text by path; `flatten` of two machines can be compared. */
export type Flat = ReadonlyMap<string, string>;

interface IpLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly promiscuity?: number;
  readonly address?: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: { readonly vlan_filtering?: number };
    readonly info_slave_data?: { readonly hairpin?: boolean; readonly isolated?: boolean };
  };
}

interface IpAddresses {
  readonly ifname: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
    readonly broadcast?: string;
  }[];
}

interface IpRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly table?: string;
  readonly scope?: string;
  readonly prefsrc?: string;
  readonly metric?: number;
}

interface Namespace {
  readonly links: readonly IpLink[];
  readonly addresses: readonly IpAddresses[];
  readonly routes4: readonly IpRoute[];
  readonly routes6: readonly IpRoute[];
}

const SYSCTLS = {
  host: ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"],
  link: ["net/ipv4/conf/IF/arp_notify", "net/ipv6/conf/IF/disable_ipv6", "net/ipv6/conf/IF/accept_dad"],
} as const;

/** Reads links, addresses, routes and sysctls of the node and of the named namespaces, and the files under `data`.
 *  Names and addresses that a plugin draws at random are replaced: `veth*`, and `random` for a hardware address
 *  that isn't in `macs`. */
export async function stateOf(
  machine: Machine,
  namespaces: readonly string[],
  data: string,
  macs: readonly string[],
): Promise<Flat> {
  const text = await machine.script(`
    one() { # key, command
      out=$("\${@:2}" 2>/dev/null) || out=
      printf '"%s":%s,' "$1" "\${out:-[]}"
    }
    all() { # name, ip with its namespace
      printf '"%s":{' "$1"
      one links "\${@:2}" -j -d link show
      one addresses "\${@:2}" -j address show
      one routes4 "\${@:2}" -j -4 route show table all
      one routes6 "\${@:2}" -j -6 route show table all
      printf '"end":0},'
    }
    printf '{'
    all node ip
    for name in ${namespaces.join(" ")}; do
      [ -e "/run/netns/$name" ] && all "$name" ip -n "$name"
    done
    printf '"end":0}\\n'
    cd /proc/sys
    for key in ${SYSCTLS.host.join(" ")}; do echo "node $key $(cat $key)"; done
    for name in ${namespaces.join(" ")}; do
      [ -e "/run/netns/$name" ] || continue
      nsenter --net="/run/netns/$name" sh -c '
        for link in $(ls net/ipv4/conf | grep eth); do
          for key in ${SYSCTLS.link.join(" ")}; do
            key=$(echo $key | sed s/IF/$link/)
            echo "$0 $key $(cat $key)"
          done
        done' "$name"
    done
    [ -d ${data} ] && cd ${data} && find . -type f | sort | while read -r file; do
      echo "file $file $(base64 -w 0 "$file")"
    done
    true`);
  const [json = "{}", ...lines] = text.trim().split("\n");
  const { end: _end, ...parsed }: Record<string, Namespace> = JSON.parse(json);
  const flat = new Map<string, string>();
  for (const [name, namespace] of Object.entries(parsed)) describeNamespace(flat, name, namespace, macs);
  for (const line of lines) {
    const [where = "", what = "", value = ""] = line.split(" ");
    flat.set(`${where} ${what}`, where === "file" ? JSON.stringify(atob(value)) : value);
  }
  return flat;
}

function describeNamespace(
  flat: Map<string, string>,
  where: string,
  namespace: Namespace,
  macs: readonly string[],
): void {
  for (const link of namespace.links) {
    if (link.ifname === "up0") continue;
    add(flat, `${where} link ${anonymous(link.ifname)}`, {
      kind: link.linkinfo?.info_kind,
      mtu: link.mtu,
      up: link.flags.includes("UP"),
      promiscuous: link.flags.includes("PROMISC"),
      master: link.master,
      mac: macs.includes(link.address ?? "") ? link.address : "random",
      vlanFiltering: link.linkinfo?.info_data?.vlan_filtering,
      hairpin: link.linkinfo?.info_slave_data?.hairpin,
      isolated: link.linkinfo?.info_slave_data?.isolated,
    });
  }
  for (const { ifname, addr_info } of namespace.addresses) {
    if (ifname === "up0") continue;
    for (const { local, prefixlen, scope, broadcast } of addr_info) {
      if (local.startsWith("fe80:")) continue;
      add(flat, `${where} address ${anonymous(ifname)} ${local}/${prefixlen}`, { scope, broadcast });
    }
  }
  describeRoutes(flat, `${where} route4`, namespace.routes4);
  describeRoutes(flat, `${where} route6`, namespace.routes6);
}

function describeRoutes(flat: Map<string, string>, where: string, routes: readonly IpRoute[]): void {
  for (const route of routes) {
    if (route.table === "local" || route.dev === "up0" || /^(fe80|ff00|multicast)/.test(route.dst)) continue;
    add(flat, `${where} ${route.dst} dev ${anonymous(route.dev ?? "")}`, {
      gateway: route.gateway,
      table: route.table,
      scope: route.scope,
      source: route.prefsrc,
      metric: route.metric,
    });
  }
}

/** Adds one object; a second one of the same name (two host ends) gets a number. */
function add(flat: Map<string, string>, path: string, fields: Readonly<Record<string, unknown>>): void {
  let name = path;
  for (let count = 2; flat.has(name); count++) name = `${path} #${count}`;
  flat.set(name, "present");
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) flat.set(`${name} ${field}`, String(value));
  }
}

/** Host ends of pairs have random names. */
function anonymous(name: string): string {
  return name.startsWith("eth") || !/^veth|^v/.test(name) ? name : "veth*";
}
