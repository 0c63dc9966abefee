import * as packet from "dns-packet";
import { LOCAL_ZONES } from "../../dns/naming.ts";
import { dcosZone } from "../../dns/zone.ts";
import { Zones } from "../../dns/zones.ts";
import type { Task } from "../../facts/task.ts";

/** A query as another implementation writes it. */
export function queryBytes(name: string, type: string, id = 1, edns?: number): Uint8Array {
  const opt = { type: "OPT", name: ".", udpPayloadSize: edns, flags: 0, options: [] };
  return packet.encode({
    type: "query",
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: type as "A", name }],
    ...(edns === undefined ? {} : { additionals: [opt as unknown as packet.OptAnswer] }),
  });
}

/** A message as another implementation reads it. */
export function decoded(message: Uint8Array): packet.DecodedPacket & { readonly rcode: string } {
  // The type definitions don't know this field.
  return packet.decode(Buffer.from(message)) as packet.DecodedPacket & { readonly rcode: string };
}

/** A task on an overlay that runs, with whatever a test needs otherwise. */
export function taskWith(changes: Partial<Task> = {}): Task {
  return {
    id: "app.1",
    framework: { id: "F1", name: "marathon" },
    name: "myapp.mygroup",
    agent: { id: "2f3-S1", addresses: ["172.17.0.4"] },
    addresses: [{ address: "9.0.2.5" }],
    mode: "container",
    runtime: "mesos",
    ports: [],
    agentPorts: [],
    state: "running",
    health: "unknown",
    observer: "node",
    ...changes,
  };
}

export function localZones(): Zones {
  return new Zones([...LOCAL_ZONES, "9.in-addr.arpa"].map(dcosZone));
}
