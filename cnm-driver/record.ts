/** One family of a network, addresses as text. */
export interface RecordedPool {
  /** `9.0.1.128/25`. */
  readonly pool: string;
  readonly gateway: string;
  /** `--aux-address`: addresses that Docker has reserved and no container gets. */
  readonly aux: readonly string[];
}

/** What we remember of a Docker network. Docker tells a driver of a network once, when it is created, and asks about it
 *  for as long as it exists. */
export interface NetworkRecord {
  /** Docker's id, 64 hexadecimal digits. */
  readonly id: string;
  readonly overlay: string;
  readonly bridge: string;
  /** Bytes; the overlay's when undefined. */
  readonly mtu?: number;
  /** `--internal`: containers reach their overlay and nothing else. */
  readonly internal: boolean;
  /** Containers of the network don't reach each other on this node. */
  readonly isolated: boolean;
  readonly masquerade: boolean;
  /** The addresses come from another IPAM driver than ours: leases are ours to write, so that they are in one place. */
  readonly foreignIpam: boolean;
  readonly pools: readonly RecordedPool[];
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** A host port of an endpoint, as chosen. */
export interface RecordedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly hostPort: number;
  readonly containerPort: number;
  /** All addresses of the host when undefined. */
  readonly hostIp?: string;
}

/** What we remember of an endpoint: one container on one network, for as long as it runs. */
export interface EndpointRecord {
  /** Docker's id, 64 hexadecimal digits; every start of a container has a new one. */
  readonly id: string;
  readonly network: string;
  /** `9.0.1.130/25`, at most one of each family. */
  readonly addresses: readonly string[];
  readonly mac: string;
  /** Between Join and Leave. */
  readonly joined: boolean;
  readonly ports: readonly RecordedPort[];
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}
