import { encodeRecord } from "../../facts/sources/mesos-recordio.ts";
import { containerStatus, type Json } from "./json.ts";
import { MasterState } from "./state.ts";

/** A program: a master whose every subscriber gets one task, then as many updates of it as the first argument says,
 *  each of as many bytes as the second. In a process of its own, so that a test can measure the reader alone. Its
 *  first line of output is its URL. */
const [, , count = "0", size = "0"] = process.argv;

const encode = (event: Json): Uint8Array => encodeRecord(new TextEncoder().encode(JSON.stringify(event)));

const state = new MasterState();
state.addAgent({ id: "A", hostname: "10.0.0.9" });
state.addFramework({ id: "F", name: "marathon" });
state.launch({ id: "t", framework: "F", agent: "A" });
const first = encode({
  type: "SUBSCRIBED",
  subscribed: { get_state: state.getState(), heartbeat_interval_seconds: 15 },
});
const more = { container_status: containerStatus(["9.0.1.2"], "dcos"), message: "x".repeat(Number(size)) };
const [update = {}] = state.update({ task: "t", framework: "F", state: "TASK_RUNNING", more });
const event = encode(update);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  fetch() {
    let left = Number(count);
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      if (left > 0) controller.enqueue(event);
      left -= 1;
    };
    return new Response(new ReadableStream({ start: (controller) => controller.enqueue(first), pull }));
  },
});
console.log(server.url.origin);
