import { Refusal } from "./fake-refusal.ts";

/** Per-link settings below net/ipv4/conf, with Linux's values in a fresh namespace
 *  (Documentation/networking/ip-sysctl). */
const IPV4_CONF: Readonly<Record<string, string>> = {
  accept_local: "0",
  accept_redirects: "1",
  accept_source_route: "1",
  arp_accept: "0",
  arp_announce: "0",
  arp_filter: "0",
  arp_ignore: "0",
  arp_notify: "0",
  forwarding: "0",
  log_martians: "0",
  promote_secondaries: "0",
  proxy_arp: "0",
  proxy_arp_pvlan: "0",
  route_localnet: "0",
  rp_filter: "0",
  secure_redirects: "1",
  send_redirects: "1",
  src_valid_mark: "0",
};

/** The same below net/ipv6/conf. */
const IPV6_CONF: Readonly<Record<string, string>> = {
  accept_dad: "1",
  accept_ra: "1",
  accept_redirects: "1",
  accept_source_route: "0",
  addr_gen_mode: "0",
  autoconf: "1",
  dad_transmits: "1",
  disable_ipv6: "0",
  enhanced_dad: "1",
  forwarding: "0",
  keep_addr_on_down: "0",
  ndisc_notify: "0",
  optimistic_dad: "0",
  proxy_ndp: "0",
  use_tempaddr: "0",
};

const GLOBAL: Readonly<Record<string, string>> = {
  "net/ipv4/ip_forward": "0",
  "net/ipv4/ip_local_port_range": "32768\t60999",
  "net/ipv4/ip_nonlocal_bind": "0",
  "net/ipv4/ip_unprivileged_port_start": "1024",
  "net/ipv4/vs/conn_reuse_mode": "1",
  "net/ipv4/vs/conntrack": "0",
  "net/ipv4/vs/expire_nodest_conn": "0",
  "net/ipv4/vs/expire_quiescent_template": "0",
  "net/ipv6/bindv6only": "0",
  "net/netfilter/nf_conntrack_max": "262144",
  "net/bridge/bridge-nf-call-arptables": "1",
  "net/bridge/bridge-nf-call-ip6tables": "1",
  "net/bridge/bridge-nf-call-iptables": "1",
};

/** Settings of `all` that Linux copies to `default` and to every link when they are set. */
const COPIED = /^net\/(ipv4|ipv6)\/conf\/all\/(forwarding|disable_ipv6)$/;
/** Another name of net/ipv4/conf/all/forwarding. */
const IP_FORWARD = "net/ipv4/ip_forward";
const NAMES = ["ipv4", "ipv6"] as const;
const CONF = { ipv4: IPV4_CONF, ipv6: IPV6_CONF } as const;

/** The settings of one namespace, by path as in /proc/sys. */
export class FakeSysctl {
  private readonly values = new Map<string, string>(Object.entries(GLOBAL));

  constructor() {
    for (const family of NAMES) {
      for (const [key, value] of Object.entries(CONF[family])) {
        this.values.set(`net/${family}/conf/all/${key}`, value);
        this.values.set(`net/${family}/conf/default/${key}`, value);
      }
    }
    this.values.set("net/ipv6/conf/all/accept_dad", "0");
  }

  get(path: string): string | undefined {
    return this.values.get(path);
  }

  /** Refuses unknown paths (ENOENT) and what isn't a list of numbers (EINVAL). Returns the paths that have a new
   *  value. */
  set(path: string, value: string): string[] {
    if (!this.values.has(path)) throw new Refusal("ENOENT", "No such file or directory");
    if (!/^-?\d+(\s+-?\d+)*$/.test(value.trim())) throw new Refusal("EINVAL", "Invalid argument");
    const paths = this.pathsSetWith(path);
    for (const each of paths) this.values.set(each, value.trim());
    return paths;
  }

  /** A link's own settings start as those of `default`. */
  addLink(name: string): void {
    for (const family of NAMES) {
      for (const key of Object.keys(CONF[family])) {
        const value = this.values.get(`net/${family}/conf/default/${key}`) ?? "0";
        this.values.set(`net/${family}/conf/${name}/${key}`, value);
      }
    }
  }

  removeLink(name: string): void {
    for (const path of this.pathsOf(name)) this.values.delete(path);
  }

  renameLink(from: string, to: string): void {
    for (const path of this.pathsOf(from)) {
      const value = this.values.get(path) ?? "0";
      this.values.delete(path);
      this.values.set(
        path.replace(`/conf/${from}/`, () => `/conf/${to}/`),
        value,
      );
    }
  }

  /** A setting of one link as a switch, on when `all` has it too: how Linux reads keep_addr_on_down and others. */
  isOn(family: "ipv4" | "ipv6", link: string, key: string): boolean {
    return [link, "all"].some((name) => Number(this.values.get(`net/${family}/conf/${name}/${key}`) ?? "0") > 0);
  }

  /** A setting of one link alone. */
  isOnLink(family: "ipv4" | "ipv6", link: string, key: string): boolean {
    return Number(this.values.get(`net/${family}/conf/${link}/${key}`) ?? "0") > 0;
  }

  private pathsSetWith(path: string): string[] {
    const copied = COPIED.exec(path === IP_FORWARD ? "net/ipv4/conf/all/forwarding" : path);
    if (copied === null) return [path];
    const [, family = "", key = ""] = copied;
    const every = [...this.values.keys()].filter(
      (other) => other.startsWith(`net/${family}/conf/`) && other.endsWith(`/${key}`),
    );
    return family === "ipv4" ? [...every, IP_FORWARD] : every;
  }

  private pathsOf(name: string): string[] {
    return [...this.values.keys()].filter(
      (path) => path.startsWith(`net/ipv4/conf/${name}/`) || path.startsWith(`net/ipv6/conf/${name}/`),
    );
  }
}
