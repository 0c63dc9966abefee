import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ClusterLab } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { becomes, describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";

const ZONE = "lab.containerip.dcos.thisdcos.directory";
/** Instances of one name in the test of large answers. */
const INSTANCES = 5000;

/** Runs "$@" with files of its own in the place of /etc/resolv.conf and /etc/nsswitch.conf. */
const WITH_FILES = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"';

const GO_PROGRAM = `package main

import (
	"fmt"
	"net"
	"os"
	"sort"
)

func main() {
	found, err := net.LookupHost(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	sort.Strings(found)
	for _, address := range found {
		fmt.Println(address)
	}
	_, services, err := net.LookupSRV("http", "tcp", os.Args[2])
	if err == nil {
		fmt.Println(services[0].Port)
	}
}
`;

/** Prints each address of a name with the name that this address has, or why there is none. In C because nothing that
 *  Debian or npm has ready to run calls musl's resolver: no package of Debian is linked with it, and the programs for
 *  musl on npm have resolvers of their own, or need a C++ library for musl. */
const MUSL_PROGRAM = `
#include <netdb.h>
#include <stdio.h>

int main(int count, char **words) {
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *each;
  int error = getaddrinfo(words[count - 1], 0, &hints, &each);
  if (error) puts(gai_strerror(error));
  for (; !error && each; each = each->ai_next) {
    char address[64], name[NI_MAXHOST];
    getnameinfo(each->ai_addr, each->ai_addrlen, address, sizeof address, 0, 0, NI_NUMERICHOST);
    error = getnameinfo(each->ai_addr, each->ai_addrlen, name, sizeof name, 0, 0, NI_NAMEREQD);
    printf("%s %s\\n", address, error ? gai_strerror(error) : name);
  }
  return error != 0;
}
`;

const NODE_PROGRAM = `
const dns = require("node:dns").promises;
Promise.all([
  dns.resolve4(process.argv[1]), dns.resolve6(process.argv[1]), dns.resolveSrv(process.argv[2]),
  dns.resolveAny("ready.spartan"), dns.reverse(process.argv[3]), dns.lookup(process.argv[1], { all: true }),
]).then((all) => console.log(JSON.stringify(all)), (error) => console.log(error.code));
`;

describeLab("resolvers of others in a container", function () {
  this.timeout(TEST_LIMIT_MS);
  const cluster = new ClusterLab();
  const { labs } = cluster;
  let directory = "";
  let [v4, v6] = ["", ""];

  before(async () => {
    await sweepLabs();
    directory = mkdtempSync(join(tmpdir(), "dcos-net-resolvers-"));
    writeFileSync(join(directory, "nsswitch.conf"), "hosts: files dns\n");
    writeFileSync(join(directory, "resolv.conf"), `nameserver 198.51.100.1\nnameserver 198.51.100.2\nsearch ${ZONE}\n`);
    await cluster.up("--nodes", "2");
    for (const [node, name] of [
      ["1", "web"],
      ["2", "client"],
    ] as const)
      await labs.ok("lab", "run", "--node", node, "--name", name, "--", "sleep", "1h");
    v4 = await cluster.addressOf("web");
    v6 = (await cluster.status()).containers.find(({ name }) => name === "web")?.addresses[1] ?? "";
    define("shop", [
      {
        name: "shop",
        mode: "container",
        addresses: ["9.0.77.1", "fd01:b::77"],
        ports: [{ name: "http", container: 8080 }],
      },
    ]);
    await becomes(SOON_MS, () => dig("+short", `web.${ZONE}`), `${v4}\n`);
    await becomes(SOON_MS, () => dig("+short", `shop.${ZONE}`), "9.0.77.1\n");
  });
  printsLogsOfFailures(() => labs.logs());
  after(async () => {
    await labs.clear();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Tells host 1 of tasks by a file. */
  function define(name: string, tasks: readonly object[]): void {
    writeFileSync(cluster.path(1, `tasks/${name}.json`), JSON.stringify({ framework: "lab", tasks }));
  }

  const dig = (...query: string[]) =>
    cluster.inContainer("client", "dig", "@198.51.100.1", "+tries=1", "+timeout=2", ...query).catch(String);

  /** Runs a program in the container as its own resolv.conf tells it; what it prints, whatever its status. */
  async function resolving(...command: string[]): Promise<string> {
    const files = ["resolv.conf", "nsswitch.conf"].map((name) => join(directory, name));
    const inside = ["unshare", "--mount", "sh", "-c", WITH_FILES, "sh", ...files, ...command];
    const { stdout, stderr } = await labs.run("lab", "exec", "--name", "client", "--", ...inside);
    return stdout + stderr;
  }

  function needs(context: Mocha.Context, program: string): void {
    if (Bun.which(program) !== null) return;
    if (context.test !== undefined) context.test.title += ` (skipped: ${program} is not installed)`;
    context.skip();
  }

  it("glibc's getent finds both families, by the whole name and by the search list, and the name of an address", async () => {
    expect(await resolving("getent", "ahostsv4", `web.${ZONE}`)).to.match(new RegExp(`^${v4} +STREAM web\\.${ZONE}`));
    expect(await resolving("getent", "ahosts", "web"))
      .to.include(v4)
      .and.to.include(v6);
    expect(await resolving("getent", "hosts", v4)).to.match(new RegExp(`^${v4} +web\\.${ZONE}`));
    expect(await resolving("getent", "hosts", v6)).to.include(`web.${ZONE}`);
    expect(await resolving("getent", "ahosts", `nothing.${ZONE}`)).to.equal("");
  });

  it("glibc's parallel questions for A and AAAA from one socket are both answered, every time", async () => {
    const script = 'for i in $(seq 50); do getent ahosts "$1" | grep -c STREAM; done';
    const counts = (await resolving("sh", "-c", script, "sh", `web.${ZONE}`)).trim().split("\n");
    expect(counts).to.deep.equal(Array.from({ length: 50 }, () => "2"));
  });

  it("busybox's nslookup finds both families and the name of an address", async function () {
    needs(this, "busybox");
    const found = await resolving("busybox", "nslookup", `web.${ZONE}`);
    expect(found).to.include(v4).and.to.include(v6);
    expect(await resolving("busybox", "nslookup", v4)).to.include(`web.${ZONE}`);
    expect(await resolving("busybox", "nslookup", `nothing.${ZONE}`)).to.include("NXDOMAIN");
  });

  it("kdig sees an authoritative answer over UDP and TCP, and many questions on one connection", async function () {
    needs(this, "kdig");
    const ask = (...how: string[]) => resolving("kdig", "@198.51.100.1", "+retry=0", "+timeout=2", ...how);
    for (const how of ["+notcp", "+tcp"]) expect(await ask(how, `web.${ZONE}`)).to.match(/Flags: qr aa rd ra?/);
    const names = Array.from({ length: 20 }, () => `web.${ZONE}`);
    const answers = (await ask("+tcp", "+keepopen", "+short", ...names)).trim().split("\n");
    expect(answers).to.deep.equal(names.map(() => v4));
  });

  it("delv, which checks what it gets, takes the answer as an unsigned one", async function () {
    needs(this, "delv");
    const found = await resolving("delv", "@198.51.100.1", "-i", `web.${ZONE}`, "A");
    expect(found).to.match(new RegExp(`web\\.${ZONE}\\.\\s+\\d+\\s+IN\\s+A\\s+${v4}`));
  });

  it("drill sees an authoritative answer over UDP and TCP, and the name of an address", async function () {
    needs(this, "drill");
    for (const how of ["-u", "-t"]) {
      const found = await resolving("drill", how, "@198.51.100.1", `web.${ZONE}`, "A");
      expect(found).to.match(/flags: qr aa rd ra/);
      expect(found).to.match(new RegExp(`web\\.${ZONE}\\.\\s+5\\s+IN\\s+A\\s+${v4}`));
    }
    expect(await resolving("drill", "-x", "@198.51.100.1", v6)).to.match(new RegExp(`PTR\\s+web\\.${ZONE}\\.`));
    const none = await resolving("drill", "@198.51.100.1", `web.${ZONE}`, "MX");
    expect(none)
      .to.match(/rcode: NOERROR/)
      .and.to.match(/AUTHORITY SECTION:\n\S+\s+1\s+IN\s+SOA/);
  });

  it("musl finds both families, by the whole name and by the search list, and the names of addresses", async function () {
    needs(this, "musl-gcc");
    const program = join(directory, "musl");
    writeFileSync(`${program}.c`, MUSL_PROGRAM);
    const built = Bun.spawnSync(["musl-gcc", "-static", "-o", program, `${program}.c`]);
    expect(built.exitCode, built.stderr.toString()).to.equal(0);
    const both = [v4, v6].map((address) => `${address} web.${ZONE}`).sort();
    for (const name of [`web.${ZONE}`, "web"])
      expect((await resolving(program, name)).trim().split("\n").sort()).to.deep.equal(both);
    expect(await resolving(program, `nothing.${ZONE}`)).to.equal("Name does not resolve\n");
    // A name that others exist below, and that has no records itself.
    expect(await resolving(program, `_tcp.${ZONE}`)).to.match(/^Name has no usable address|^Name does not resolve/);
  });

  it("find the name of a node by its address, and the address by that name", async () => {
    const [address = ""] = (await dig("+short", "thisnode.thisdcos.directory", "A")).trim().split("\n");
    const name = (await dig("+short", "-x", address)).trim();
    expect(name).to.match(/^\S+\.node\.dcos\.thisdcos\.directory\.$/);
    expect(await dig("+short", name, "A")).to.equal(`${address}\n`);
    expect(await resolving("getent", "hosts", address)).to.match(new RegExp(`^${address} +${name.slice(0, -1)}`));
  });

  it("Node finds addresses, services, all records of a name, and names of addresses", async function () {
    needs(this, "node");
    const text = await resolving("node", "-e", NODE_PROGRAM, `web.${ZONE}`, `_http._shop._tcp.${ZONE}`, v4);
    const [a, aaaa, srv, any, names, both] = JSON.parse(text);
    expect([a, aaaa, names]).to.deep.equal([[v4], [v6], [`web.${ZONE}`]]);
    expect(srv).to.have.length(1);
    expect(srv[0]).to.include({ priority: 1, weight: 1, port: 8080 });
    expect(any).to.deep.equal([{ address: "127.0.0.1", ttl: 5, type: "A" }]);
    expect(both.map(({ address }: { address: string }) => address).sort()).to.deep.equal([v4, v6].sort());
  });

  it("Go's own resolver finds addresses and services", async function () {
    needs(this, "go");
    const program = join(directory, "lookup");
    mkdirSync(join(directory, "go"));
    writeFileSync(`${program}.go`, GO_PROGRAM);
    const environment = { HOME: directory, GOCACHE: join(directory, "go"), GOFLAGS: "-mod=mod", CGO_ENABLED: "0" };
    const built = Bun.spawnSync(["go", "build", "-o", program, `${program}.go`], {
      cwd: directory,
      env: { ...environment, PATH: process.env["PATH"] ?? "" },
    });
    expect(built.exitCode, built.stderr.toString()).to.equal(0);
    const found = await resolving(program, `shop.${ZONE}`, ZONE);
    expect(found).to.equal("9.0.77.1\nfd01:b::77\n");
    expect(await resolving(program, "web", ZONE)).to.include(v4);
  });

  it("get all of five thousand instances behind one name over TCP, and a turning part that fits over UDP", async () => {
    const tasks = Array.from({ length: INSTANCES }, (_, index) => ({
      name: "many",
      mode: "container",
      addresses: [`9.1.${index >> 8}.${index & 255}`],
    }));
    define("many", tasks);
    const short = (...how: string[]) => dig("+short", ...how, `many.${ZONE}`);
    // A message over TCP has at most 65,535 bytes: 4,090 records of 16 bytes.
    const whole = async () => (await short("+tcp")).trim().split("\n");
    const all = await eventually(20_000, whole, (lines) => lines.length > 4000);
    expect(new Set(all).size).to.equal(all.length);
    const parts = await Promise.all(["1", "2"].map(() => short("+ignore", "+nocookie", "+notcp")));
    const [first = [], second = []] = parts.map((part) => part.trim().split("\n"));
    expect(first.length).to.be.within(60, 80);
    expect(first).to.not.deep.equal(second);
    expect(await dig("+ignore", "+nocookie", `many.${ZONE}`)).to.match(/flags: qr aa tc/);
    expect((await resolving("getent", "ahostsv4", `many.${ZONE}`)).split("\n").length).to.be.greaterThan(4000);
    define("many", []);
    await eventually(
      SOON_MS,
      () => short("+tcp"),
      (text) => text === "",
    );
  });
});

describeLab("a host's resolv.conf", function () {
  this.timeout(TEST_LIMIT_MS);
  const cluster = new ClusterLab();
  const { labs } = cluster;
  const FOREIGN = "nameserver 10.77.0.99\nsearch corp.example\n";
  let file = "";

  before(async () => {
    await sweepLabs();
    await cluster.up("--nodes", "1");
    file = cluster.path(1, "resolv.conf");
    writeFileSync(file, FOREIGN);
    cluster.configure(1, { ...cluster.config(1), dns_resolv_conf: file, dns_search: "dcos.thisdcos.directory" });
    await cluster.signal(1, "SIGTERM");
    await cluster.start(1);
  });
  printsLogsOfFailures(() => labs.logs());
  after(() => labs.clear());

  const read = async () => readFileSync(file, "utf8");
  const command = (...words: string[]) =>
    cluster.onHost(1, "dcos-net", "--config", cluster.path(1, "config.json"), ...words);
  const OWN = `nameserver 198.51.100.1
nameserver 198.51.100.2
nameserver 198.51.100.3
search dcos.thisdcos.directory corp.example
options timeout:1 attempts:3
`;
  const ownText = async () => (await read()).replace(/^#.*\n/, "");

  it("leads to the agent's addresses as soon as these are served, and those it named before are asked for the rest", async () => {
    await becomes(SOON_MS, ownText, OWN);
    expect(await command("dns", "zones")).to.include("10.77.0.99:53");
    expect(await command("dns", "query", "www.example.org")).to.include("10.77.0.99:53");
  });

  it("is written anew after another program has, which is then the one that says who is asked", async () => {
    // In one step, or the agent may find it while it is still empty.
    writeFileSync(`${file}.new`, "nameserver 10.77.0.88\nnameserver 198.51.100.1\n");
    renameSync(`${file}.new`, file);
    await becomes(SOON_MS, ownText, OWN.replace(" corp.example", ""));
    await eventually(
      SOON_MS,
      () => command("dns", "zones"),
      (text) => text.includes("10.77.0.88:53"),
    );
    expect(await command("dns", "zones")).to.not.include("10.77.0.99");
  });

  it("is as it was after the agent was stopped and what it made was removed", async () => {
    await cluster.signal(1, "SIGTERM");
    expect(await ownText()).to.equal(OWN.replace(" corp.example", ""));
    expect(await command("dns", "remove")).to.include(`removed: our ${file}\n`);
    expect(await read()).to.equal("nameserver 10.77.0.88\nnameserver 198.51.100.1\n");
    expect(await command("dns", "remove")).to.equal("nothing of ours is there\n");
    await cluster.start(1);
  });
});
