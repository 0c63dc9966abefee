import { request } from "node:http";
import { connect } from "node:net";
import { expect } from "chai";
import { askApi, askPages } from "../../../../bin/api/client.ts";
import { type Api, startApi } from "../../../../bin/api/server.ts";
import type { TaskPage } from "../../../../bin/api/tasks.ts";
import { VERSION } from "../../../../bin/version.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { NetError } from "../../../../lib/error.ts";
import { jsonLog } from "../../../../lib/log.ts";
import { registryOf } from "../../../../overlay/leader/registry.ts";
import { member, type SampleState, sampleState } from "../../../support/api-state.ts";
import { dnsState } from "../../../support/dns-state.ts";
import { sampleTask, taskFact } from "../../../support/facts.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";
import { VipNode } from "../../../support/vip-node.ts";
import { network, rejectionOf } from "../../overlay/leader/fixture.ts";

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const JSON_TYPE = { "Content-Type": "application/json" };

/** A connection to the API that a test writes to by hand, and what it has been told. */
function talk(port: number) {
  const socket = connect(port, "127.0.0.1");
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let text = "";
  socket.on("data", (part: Buffer) => {
    text += part.toString();
  });
  socket.once("close", () => resolve());
  socket.on("error", () => {});
  return { socket, closed, said: () => text };
}

