import { release } from "node:os";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { SCHEDULER_MOST } from "../../l4lb/dataplanes/ipvs-service.ts";
import { masqueradeByIptables, runIn as run } from "../support/uml-masquerade.ts";
import { vipBehaviour } from "../support/vip-behaviour.ts";

vipBehaviour({
  name: "IPVS",
  unavailable: () => undefined,
  open(node) {
    masqueradeByIptables(node);
    return openIpvsDataplane(node, { release: release(), random: Math.random });
  },
  balances: SCHEDULER_MOST,
  connections: 2000,
  damages: [
    { what: "ipvsadm --clear", do: (node) => void run(node, "ipvsadm --clear") },
    { what: "a deleted service", do: (node) => void run(node, "ipvsadm -D -t 11.0.0.1:80") },
    { what: "a deleted backend", do: (node) => void run(node, "ipvsadm -d -t [fd11::1]:80 -r [fd88::12]:8080") },
    { what: "an added backend", do: (node) => void run(node, "ipvsadm -a -t 11.0.0.1:80 -r 10.88.0.99:8080 -m") },
    { what: "another weight", do: (node) => void run(node, "ipvsadm -e -t 11.0.0.1:80 -r 10.88.0.11:8080 -m -w 0") },
    { what: "another scheduler", do: (node) => void run(node, "ipvsadm -E -t 11.0.0.1:80 -s lc") },
    { what: "persistence", do: (node) => void run(node, "ipvsadm -E -t 11.0.0.1:80 -s wlc -p 60") },
    {
      what: "a deleted route",
      do: (node) => void run(node, "ip route delete local 11.0.0.1 dev minuteman table local"),
    },
    { what: "a device that is down", do: (node) => void run(node, "ip link set minuteman down") },
    { what: "a deleted device", do: (node) => void run(node, "ip link delete minuteman") },
    { what: "a changed setting", do: (node) => void run(node, "sysctl -w net.ipv4.vs.expire_nodest_conn=0") },
  ],
  foreign: {
    make(node) {
      run(node, "ipvsadm -A -t 192.0.2.1:80 -s rr");
      run(node, "ipvsadm -a -t 192.0.2.1:80 -r 192.0.2.2:80 -m");
      run(node, "ipvsadm -A -t 11.0.0.1:9999 -s lc");
      run(node, "ipvsadm -A -f 7 -s wlc");
    },
    look: (node) =>
      run(node, "ipvsadm --save -n")
        .split("\n")
        .filter((line) => /192\.0\.2\.1|:9999|-f 7/.test(line))
        .sort()
        .join("\n"),
  },
  left: (node) => run(node, "ipvsadm --save -n").split("\n").sort().join("\n"),
});
