import { LIMIT } from "./limit.ts";
import {
  integer,
  ipText,
  list,
  maybe,
  object,
  oneOf,
  type Parser,
  repeated,
  ShapeError,
  text,
  textSet,
} from "./shape.ts";
import type {
  Discovery,
  DiscoveryPort,
  Framework,
  PortBalance,
  Protocol,
  Task,
  TaskAddress,
  TaskAgent,
  TaskPort,
} from "./task.ts";

/** Port number of a transport protocol; 0 means none and is refused. */
export const portNumber = integer(1, 65_535);
export const protocol: Parser<Protocol> = oneOf("tcp", "udp", "sctp");
export const label = text(LIMIT.text);

const framework = repeated(object<Framework>({ id: label, name: label }));
const agent = repeated(object<TaskAgent>({ id: label, addresses: list(ipText, LIMIT.addresses) }));
const address = object<TaskAddress>({ address: ipText, network: maybe(repeated(label)) });

const discoveryPort = object<DiscoveryPort>({
  protocol,
  number: portNumber,
  scope: oneOf("host", "container"),
  name: maybe(label),
  network: maybe(label),
});

const discovery = object<Discovery>({
  name: maybe(text(LIMIT.text, 0)),
  visibility: oneOf("framework", "cluster", "external"),
  ports: list(discoveryPort, LIMIT.ports),
});

const word = text(LIMIT.word, 0);

const portFields = object<TaskPort>({
  protocol,
  host: maybe(portNumber),
  container: maybe(portNumber),
  name: maybe(repeated(label)),
  vips: textSet(label, LIMIT.vips),
  balance: maybe(repeated(object<PortBalance>({ scheduler: maybe(word), affinity: maybe(word), weight: maybe(word) }))),
});

const port: Parser<TaskPort> = (value, at) => {
  const found = portFields(value, at);
  if (found.host === undefined && found.container === undefined)
    throw new ShapeError(at, "has neither a host port nor a container port");
  return found;
};

/** A task of unknown origin in canonical form: fields in one order, addresses in canonical text, sets sorted. */
export const taskShape: Parser<Task> = object<Task>({
  id: label,
  framework,
  name: label,
  discovery: maybe(discovery),
  agent,
  addresses: list(address, LIMIT.addresses),
  mode: oneOf("host", "bridge", "container"),
  runtime: oneOf("mesos", "docker", "other"),
  ports: list(port, LIMIT.ports),
  agentPorts: list(portNumber, LIMIT.agentPorts),
  state: oneOf("preparing", "running", "killing", "terminal"),
  health: oneOf("healthy", "unhealthy", "unknown"),
  observer: oneOf("node", "master"),
});