describe("the HTTP API on a loopback port", () => {
  let sample: SampleState;
  let clock: FakeClock;
  let api: Api;
  let logged: string[];

  beforeEach(async () => {
    sample = sampleState();
    sample.master = {
      network: network(),
      leading: { epoch: 1, registry: registryOf(network(), []) },
      problem: undefined,
    };
    clock = fakeClock();
    logged = [];
    const log = jsonLog(
      "api",
      "info",
      () => new Date(0),
      (line) => void logged.push(line),
    );
    api = await startApi({ state: sample.state, address: "127.0.0.1", port: 0, clock, log });
  });

  afterEach(() => api.stop());

  const at = () => ({ address: "127.0.0.1", port: api.port });

  function ask(path: string, { method = "GET", headers = {}, body }: Asked = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number;
      headers: NodeJS.Dict<string | string[]>;
      text: string;
    }>();
    const sent = request({ ...at(), host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (part: Buffer) => {
        text += part.toString();
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.once("error", reject);
    sent.end(body);
    return promise;
  }

  async function errorOf(path: string, asked: Asked = {}) {
    const { status, headers, text } = await ask(path, asked);
    return { status, headers, error: (JSON.parse(text) as { error: Record<string, string> }).error };
  }

  it("answers every route that it lists", async () => {
    const { routes } = (await askApi(at(), "/")) as { routes: string[] };
    expect(routes).to.have.lengthOf(19);
    sample.dns = dnsState().dns;
    sample.vips = new VipNode().running();
    for (const route of routes) {
      const [method = "", shape = ""] = route.split(" ");
      const path = shape.replace("{name}", "ready.spartan").replace("query", "query?name=ready.spartan");
      const drain = '{"target": "node", "id": "m1", "drain": true}';
      const body = path.endsWith("forget") ? '{"nodes": ["n9"]}' : path.endsWith("drains") ? drain : '{"agents": []}';
      const asked = method === "GET" ? {} : { method, headers: JSON_TYPE, body };
      if (path.endsWith("forget")) sample.members.push(member("n9", "left"));
      expect((await ask(path, asked)).status, route).to.equal(200);
    }
  });

  it("takes a name from the path, as one segment, and counts all such requests as one route", async () => {
    sample.dns = dnsState().dns;
    expect((await ask("/v1/hosts/ready%2Espartan")).text).to.equal('[{"host":"ready.spartan","ip":"127.0.0.1"}]');
    expect((await ask("/v1/hosts/a/b")).status).to.equal(404);
    expect((await ask("/v1/hosts/")).status).to.equal(404);
    expect((await ask("/v1/hosts/a..b")).status).to.equal(400);
    expect((await ask("/v1/hosts/a", { method: "POST" })).status).to.equal(405);
    const { text } = await ask("/metrics");
    expect(text).to.include('dcos_net_http_requests_total{route="/v1/hosts/{name}",status="200"} 1');
  });

  it("says where names are asked for that DNS is switched off", async () => {
    sample.dns = undefined;
    const { status, error } = await errorOf("/v1/records");
    expect([status, error["code"]]).to.deep.equal([503, "unavailable"]);
    expect(error["said"]).to.include("setting dns");
  });

  it("tells its version as DC/OS does", async () => {
    const { text, headers } = await ask("/v1/version");
    expect(text).to.equal(`{"Service":"dcos-net","Version":"${VERSION}"}`);
    expect(headers["content-type"]).to.equal("application/json; charset=utf-8");
  });

  it("answers /health with 503 when the node isn't healthy", async () => {
    expect((await ask("/health")).status).to.equal(200);
    sample.settled = false;
    const { status, text } = await ask("/health");
    expect(status).to.equal(503);
    expect(JSON.parse(text)).to.include({ healthy: false });
  });

  it("gives Prometheus its page, with the requests before it counted by route", async () => {
    await ask("/v1/nodes");
    await ask("/no/such/path");
    const { text, headers } = await ask("/metrics");
    expect(headers["content-type"]).to.match(/^text\/plain; version=0\.0\.4/);
    expect(text).to.include('dcos_net_http_requests_total{route="/v1/nodes",status="200"} 1');
    expect(text).to.include('dcos_net_http_requests_total{route="none",status="404"} 1');
  });

  it("refuses a Host that is a name, whatever is asked", async () => {
    for (const path of ["/v1/nodes", "/no/such/path"]) {
      const { status, error } = await errorOf(path, { headers: { Host: `evil.example:${api.port}` } });
      expect(status).to.equal(421);
      expect(error).to.include({ code: "permission" });
    }
    expect((await ask("/v1/nodes", { headers: { Host: `localhost:${api.port}` } })).status).to.equal(200);
  });

  it("refuses what a web page can make a browser send", async () => {
    const body = '{"agents": []}';
    for (const type of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""]) {
      const { status, error } = await errorOf("/overlay-master/agents/delete", {
        method: "POST",
        headers: type === "" ? {} : { "Content-Type": type },
        body,
      });
      expect(status, type).to.equal(415);
      expect(error["remedy"]).to.include("Content-Type: application/json");
    }
    const preflight = await ask("/overlay-master/agents/delete", {
      method: "OPTIONS",
      headers: { Origin: "http://evil.example", "Access-Control-Request-Method": "POST" },
    });
    expect(preflight.status).to.equal(405);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith("access-control"))).to.deep.equal([]);
    expect(sample.forgotten).to.deep.equal([]);
  });

  it("refuses other methods and names the right ones", async () => {
    for (const [path, method, allow] of [
      ["/v1/nodes", "POST", "GET, HEAD"],
      ["/v1/nodes", "DELETE", "GET, HEAD"],
      ["/overlay-master/agents/delete", "GET", "POST"],
    ] as const) {
      const { status, headers, error } = await errorOf(path, { method });
      expect(status).to.equal(405);
      expect(headers["allow"]).to.equal(allow);
      expect(error["tried"]).to.equal(`${method} ${path}`);
    }
    expect(await ask("/v1/nodes", { method: "HEAD" })).to.include({ status: 200, text: "" });
  });

  it("refuses paths and parameters that don't exist", async () => {
    const unknown = await errorOf("/v1/node");
    expect(unknown.status).to.equal(404);
    expect(unknown.error).to.deep.equal({
      code: "not-found",
      tried: "GET /v1/node",
      said: "there is no such path",
      remedy: "GET / lists what there is",
    });
    expect((await errorOf("/v1/tasks?nmae=x")).status).to.equal(400);
    expect((await errorOf("/metrics?x=1")).status).to.equal(400);
    expect((await errorOf("/V1/nodes")).status).to.equal(404);
  });

  it("refuses a body that isn't JSON, is too large, or is compressed", async () => {
    const send = (body: string, headers = {}) =>
      errorOf("/v1/nodes/forget", { method: "POST", headers: { ...JSON_TYPE, ...headers }, body });
    expect((await send("{")).status).to.equal(400);
    expect((await send("5")).status).to.equal(400);
    expect((await send("")).status).to.equal(400);
    expect((await send(`{"nodes": ["${"x".repeat(1 << 20)}"]}`)).status).to.equal(413);
    expect((await send("{}", { "Content-Encoding": "gzip" })).status).to.equal(415);
    expect(sample.forgotten).to.deep.equal([]);
  });

  it("notes in the log who asked for a change, and what came of it", async () => {
    await ask("/overlay-master/agents/delete", { method: "POST", headers: JSON_TYPE, body: '{"agents": []}' });
    const line = logged.map((each) => JSON.parse(each)).find(({ event }) => event === "asked for a change");
    expect(line).to.include({ asked: "POST /overlay-master/agents/delete", from: "127.0.0.1", status: 200 });
  });

  it("answers 429 to too many requests, and goes on when time has passed", async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 101; count++) statuses.push((await ask("/v1/version")).status);
    expect(statuses.filter((status) => status === 200)).to.have.lengthOf(100);
    const { status, headers } = await ask("/v1/version");
    expect({ status, after: headers["retry-after"] }).to.deep.equal({ status: 429, after: "1" });
    await clock.advance(1000);
    expect((await ask("/v1/version")).status).to.equal(200);
  });

  it("answers 504 when the store doesn't", async () => {
    sample.members.push(member("n9", "left"));
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    sample.forget = () => {
      resolve();
      return new Promise<void>(() => {});
    };
    const answer = errorOf("/v1/nodes/forget", { method: "POST", headers: JSON_TYPE, body: '{"nodes": ["n9"]}' });
    await asked;
    await clock.advance(30_000);
    const { status, error } = await answer;
    expect(status).to.equal(504);
    expect(error).to.include({ code: "timeout" });
  });

  it("cuts off who is too slow to send", async () => {
    const { socket, said, closed } = talk(api.port);
    socket.write("POST /v1/nodes/forget HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    socket.write("Content-Length: 100\r\n\r\n{");
    while (clock.pending() === 0) await Bun.sleep(5);
    await clock.advance(15_000);
    await closed;
    expect(said())
      .to.match(/^HTTP\/1\.1 408 /)
      .and.to.include('"code":"timeout"');
  });

  it("answers 64 requests at the same time, and goes on when these are done", async () => {
    sample.members.push(member("n9", "left"));
    const { promise: stored, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    sample.forget = () => {
      asked += 1;
      return stored;
    };
    const forget = () => ask("/v1/nodes/forget", { method: "POST", headers: JSON_TYPE, body: '{"nodes": ["n9"]}' });
    const answers = Array.from({ length: 64 }, forget);
    while (asked < 64) await Bun.sleep(5);
    expect(await ask("/v1/version")).to.have.property("status", 429);
    resolve();
    for (const answer of answers) expect(await answer).to.have.property("status", 200);
    expect(await ask("/v1/version")).to.have.property("status", 200);
  });

  it("closes a connection whose request is more than it takes, however its size is told", async () => {
    const { socket, said, closed } = talk(api.port);
    socket.write("POST /v1/nodes/forget HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    socket.write("Transfer-Encoding: chunked\r\n\r\n");
    const piece = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    for (let count = 0; count < 17; count++) socket.write(piece);
    await closed;
    expect(said()).to.match(/^HTTP\/1\.1 413 /);
    expect(sample.forgotten).to.deep.equal([]);
  });

  it("hides its own mistakes from the asker, and shows them in the log", async () => {
    sample.forget = () => Promise.reject(new TypeError("secret detail"));
    sample.members.push(member("n9", "left"));
    const { status, error } = await errorOf("/v1/nodes/forget", {
      method: "POST",
      headers: JSON_TYPE,
      body: '{"nodes": ["n9"]}',
    });
    expect(status).to.equal(500);
    expect(JSON.stringify(error)).not.to.include("secret");
    expect(logged.join("")).to.include("secret detail");
  });

  it("listens on its address only, and gives the port back", async () => {
    const { port } = api;
    const elsewhere = rejectionOf(askApi({ address: "127.0.0.2", port }, "/v1/version"));
    expect((await elsewhere).said).to.equal("nothing listens there");
    await api.stop();
    expect(await rejectionOf(askApi({ address: "127.0.0.1", port }, "/v1/version"))).to.include({
      code: "unavailable",
    });
    api = await startApi({
      state: sample.state,
      address: "127.0.0.1",
      port,
      clock,
      log: jsonLog(
        "api",
        "error",
        () => new Date(0),
        () => {},
      ),
    });
    expect(api.port).to.equal(port);
  });

  it("says who can be asked when the port is taken", async () => {
    const log = jsonLog(
      "api",
      "error",
      () => new Date(0),
      () => {},
    );
    const again = startApi({ state: sample.state, address: "127.0.0.1", port: api.port, clock, log });
    expect(await rejectionOf(again)).to.include({ code: "io", remedy: "see who has the port with: ss -lntp" });
  });

  describe("and the client", () => {
    it("gives the answer, and throws the error that the API answered with", async () => {
      expect(await askApi(at(), "/v1/version")).to.deep.equal({ Service: "dcos-net", Version: VERSION });
      const error = await rejectionOf(askApi(at(), "/v1/nodes/forget", { nodes: ["nobody"] }));
      expect(error).to.be.instanceOf(NetError);
      expect(error).to.include({ code: "not-found", tried: "forget nodes", said: "no node is known as nobody" });
    });

    it("puts pages together", async () => {
      const facts = Array.from({ length: 1500 }, (_, index) => taskFact("m1", sampleTask({ id: `t${index}` })));
      sample.learn(...facts);
      const filters = { framework: "marathon", name: undefined };
      const tasks = await askPages(at(), "/v1/tasks", filters, (page: TaskPage) => page.tasks);
      expect(new Set(tasks.map(({ id }) => id)).size).to.equal(1500);
      expect(tasks).to.have.lengthOf(1500);
    });

    it("doesn't go through a proxy", async () => {
      const before = process.env["http_proxy"];
      process.env["http_proxy"] = "http://127.0.0.1:1";
      try {
        expect(await askApi(at(), "/v1/version")).to.include({ Service: "dcos-net" });
      } finally {
        if (before === undefined) delete process.env["http_proxy"];
        else process.env["http_proxy"] = before;
      }
    });

    it("says so when something else answers", async () => {
      const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("<html>") });
      try {
        const { port = 0 } = other;
        const error = await rejectionOf(askApi({ address: "127.0.0.1", port }, "/v1/nodes"));
        expect(error).to.include({ code: "unsupported" });
        expect(error.said).to.include("no dcos-net agent");
      } finally {
        await other.stop(true);
      }
    });
  });
});

it("the API keeps real time without being told", async () => {
  const log = jsonLog(
    "api",
    "error",
    () => new Date(0),
    () => {},
  );
  const api = await startApi({ state: sampleState().state, address: "127.0.0.1", port: 0, clock: systemClock, log });
  try {
    expect(await askApi({ address: "127.0.0.1", port: api.port }, "/v1/nodes")).to.have.lengthOf(1);
  } finally {
    await api.stop();
  }
});
