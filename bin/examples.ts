import type { Command } from "commander";

/** What `--help` shows of each command in use, by its words. A group that isn't here shows the first of each of its
 *  commands. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  agent: [
    "dcos-net agent --role master --secret-file /etc/dcos-net/secret",
    "dcos-net agent --join 10.0.0.1 --secret-file /etc/dcos-net/secret",
    "dcos-net agent --nodes nodes.json --node node-a",
  ],
  status: ["dcos-net status", "dcos-net status --json | jq .news"],
  "overlay show": ["dcos-net overlay show", "dcos-net overlay show --nodes nodes.json --node node-a"],
  "overlay peers": ["dcos-net overlay peers", "dcos-net overlay peers --json | jq '.[] | select(.missing != [])'"],
  "overlay explain": ["dcos-net overlay explain 9.0.2.5", "dcos-net overlay explain fd01:b::2:0:0:5 --json"],
  node: ["dcos-net node ls", "dcos-net node forget node-c"],
  "node ls": ["dcos-net node ls", "dcos-net node ls --json | jq '.[] | select(.status != \"alive\") | .id'"],
  "node forget": ["dcos-net node forget node-c", "dcos-net node forget 0b5c1f0e-7d0c-4a3e-9a52-7f1d3c2b6a90 --json"],
  "task ls": [
    "dcos-net task ls",
    "dcos-net task ls --framework marathon --node 10.0.0.5",
    "dcos-net task ls --json | jq '.[] | select(.state == \"running\") | .name'",
  ],
  "vip ls": ["dcos-net vip ls", "dcos-net vip ls --json | jq '.[] | select(.addresses[].kernel != \"ok\") | .vip'"],
  "vip show": ["dcos-net vip show web.marathon", "dcos-net vip show 11.225.36.193:80 --json"],
  "trace vip": [
    "dcos-net trace vip web.marathon:80",
    "dcos-net trace vip web.marathon.l4lb.thisdcos.directory --from 4711",
    "dcos-net trace vip 11.225.36.193 --json | jq .broken",
  ],
  ping: ["dcos-net ping web.marathon", "dcos-net ping web.marathon:80 --count 20 --from /run/netns/web"],
  "drain node": ["dcos-net drain node node-a", "dcos-net drain node node-a --off"],
  "drain task": ["dcos-net drain task web.4f1c", "dcos-net drain task web.4f1c --off"],
  "drain ls": ["dcos-net drain ls", "dcos-net drain ls --json"],
  facts: [
    "dcos-net facts",
    "dcos-net facts --kind assignment --json",
    "dcos-net facts --api 127.0.0.1:62080 --kind task",
  ],
  "dns serve": [
    "dcos-net dns serve --listen 127.0.0.1:5300 --tasks /etc/dcos-net/tasks",
    "dig @127.0.0.1 -p 5300 shop.web.containerip.dcos.thisdcos.directory",
  ],
  "dns query": [
    "dcos-net dns query web.marathon.containerip.dcos.thisdcos.directory",
    "dcos-net dns query _http._web._tcp.marathon.containerip.dcos.thisdcos.directory SRV --json",
    "dcos-net dns query www.example.org",
  ],
  "dns zones": ["dcos-net dns zones", "dcos-net dns zones --json | jq '.forwarding.zones'"],
  "dns resolvconf": ["dcos-net dns resolvconf", "dcos-net dns resolvconf --apply", "dcos-net dns resolvconf --restore"],
  "dns remove": ["dcos-net dns remove"],
  "dns linger": ["dcos-net dns linger --run-dir /run/dcos-net <handed-over"],
  "mesos-dns": ["dcos-net mesos-dns --config /etc/mesos-dns/config.json"],
  "ipam show": ["dcos-net ipam show", "dcos-net ipam show --network dcos --json"],
  "ipam check": ["dcos-net ipam check", "dcos-net ipam check --network dcos"],
  "ipam gc": ["dcos-net ipam gc --network dcos --dry-run", "dcos-net ipam gc --network dcos --valid attachments.json"],
  "cni install": ["dcos-net cni install", "dcos-net cni install --dir /usr/lib/cni --as bridge,host-local,portmap"],
  "cni uninstall": ["dcos-net cni uninstall", "dcos-net cni uninstall --dir /usr/lib/cni"],
  cleanup: ["dcos-net cleanup --dry-run", "dcos-net cleanup", "dcos-net cleanup --state --force"],
  "cni config": [
    "dcos-net cni config podman --name web >/etc/cni/net.d/87-web.conflist",
    "dcos-net cni config mesos --name web --subnet 10.9.0.0/24 --subnet fd00:9::/64",
  ],
  preflight: ["dcos-net preflight", "dcos-net preflight --json | jq '.[] | select(.works | not)'"],
  "config show": ["dcos-net config show", "dcos-net --config config.json config show --json"],
  "config explain": ["dcos-net config explain resync_ms"],
  lab: [
    "dcos-net lab up --nodes 3",
    "dcos-net lab run --node 1 --name web --publish 8080:80 -- dcos-net lab serve --port 80",
    "dcos-net lab run --node 2 --name client -- sleep 1d",
    "dcos-net lab status",
    "dcos-net lab exec --name client -- dcos-net lab fetch http://9.0.0.2/",
    "dcos-net lab exec --node 2 -- ip route",
    "dcos-net lab down",
  ],
  "lab up": [
    "dcos-net lab up --nodes 3",
    "dcos-net lab up --lab two --overlay dev=10.90.0.0/16 --overlay shop=10.91.0.0/16,fd00:91::/64,isolated",
  ],
  "lab run": [
    "dcos-net lab run --node 1 --name web --publish 8080:80 -- dcos-net lab serve --port 80",
    "dcos-net lab run --node 2 --name shell --attach -- bash",
  ],
  "lab exec": [
    "dcos-net lab exec --name client -- ping -c 3 9.0.0.2",
    "dcos-net lab exec --node 2 -- ip route show table all",
  ],
  "lab status": ["dcos-net lab status", "dcos-net lab status --json | jq .containers"],
  "lab list": ["dcos-net lab list"],
  "lab stop": ["dcos-net lab stop --name web"],
  "lab down": ["dcos-net lab down", "dcos-net lab down --lab two"],
  "lab serve": ["dcos-net lab serve --port 8080 --text hello"],
  "lab fetch": [
    "dcos-net lab fetch http://127.0.0.1:8080/",
    "dcos-net lab fetch --count 10 --wait 5 http://[fd01:b::2]/bytes/1000000",
    "dcos-net lab fetch --resolver 198.51.100.1 http://web.lab.containerip.dcos.thisdcos.directory/",
  ],
  completion: [
    "source <(dcos-net completion bash)",
    "dcos-net completion zsh >/usr/local/share/zsh/site-functions/_dcos-net",
  ],
};

/** Gives every command of the tree below `program` its examples. */
export function addExamples(program: Command): void {
  for (const command of program.commands) addTo(command, command.name());
}

/** Returns what stands for the command in the examples of its group. */
function addTo(command: Command, path: string): readonly string[] {
  const below = command.commands.flatMap((child) => addTo(child, `${path} ${child.name()}`).slice(0, 1));
  const examples = EXAMPLES[path] ?? below;
  command.addHelpText("after", ["", "Examples:", ...examples.map((line) => `  ${line}`)].join("\n"));
  return examples;
}
