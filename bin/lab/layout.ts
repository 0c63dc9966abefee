import { NetError } from "../../lib/error.ts";

/** Where the parts of one lab lie. Everything that a lab makes outside its namespaces is below `dir`. */
export interface LabLayout {
  readonly name: string;
  readonly dir: string;
  /** What the lab was asked to be: {@link LabRecord} as JSON. */
  readonly record: string;
  /** Held by whoever changes the lab. */
  readonly lock: string;
  /** The nodes file that all agents of a static lab read. */
  readonly nodesFile: string;
  /** The secret that the members of the lab's cluster have in common. */
  readonly secret: string;
  /** What the leader of the lab's overlay hands out. */
  readonly overlayNetwork: string;
  /** Everything of the lab's ZooKeeper. */
  readonly zooKeeper: string;
  /** Links to the executable under the names of the CNI plugins. */
  readonly bin: string;
  /** The namespace with the bridge that joins the hosts. */
  readonly underlay: string;
}

/** Where the parts of one host of a lab lie. */
export interface NodeLayout {
  readonly name: string;
  readonly dir: string;
  readonly netns: string;
  /** Configuration of the host's agent. */
  readonly config: string;
  readonly runDir: string;
  /** What the agent keeps over restarts. */
  readonly stateDir: string;
  /** A file for each container, from which the agent knows it as a task. */
  readonly tasks: string;
  readonly cniDir: string;
  readonly leases: string;
  readonly agentLog: string;
  /** One line for each call of a CNI plugin. */
  readonly cniLog: string;
  /** Everything of the host's Docker engine, where it has one. */
  readonly docker: string;
  readonly containers: string;
}

/** Where the parts of one container lie. */
export interface ContainerLayout {
  readonly name: string;
  readonly dir: string;
  readonly netns: string;
  readonly record: string;
  /** What the command prints. */
  readonly output: string;
}

/** Names become file names, container ids and parts of log lines. Throws a NetError `invalid`. */
export function checkName(kind: "lab" | "container", name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) return name;
  throw new NetError("invalid", {
    tried: `use ${JSON.stringify(name.slice(0, 60))} as the name of a ${kind}`,
    said: "a name is 1 to 31 small letters, digits and '-', the first a letter or digit",
  });
}

export function labLayout(root: string, name: string): LabLayout {
  const dir = `${root}/${checkName("lab", name)}`;
  return {
    name,
    dir,
    record: `${dir}/lab.json`,
    lock: `${dir}/lock`,
    nodesFile: `${dir}/nodes.json`,
    secret: `${dir}/secret`,
    overlayNetwork: `${dir}/overlay-network.json`,
    zooKeeper: `${dir}/zookeeper`,
    bin: `${dir}/bin`,
    underlay: `${dir}/underlay`,
  };
}

export function nodeLayout(lab: LabLayout, name: string): NodeLayout {
  const dir = `${lab.dir}/${name}`;
  return {
    name,
    dir,
    netns: `${dir}/netns`,
    config: `${dir}/config.json`,
    runDir: `${dir}/run`,
    stateDir: `${dir}/state`,
    tasks: `${dir}/tasks`,
    cniDir: `${dir}/cni`,
    leases: `${dir}/leases`,
    agentLog: `${dir}/agent.log`,
    cniLog: `${dir}/cni.log`,
    docker: `${dir}/docker`,
    containers: `${dir}/containers`,
  };
}

export function containerLayout(node: NodeLayout, name: string): ContainerLayout {
  const dir = `${node.containers}/${checkName("container", name)}`;
  return { name, dir, netns: `${dir}/netns`, record: `${dir}/container.json`, output: `${dir}/output.log` };
}
