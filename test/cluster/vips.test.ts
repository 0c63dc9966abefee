import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { VipEntry } from "../../bin/api/vips.ts";
import { ClusterLab } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";

const ALL = [1, 2, 3] as const;
const NAME = "web.lab.l4lb.thisdcos.directory";

describeLab("virtual IPs of three hosts", function () {
  this.timeout(TEST_LIMIT_MS);
  let lab: ClusterLab;
  let address: string;

  before(async () => {
    await sweepLabs();
    lab = new ClusterLab();
    await lab.up("--nodes", "3");
    for (const number of ALL) await serve(number, `web${number}`);
    await lab.labs.ok("lab", "run", "--node", "1", "--name", "client", "--", "sleep", "1h");
    await isBackedBy(3);
    address = (await vip(1)).addresses.find(({ ip }) => !ip.includes(":"))?.ip ?? "none";
  });
  printsLogsOfFailures(() => lab.labs.logs());
  after(() => lab.labs.clear());

  const serve = (number: number, name: string, vip = "web:80", port = "80", task = "web") =>
    lab.labs.ok(
      ...["lab", "run", "--node", String(number), "--name", name, "--task", task, "--vip", vip],
      ...["--", "dcos-net", "lab", "serve", "--port", port, "--text", name],
    );
  const stop = (name: string) => lab.labs.ok("lab", "stop", "--name", name);
  const vips = async (number: number, name = "web.lab:80") =>
    JSON.parse(
      await lab.onHost(number, "curl", "-sS", `http://127.0.0.1:62080/v1/vips?vip=${name}`),
    ) as readonly VipEntry[];
  const vip = async (number: number): Promise<VipEntry> => {
    const [found] = await vips(number);
    if (found === undefined) throw new Error(`n${number} knows no virtual IP of that name`);
    return found;
  };
  /** So many IPv4 backends get new connections, everywhere. */
  const isBackedBy = (count: number) =>
    eventually(
      SOON_MS,
      async () => Promise.all(ALL.map((number) => vips(number))),
      (all) =>
        all.every(([entry]) => {
          const live = entry?.backend.filter(({ ip, weight }) => weight > 0 && !ip.includes(":"));
          return live?.length === count && entry?.addresses.every(({ kernel }) => kernel === "ok");
        }),
    );
  const fetch = (from: string, count: number, url = `http://${address}/`) =>
    lab.inContainer(from, "dcos-net", "lab", "fetch", "--timeout", "2", "--count", String(count), url);
  const servers = (output: string): string[] => [...new Set(output.match(/^web\d$/gm))].sort();

  /** The first broken hop, as `trace vip` on host 1 names it. */
  async function broken(...asked: readonly string[]): Promise<string> {
    const { stdout, stderr } = await lab.labs.run(
      ...["lab", "exec", "--node", "1", "--", "dcos-net", "trace", "vip", ...asked, "--json"],
    );
    if (stdout === "") return stderr;
    const { broken: hop } = JSON.parse(stdout) as { readonly broken?: { readonly hop: string; readonly text: string } };
    return hop === undefined ? "nothing" : `${hop.hop}: ${hop.text}`;
  }

  const named = (wanted: RegExp, ...asked: readonly string[]) =>
    eventually(
      SOON_MS,
      () => broken(...asked),
      (said) => wanted.test(said),
    );

  /** Tells the agent of a host of a task, or takes it back when nothing is said. */
  function task(number: number, name: string, said?: object): void {
    const path = join(lab.path(number, "tasks"), `${name}.json`);
    if (said === undefined) rmSync(path);
    else writeFileSync(path, JSON.stringify({ framework: "lab", tasks: [{ name, id: name, ...said }] }));
  }

  it("have one address on all hosts, and lead to all instances, by name and from hosts and containers", async () => {
    const all = await Promise.all(ALL.map((number) => vip(number)));
    expect(new Set(all.map(({ addresses }) => addresses.map(({ ip }) => ip).join(" "))).size).to.equal(1);
    expect(servers(await fetch("client", 40))).to.deep.equal(["web1", "web2", "web3"]);
    const byName = ["dcos-net", "lab", "fetch", "--resolver", "198.51.100.1", "--count", "5", `http://${NAME}/`];
    expect(await lab.inContainer("client", ...byName)).to.match(/^web\d$/m);
    for (const number of ALL) {
      const output = await lab.onHost(number, "dcos-net", "lab", "fetch", "--count", "40", `http://${address}/`);
      expect(servers(output)).to.deep.equal(["web1", "web2", "web3"]);
    }
  });

  it("let an instance reach itself through its own virtual IP", async () => {
    expect(servers(await fetch("web1", 40))).to.deep.equal(["web1", "web2", "web3"]);
  });

  it("lose no request while an instance ends and another begins", async () => {
    const running = fetch("client", 400);
    await stop("web2");
    await serve(2, "web2");
    expect((await running).match(/^200 /gm)).to.have.length(400);
    await isBackedBy(3);
  });

  it("go on while agents are killed and started again, and keep their address", async () => {
    const running = fetch("client", 600);
    for (const number of [1, 2, 3]) {
      await lab.signal(number, "SIGKILL");
      await lab.start(number);
    }
    expect((await running).match(/^200 /gm)).to.have.length(600);
    await isBackedBy(3);
    for (const number of ALL) expect((await vip(number)).addresses.map(({ ip }) => ip)).to.include(address);
  });

  it("are put back when somebody deletes them, which the status names", async () => {
    for (const command of [
      ["nft", "delete", "table", "inet", "dcos_l4lb"],
      ["nft", "flush", "ruleset"],
      ["ip", "link", "delete", "minuteman"],
    ]) {
      await lab.onHost(1, ...command);
      await eventually(
        SOON_MS,
        // A connection that was begun without the rules never comes back.
        () => fetch("client", 1).catch(String),
        (output) => /^200 /m.test(output),
      );
    }
    const status = ["dcos-net", "--config", lab.path(1, "config.json"), "status"];
    await eventually(
      SOON_MS,
      () => lab.onHost(1, ...status),
      (text) => /repaired +.*table inet dcos_l4lb/.test(text),
    );
  });

  it("drain what an operator asks for", async () => {
    const drain = (...args: string[]) => lab.onHost(1, "dcos-net", "drain", ...args);
    await drain("node", "n2");
    await isBackedBy(2);
    expect(servers(await fetch("client", 30))).to.deep.equal(["web1", "web3"]);
    await drain("node", "n2", "--off");
    await drain("task", "web3");
    await eventually(
      SOON_MS,
      async () => servers(await fetch("client", 30)),
      (seen) => seen.join() === "web1,web2",
    );
    await drain("task", "web3", "--off");
    await isBackedBy(3);
  });

  it("leave a host whose agent can't be reached, and keep the last backends when there are no others", async () => {
    await serve(3, "lone3", "lone:80", "80", "lone");
    await named(/^nothing$/, "lone.lab:80");
    await lab.signal(3, "SIGKILL");
    await eventually(
      SOON_MS,
      async () => servers(await fetch("client", 30)),
      (seen) => seen.join() === "web1,web2",
    );
    await named(/^task: .*no node of its tasks can be reached \(node n3\); its last backends are kept/, "lone.lab:80");
    await named(/^nothing$/, "web.lab:80");
    await lab.start(3);
    await isBackedBy(3);
    await stop("lone3");
  });

  describe("in a trace, where something is broken:", () => {
    const at = { addresses: ["9.9.9.9"], ports: [{ container: 80, vips: ["/trial:80"] }] };
    afterEach(() => {
      try {
        task(1, "trial");
      } catch {
        // Not every case has one.
      }
    });

    const TASKS: readonly [fault: string, said: object, named: RegExp, asked?: string][] = [
      ["a task that has not started", { ...at, state: "preparing" }, /^task: its task trial of lab is preparing/],
      ["a task that has ended", { ...at, state: "terminal" }, /^task: its task trial of lab is terminal/],
      ["a task that is being ended", { ...at, state: "killing" }, /^task: .*trial: its framework ends it/],
      ["a task that is unhealthy", { ...at, health: "unhealthy" }, /^task: .*trial: its health check fails/],
      ["a weight of 0", { ...at, ports: [{ ...at.ports[0], weight: 0 }] }, /^task: .*its label L4LB_WEIGHT is 0/],
      [
        "a port of sctp",
        { ...at, ports: [{ ...at.ports[0], protocol: "sctp" }] },
        /^label: .*virtual IPs know tcp and udp only/,
      ],
      [
        "a forbidden address",
        { ...at, ports: [{ container: 80, vips: ["127.0.0.1:80"] }] },
        /^label: .*"127.0.0.1:80" is an address that is nobody's own/,
        "127.0.0.1",
      ],
      [
        "another family",
        { ...at, ports: [{ container: 80, vips: ["[fd01:c::9]:80"] }] },
        /^task: .*it has no address of IPv6/,
        "fd01:c::9",
      ],
      ["a task without address", { ...at, addresses: [], mode: "container" }, /^task: .*it has no address of a family/],
      ["another port", at, /^label: trial.lab has tcp port 80, but not port 81/, "trial.lab:81"],
      ["a misspelt name", at, /^label: .*did you mean trial\.lab\?|^label: .*did you mean trial/, "trail.lab"],
      [
        "a backend that nothing routes to",
        { ...at, addresses: ["203.0.113.9"] },
        /^route: this node has no route to backend 203\.0\.113\.9:80/,
      ],
      [
        "a backend that doesn't exist",
        { ...at, addresses: ["9.0.9.9"] },
        /^(?:route: this node has no route|backend: backend 9\.0\.9\.9:80 \(trial\) doesn't answer)/,
      ],
    ];
    for (const [fault, said, wanted, asked = "trial.lab"] of TASKS) {
      it(fault, async () => {
        task(1, "trial", said);
        await named(wanted, asked);
      });
    }

    it("a port on which nothing listens", async () => {
      const client = await lab.addressOf("client");
      task(1, "trial", { ...at, addresses: [client] });
      await named(/^backend: backend 9\.0\.\d\.\d:80 \(trial\) refuses connections/, "trial.lab");
    });

    it("a firewall in front of a backend", async () => {
      await lab.inContainer(
        "web2",
        "sh",
        "-c",
        "nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; policy drop; }'",
      );
      await named(/^backend: backend 9\.0\.\d\.\d:80 \(web2\) doesn't answer/, "web.lab");
      await lab.inContainer("web2", "nft", "delete", "table", "inet", "t");
      await named(/^nothing$/, "web.lab");
    });

    it("an address that a named virtual IP has", async () => {
      task(1, "trial", { ...at, ports: [{ container: 80, vips: [`${address}:80`] }] });
      await named(/^address: tcp ip .* is not served: tcp web\.lab:80 has the same address/, address);
    });

    it("an operator's drain", async () => {
      task(1, "trial", { ...at, addresses: [await lab.addressOf("web1")] });
      await named(/^nothing$/, "trial.lab");
      await lab.onHost(1, "dcos-net", "drain", "task", "trial");
      await named(/^task: .*trial: an operator drains it or its node/, "trial.lab");
      await lab.onHost(1, "dcos-net", "drain", "task", "trial", "--off");
    });

    it("a container without route", async () => {
      const netns = await lab.netnsOf("client");
      await lab.inContainer("client", "ip", "route", "del", "default");
      await named(/^route: container .* has no route to tcp .*needs a default route/, "web.lab:80", "--from", netns);
      const gateway = (await lab.addressOf("client")).replace(/\d+$/, "1");
      await lab.inContainer("client", "ip", "route", "add", "default", "via", gateway);
    });

    it("services that somebody took away", async () => {
      const wanted = /^kernel: (?:was missing, and is put back now: |service .* is not in the kernel)/;
      // The agent looks by itself, too, and is sometimes there before the trace.
      const deletedAndTraced = async () => {
        await lab.labs.run("lab", "exec", "--node", "1", "--", "nft", "delete", "table", "inet", "dcos_l4lb");
        return broken("web.lab:80");
      };
      await eventually(SOON_MS, deletedAndTraced, (said) => wanted.test(said));
      await named(/^nothing$/, "web.lab:80");
    });

    it("a kernel that can't", async () => {
      const config = lab.config(2);
      await lab.signal(2, "SIGTERM");
      lab.configure(2, { ...config, l4lb: "ipvs" });
      await lab.start(2);
      const ask = () => lab.labs.run("lab", "exec", "--node", "2", "--", "dcos-net", "trace", "vip", "web.lab");
      await eventually(SOON_MS, ask, ({ stderr }) => /virtual IPs of this node: .*(?:IPVS|ipvs|ip_vs)/.test(stderr));
      await lab.signal(2, "SIGTERM");
      lab.configure(2, { ...config, l4lb: "off" });
      await lab.start(2);
      await eventually(SOON_MS, ask, ({ stderr }) => stderr.includes("the setting l4lb is off"));
      await lab.signal(2, "SIGTERM");
      lab.configure(2, config);
      await lab.start(2);
      await isBackedBy(3);
    });

    it("an agent that doesn't run", async () => {
      await lab.signal(1, "SIGKILL");
      expect(await broken("web.lab")).to.include("nothing listens there");
      await lab.start(1);
      await isBackedBy(3);
    });
  });
});
