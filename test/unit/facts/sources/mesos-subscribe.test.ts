import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { type HttpSend, networkHttp } from "../../../../facts/sources/mesos-http.ts";
import { listedMasters } from "../../../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../../../facts/sources/mesos-master.ts";
import { encodeRecord } from "../../../../facts/sources/mesos-recordio.ts";
import { DEFAULT_LIMITS, subscribe } from "../../../../facts/sources/mesos-subscribe.ts";
import type { JsonObject } from "../../../../facts/task-mesos-json.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { Collector, until } from "../../../fake-mesos/collector.ts";
import type { Json } from "../../../fake-mesos/json.ts";
import { answerWith } from "../../../fake-mesos/replay.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const encode = (event: Json): Uint8Array => encodeRecord(new TextEncoder().encode(JSON.stringify(event)));

/** What a subscription with this HTTP ended with, and the events before. */
async function outcome(http: HttpSend, base = "http://m:5050"): Promise<{ error: string; events: JsonObject[] }> {
  const events: JsonObject[] = [];
  const caller = { http, clock: fakeClock() };
  const { signal } = new AbortController();
  const onEvent = (event: JsonObject): void => void events.push(event);
  const run = subscribe({ caller, base, signal, limits: DEFAULT_LIMITS, onEvent, onPause: () => {} });
  const error = await run.catch((reason) => String(reason));
  return { error, events };
}

async function* body(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

describe("subscribe", () => {
  it("says whether the stream ended between records or inside one", async () => {
    const heartbeat = encode({ type: "HEARTBEAT" });
    const whole = await outcome(async () => answerWith(200, body(heartbeat)));
    expect(whole.error).to.include("the master ended the stream");
    const cut = await outcome(async () => answerWith(200, body(heartbeat, heartbeat.subarray(0, 9))));
    expect(cut.error).to.include("broke off inside a record");
    expect(cut.events).to.have.length(1);
  });

  it("follows redirects without scheme, not without end, and not out of TLS", async () => {
    const asked: string[] = [];
    const moving =
      (location: string): HttpSend =>
      async ({ url }) => {
        asked.push(url);
        return answerWith(307, body(), { location });
      };
    expect((await outcome(moving("//n:5050/master/api/v1"))).error).to.include("more than 3 redirects");
    expect(asked).to.deep.equal(["http://m:5050/api/v1", ...Array(3).fill("http://n:5050/master/api/v1")]);
    asked.length = 0;
    expect((await outcome(moving("http://n:5050/api/v1"), "https://m:5050")).error).to.include("without TLS");
    expect(asked).to.deep.equal(["https://m:5050/api/v1"]);
    expect((await outcome(moving("file:///etc/passwd"))).error).to.include("HTTP 307");
  });

  it("shows the start of what a refusal says, however long it is", async () => {
    const long = new TextEncoder().encode("No leader\n elected ".repeat(10_000));
    const { error } = await outcome(async () => answerWith(503, body(long)));
    expect(error).to.include("HTTP 503: No leader elected").and.have.length.lessThan(500);
  });

  it("holds no more memory after half a gigabyte of events than after few", async function () {
    this.timeout(120_000);
    const program = fileURLToPath(new URL("../../../fake-mesos/huge-stream.ts", import.meta.url));
    const events = 5_000;
    const server = Bun.spawn([process.execPath, program, String(events), "100000"], { stdout: "pipe" });
    const { value } = await server.stdout.getReader().read();
    const sink = new Collector();
    const source = new MesosMasterSource({
      caller: { http: networkHttp(), clock: systemClock },
      leader: listedMasters([new TextDecoder().decode(value).trim()]),
      resolve: async () => [],
      random: () => 0,
    });
    source.start(sink);
    await until(() => source.status().events > 500, "the first tenth", 60_000);
    Bun.gc(true);
    const early = process.memoryUsage.rss();
    await until(() => source.status().events > events, "all events", 100_000);
    Bun.gc(true);
    const late = process.memoryUsage.rss();
    await source.stop();
    server.kill();
    await server.exited;
    expect(sink.problems).to.deep.equal([]);
    expect(sink.ids()).to.deep.equal(["t"]);
    expect((late - early) / 1e6).to.be.lessThan(100);
  });
});
