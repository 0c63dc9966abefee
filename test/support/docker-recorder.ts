import { appendFileSync } from "node:fs";

/** Stands between Docker and a plugin and writes down what they say. Arguments: the socket to listen on, the plugin's
 *  own, and the file of the recording, which gets a line of JSON `[method, body, reply]` for each call; body is null
 *  when there was none. Calls that the plugin doesn't answer are answered with status 500. Prints `ready` when it
 *  listens. */
const [listen = "", plugin = "", recording = ""] = process.argv.slice(2);

Bun.serve({
  unix: listen,
  fetch: async (request) => {
    const method = request.url.replace(/^.*\//, "");
    const body = await request.text();
    const call = { method: "POST", unix: plugin, ...(body === "" ? {} : { body }) };
    const response = await fetch(`http://plugin/${method}`, call);
    const reply = await response.text();
    appendFileSync(recording, `["${method}",${body.trim() || "null"},${reply}]\n`);
    return new Response(reply, { status: response.status });
  },
});
console.log("ready");
