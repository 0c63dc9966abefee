import { existsSync, statSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { openPluginSocket } from "../../../cnm-driver/socket.ts";
import { DockerPlugin } from "../../support/docker-plugin.ts";

describe("the Docker plugin socket", () => {
  let plugin: DockerPlugin;

  beforeEach(async () => {
    plugin = await DockerPlugin.open();
  });
  afterEach(() => plugin.close());

  const ask = (path: string, init: RequestInit = {}) => fetch(`http://plugin/${path}`, { unix: plugin.path, ...init });

  it("is for its owner only", () => {
    expect(statSync(plugin.path).mode & 0o777).to.equal(0o600);
  });

  it("answers engines of all releases, whatever host they write into a request", async () => {
    for (const Host of ["plugin.moby.localhost", "%2Frun%2Fdocker%2Fplugins%2Fdcos.sock", "api.moby.localhost", ""]) {
      const response = await ask("Plugin.Activate", { method: "POST", headers: { Host } });
      expect(response.status, Host).to.equal(200);
    }
  });

  it("answers what isn't a call of the protocol with a reason", async () => {
    for (const [path, init] of [
      ["Plugin.Activate", { method: "GET" }],
      ["", { method: "POST" }],
      ["a/b", { method: "POST" }],
      ["NetworkDriver.Unheard", { method: "POST", body: "{}" }],
    ] as const) {
      const response = await ask(path, init);
      expect(response.status, path).to.equal(404);
      expect(await response.json())
        .to.have.property("Err")
        .that.is.a("string");
    }
  });

  it("refuses a body that is too large, and goes on", async () => {
    const response = await ask("NetworkDriver.Join", { method: "POST", body: `"${"x".repeat(2 << 20)}"` });
    expect(response.status).to.equal(413);
    expect((await plugin.call("Plugin.Activate")).status).to.equal(200);
  });

  it("takes the place of a file that an earlier process has left, and leaves that of a later one", async () => {
    const path = `${plugin.folder}/left.sock`;
    writeFileSync(path, "");
    const answer = () => Promise.resolve({ status: 200, body: {} });
    const first = openPluginSocket(path, answer);
    const second = openPluginSocket(path, answer);
    await first.close();
    expect((await fetch("http://plugin/Any", { method: "POST", unix: path })).status).to.equal(200);
    await second.close();
    expect(existsSync(path)).to.equal(false);
  });
});
