import { sampleMesosState } from "./mesos-state.ts";

// Serves GET /master/state at the address and port of its arguments, for a test in a namespace of its own.
const [hostname = "", port = ""] = process.argv.slice(2);
Bun.serve({
  hostname,
  port: Number(port),
  fetch({ url }) {
    if (new URL(url).pathname !== "/master/state") return new Response("", { status: 404 });
    return Response.json(sampleMesosState(`${hostname}:${port}`));
  },
});
console.log("ready");
