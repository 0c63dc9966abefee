import { countBy, counter, gauge, labelled, type Metric } from "./metric.ts";

const STATUSES = ["alive", "remembered", "unreachable", "left"] as const;
const TASK_STATES = ["preparing", "running", "killing", "terminal"] as const;

/** What gossip does. */
export const GOSSIP_METRICS: readonly Metric[] = [
  labelled(
    "gauge",
    "dcos_net_gossip_members",
    "status",
    "Nodes that gossip knows of, this one included; remembered: known from the snapshot only.",
    ({ state }) => {
      const statuses = [...state.members()].flatMap(({ status }) => (status === "forgotten" ? [] : status));
      return countBy(STATUSES, statuses);
    },
  ),
  gauge("dcos_net_gossip_settled", "1 once it is known who is there, before that 0.", ({ state }) =>
    state.isSettled() ? 1 : 0,
  ),
  labelled("counter", "dcos_net_gossip_datagrams_total", "direction", "UDP packets.", ({ state }) => {
    const { sentDatagrams, receivedDatagrams } = state.gossip().counts;
    return [
      ["sent", sentDatagrams],
      ["received", receivedDatagrams],
    ];
  }),
  labelled("counter", "dcos_net_gossip_frames_total", "direction", "Messages over TCP.", ({ state }) => {
    const { sentFrames, receivedFrames } = state.gossip().counts;
    return [
      ["sent", sentFrames],
      ["received", receivedFrames],
    ];
  }),
  labelled("counter", "dcos_net_gossip_bytes_total", "direction", "Bytes over UDP and TCP.", ({ state }) => {
    const { sentBytes, receivedBytes } = state.gossip().counts;
    return [
      ["sent", sentBytes],
      ["received", receivedBytes],
    ];
  }),
  labelled(
    "counter",
    "dcos_net_gossip_dropped_packets_total",
    "reason",
    "Packets not taken. foreign: another secret, cluster identity or format; forged: the seal is broken.",
    ({ state }) => {
      const { foreign, forged, replayed, malformed } = state.gossip().counts;
      return Object.entries({ foreign, forged, replayed, malformed });
    },
  ),
  gauge(
    "dcos_net_gossip_pending_rumors",
    "News that this node still sends on.",
    ({ state }) => state.gossip().pendingRumors,
  ),
  gauge(
    "dcos_net_gossip_slowness",
    "Factor by which the node stretches its timeouts, 1 to 9; above 1 it doubts itself.",
    ({ state }) => state.gossip().slowness,
  ),
  counter(
    "dcos_net_gossip_name_conflicts_total",
    "Packets of another node with this node's id.",
    ({ state }) => state.gossip().nameConflicts,
  ),
];

/** What is known of the cluster. */
export const FACT_METRICS: readonly Metric[] = [
  labelled("gauge", "dcos_net_facts", "kind", "Facts that count, by kind.", ({ state }) => {
    const { nodes, assignments, statuses, tasks, vips, drains } = state.facts();
    return [
      ["node", nodes.size],
      ["assignment", assignments.size],
      ["status", statuses.size],
      ["task", tasks.size],
      ["vip", vips.size],
      ["drain", drains.size],
    ];
  }),
  counter(
    "dcos_net_facts_changes_total",
    "Times that the view of the cluster has changed.",
    ({ state }) => state.facts().generation,
  ),
  labelled(
    "counter",
    "dcos_net_facts_refused_total",
    "reason",
    "Facts of others not taken. invalid: unreadable, or in another's name; limit: too many or too large.",
    ({ state }) => {
      const { refusedFacts, overLimit } = state.gossip();
      return [
        ["invalid", refusedFacts],
        ["limit", overLimit],
      ];
    },
  ),
  labelled("gauge", "dcos_net_tasks", "state", "Tasks of the whole cluster, each once.", ({ state }) => {
    const states = [...state.facts().tasks.values()].map(({ body }) => body.state);
    return countBy(TASK_STATES, states);
  }),
  labelled("gauge", "dcos_net_source_tasks", "source", "Tasks that a source of this node tells of.", ({ state }) =>
    [...state.sources()].map(({ name, tasks }) => [name, tasks] as const),
  ),
  labelled(
    "gauge",
    "dcos_net_source_up",
    "source",
    "1 when nothing is wrong with the source, otherwise 0.",
    ({ state }) => [...state.sources()].map(({ name, problem }) => [name, problem === undefined ? 1 : 0] as const),
  ),
];
