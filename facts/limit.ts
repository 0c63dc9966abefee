/** How large a fact may be at most. One limit for what a node says and for what it takes from others: a source that
 *  sees more refuses that task aloud. */
export const LIMIT = {
  /** Bytes of an encoded fact. */
  factBytes: 32_768,
  /** Characters of a fact's key. Those of tasks, which may be longest, are ASCII: with its kind a key has no more than
   *  1024 bytes. */
  key: 1000,
  /** Characters of an overlay's name. */
  overlayName: 63,
  /** Characters of an id, a name, a label's value. */
  text: 1024,
  /** Characters of an error or a refusal in words. */
  sentence: 4096,
  /** Characters of a label's value that is a word or a number. */
  word: 64,
  /** Characters of a named virtual IP: with its zone it is a name in DNS. */
  vipName: 253,
  /** Addresses of a node or a container. */
  addresses: 64,
  ports: 512,
  /** Ports of the node that one task was given. */
  agentPorts: 1024,
  /** VIP labels of one port. */
  vips: 64,
  overlays: 256,
  /** Agents that one node speaks for. */
  agents: 64,
  versions: 32,
} as const;
