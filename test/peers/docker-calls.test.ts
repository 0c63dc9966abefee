import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { type DockerEngine, describeDockers } from "../support/docker-engines.ts";
import { ENDPOINT, lifeOf, NETWORK, RECORDED, SANDBOX } from "../support/docker-life.ts";
import { DockerNode, IMAGE, lines, PLUGIN_SOCKET } from "../support/docker-node.ts";

const RECORDER = fileURLToPath(new URL("../support/docker-recorder.ts", import.meta.url));
const RECORDING = "/run/calls";
/** Docker calls a driver as its socket is called. */
const DRIVER = "recorded";

describeDockers("the recording of what Docker says", ["curl"], function (engine) {
  this.timeout(120_000);
  const release = RECORDED.find((each) => each === engine.release);
  if (release === undefined) {
    it.skip(`is of other releases than ${engine.name}`);
    return;
  }

  it("is what it says today", async () => {
    // Node n1's half of the overlay.
    const expected = lifeOf({ v4: "9.0.0", v6: "fd01:b::8000:0" }, release);
    const calls = await record(engine);
    expect(calls).to.deep.equal(expected.map(([method, body, reply]) => [method, body ?? null, reply]));
  });
});

/** The calls of a network's life in the names of the recording. */
async function record(engine: DockerEngine): Promise<unknown[]> {
  const node = await DockerNode.start({ engine, hidden: true });
  try {
    const recorder = [process.execPath, RECORDER, `/run/docker/plugins/${DRIVER}.sock`, PLUGIN_SOCKET, RECORDING];
    await node.machine.start(recorder);
    const addresses = ["--ipam-driver", DRIVER, "--ipam-opt", "overlay=dcos", "--subnet", "9.0.0.128/25", "--ipv6"];
    const network = await node.docker("network", "create", "--driver", DRIVER, ...addresses, "life");
    await node.docker("run", "--detach", "--name", "web", "--network", "life", "-p", "8080:80", IMAGE, "sleep", "1000");
    const endpoint = await node.docker("inspect", "--format", "{{.NetworkSettings.Networks.life.EndpointID}}", "web");
    await node.docker("rm", "--force", "web");
    await node.docker("network", "rm", "life");
    const text = ((await node.machine.read(RECORDING)) ?? "")
      .replaceAll(network, NETWORK)
      .replaceAll(endpoint, ENDPOINT)
      .replaceAll(endpoint.slice(0, 11), ENDPOINT.slice(0, 11))
      .replaceAll(/"[^"]*\/netns\/[0-9a-f]{12}"/g, JSON.stringify(SANDBOX));
    return lines(text).map((line) => JSON.parse(line));
  } finally {
    await node.stop();
  }
}
