import type { Step } from "./peer-scenario.ts";

/** One thing that differs after one call. Either side is undefined where the other has something that it hasn't. */
export interface Difference {
  /** Name of the scenario. */
  readonly scenario: string;
  /** The call, and its number in the scenario from 0. */
  readonly step: Step;
  readonly index: number;
  readonly path: string;
  readonly reference: string | undefined;
  readonly ours: string | undefined;
  /** Some ADD of the scenario has succeeded so far. */
  readonly anyAdded: boolean;
  /** Some container's only ADD so far was refused by both sides. */
  readonly anyRefused: boolean;
}

/** A difference from the reference plugins that is meant to be. */
export interface Intended {
  readonly reason: string;
  covers(difference: Difference): boolean;
}

/** Paths of what an attachment consists of in the kernel. */
const ATTACHMENT = /^(node|box\d) (link|address|route[46]|net\/\S*)\b/;

function withoutNamespace({ env }: Step): boolean {
  return env !== undefined && "CNI_NETNS" in env && (env["CNI_NETNS"] ?? "") === "";
}

/** Every way in which our plugins are meant to differ from version 1.1.1 of the reference. */
export const INTENDED: readonly Intended[] = [
  {
    reason: "errors carry the specification's numbers; the reference says 999 for almost everything",
    covers: ({ path, reference, ours }) => path === "error code" && reference === "999" && ours !== undefined,
  },
  {
    reason: "specification 1.1.0 is supported",
    covers: ({ step, path }) =>
      (step.verb === "VERSION" && /^result\.(cniVersion|supportedVersions\.6)$/.test(path)) ||
      (typeof step.config === "object" && "cniVersion" in step.config && step.config.cniVersion === "1.1.0"),
  },
  {
    reason: "an index beside the leases keeps allocation from reading every lease",
    covers: ({ path, reference }) => path.startsWith("file ./.dcos-net/") && reference === undefined,
  },
  {
    reason: "a call that takes no address makes neither directory nor lock",
    covers: ({ path, ours }) => path === "file ./net/lock" && ours === undefined,
  },
  {
    reason: "addresses are added with IFA_F_NODAD, so duplicate address detection needn't be turned off for the link",
    covers: ({ path, reference, ours }) => path.endsWith("/accept_dad") && reference === "0" && ours === "1",
  },
  {
    reason: "arp_notify is set only where there is an IPv4 address to announce",
    covers: ({ path, reference, ours }) => path.endsWith("/arp_notify") && reference === "1" && ours === "0",
  },
  {
    reason: "DEL without a namespace removes the link as well; the reference waits for the namespace to go",
    covers: ({ step, path, ours }) =>
      step.verb === "DEL" &&
      withoutNamespace(step) &&
      ATTACHMENT.test(path) &&
      // A bridge without ports has its own MTU again.
      (ours === undefined || path === "node link br0 mtu"),
  },
  {
    reason: "DEL succeeds although its namespace is no namespace",
    covers: ({ step, path, reference }) =>
      step.verb === "DEL" &&
      step.env?.["CNI_NETNS"] === "/etc/hostname" &&
      (path === "exit" || reference === "999" || path === "error text"),
  },
  {
    reason: "a refused ADD leaves no link; the reference leaves the container's, and the bridge made for it",
    covers: ({ path, ours, anyAdded, anyRefused }) =>
      ours === undefined && ATTACHMENT.test(path) && anyRefused && !(anyAdded && path.startsWith("node link br0")),
  },
  {
    reason: "a requested address outside the ranges is refused before any other is taken",
    covers: ({ path, ours, anyRefused }) =>
      anyRefused && path.startsWith("file ./net/last_reserved_ip") && ours === undefined,
  },
  {
    reason: "an address is taken before anything is made, and given back when that is refused: it counts as used",
    covers: ({ path, reference, anyRefused }) =>
      anyRefused && /^file \.\/net\/(last_reserved_ip\.0|lock)$/.test(path) && reference === undefined,
  },
  {
    reason: "the gateway is set up before the container's link, and belongs to the network: a refused ADD keeps it",
    covers: ({ step, path, anyAdded, anyRefused }) =>
      step.verb === "ADD" && anyRefused && !anyAdded && /^node (address br0|route4|net\/ipv4\/ip_forward)/.test(path),
  },
  {
    reason: "CHECK notices that the bridge lost the container's gateway",
    covers: ({ scenario, step, path }) =>
      scenario === "bridge, another gateway address, by force" && step.verb === "CHECK" && /^(exit|error)/.test(path),
  },
  {
    reason: "portmap's CHECK works for a container of one family; the reference looks for chains of both",
    covers: ({ step, path, reference }) =>
      step.plugin === "portmap" &&
      step.verb === "CHECK" &&
      (path === "exit" || path === "error text" || reference === "999"),
  },
  {
    reason: "portmap's DEL doesn't need the port mappings, so it doesn't fail on bad ones",
    covers: ({ step, path, reference }) =>
      step.plugin === "portmap" &&
      step.verb === "DEL" &&
      (path === "exit" || path === "error text" || reference === "999"),
  },
  {
    reason: "IP in CNI_ARGS needs no IgnoreUnknown, because addresses are allocated in the same process",
    covers: ({ step }) => step.env?.["CNI_ARGS"] === "IP=10.80.0.99",
  },
  {
    reason: "loopback answers in the shape of the configuration's version; the reference always in that of 1.0.0",
    covers: ({ step, path }) => step.plugin === "loopback" && path.startsWith("result."),
  },
];
