import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { callMesos, networkHttp, readBody, type TlsOptions } from "../../../../facts/sources/mesos-http.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { FakeMaster } from "../../../fake-mesos/master.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const forever = new AbortController().signal;

describe("networkHttp with TLS", () => {
  let directory = "";
  let master: FakeMaster;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-tls-"));
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    const files = ["-keyout", join(directory, "key.pem"), "-out", join(directory, "cert.pem")];
    const made = Bun.spawnSync(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files, ...subject]);
    if (!made.success) throw new Error(made.stderr.toString());
    const read = (name: string): string => readFileSync(join(directory, name), "utf8");
    master = new FakeMaster({ tls: { cert: read("cert.pem"), key: read("key.pem") }, authorization: "Bearer t" });
  });
  after(async () => {
    await master.stop();
    rmSync(directory, { recursive: true });
  });

  const health = async (tls: TlsOptions, token = "Bearer t"): Promise<number | string> => {
    const caller = { http: networkHttp(tls), clock: systemClock, authorization: () => token };
    const call = { url: `${master.url}/api/v1`, type: "GET_HEALTH", timeoutMs: 5_000, signal: forever };
    return callMesos(caller, call).then(
      ({ status }) => status,
      (error) => String(error),
    );
  };

  it("trusts the authorities of its file, or everybody when told so, and otherwise nobody unknown", async () => {
    expect(await health({ caFile: join(directory, "cert.pem") })).to.equal(200);
    expect(await health({ verify: false })).to.equal(200);
    expect(await health({})).to.match(/certificate/i);
  });

  it("names a file of authorities that it can't read", async () => {
    expect(await health({ caFile: join(directory, "none.pem") })).to.include(join(directory, "none.pem"));
  });

  it("sends the Authorization header that it is given", async () => {
    expect(await health({ verify: false }, "Bearer wrong")).to.equal(401);
  });
});

describe("callMesos", () => {
  it("gives up when no answer comes in time", async () => {
    const clock = fakeClock();
    const http = ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const call = { url: "http://m/api/v1", type: "GET_STATE", timeoutMs: 5_000, signal: forever };
    const said = callMesos({ http, clock }, call).catch((error) => String(error));
    await clock.advance(5_000);
    expect(await said).to.include("POST http://m/api/v1: no answer within 5000 ms");
  });
});

describe("readBody", () => {
  it("stops reading at its limit", async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        given += 1;
        yield new Uint8Array(100);
      }
    }
    const answer = { status: 200, header: () => undefined, body: endless() };
    const said = await readBody(answer, "http://m", 250).catch((error) => String(error));
    expect(said).to.include("more than 250 bytes");
    expect(given).to.equal(3);
  });
});
