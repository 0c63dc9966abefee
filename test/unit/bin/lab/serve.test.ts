import { expect } from "chai";
import { fetchedLine, fetchOnce } from "../../../../bin/lab/fetch.ts";
import { serve } from "../../../../bin/lab/serve.ts";

describe("the server and the client for trying a network", () => {
  const lines: string[] = [];
  let server: ReturnType<typeof serve>;
  const get = (path: string, host = "127.0.0.1") => fetchOnce(new URL(`http://${host}:${server.port}${path}`), 5000, 0);

  before(() => {
    server = serve({ port: 0, text: "me", out: { line: (text) => void lines.push(text), note: () => {} } });
  });
  after(() => server.stop());

  it("say who answered and who asked", async () => {
    expect(lines[0]).to.include(`serving me on port ${server.port}`);
    const { status, text } = await get("/");
    expect(status).to.equal(200);
    expect(text).to.match(/^me\nserver .*\nclient 127\.0\.0\.1\n$/);
  });

  for (const count of [0, 1, 65_536, 1_000_001]) {
    it(`transfer exactly ${count} bytes`, async () => {
      expect(await get(`/bytes/${count}`)).to.include({ status: 200, bytes: count, text: undefined });
    });
  }

  it("answer 404 elsewhere", async () => {
    for (const path of ["/x", "/bytes/-1", "/bytes/99999999999"]) expect((await get(path)).status).to.equal(404);
  });

  it("fail with a sentence when nobody listens", async () => {
    const { port } = server;
    const closed = serve({ port: 0, text: "gone", out: { line: () => {}, note: () => {} } });
    await closed.stop();
    expect(closed.port).to.not.equal(port);
    let said = "";
    await fetchOnce(new URL(`http://127.0.0.1:${closed.port}/`), 1000, 0).catch((error: Error) => {
      said = error.message;
    });
    expect(said).to.include(`cannot fetch http://127.0.0.1:${closed.port}/`);
  });

  it("wait for a server that is just starting", async () => {
    const later = serve({ port: 0, text: "later", out: { line: () => {}, note: () => {} } });
    const { port } = later;
    await later.stop();
    const asked = fetchOnce(new URL(`http://127.0.0.1:${port}/`), 5000, 10_000);
    await Bun.sleep(120);
    const again = serve({ port, text: "later", out: { line: () => {}, note: () => {} } });
    expect((await asked).text).to.include("later");
    await again.stop();
  });

  it("print status, size, time and rate", () => {
    expect(fetchedLine({ status: 200, bytes: 10_000_000, milliseconds: 123, text: undefined })).to.equal(
      "200  10000000 bytes  0.123 s  81.3 MB/s",
    );
  });
});
