/** Definition of the set `links` that {@link MASQUERADE_RULES} need in their table, in nft's language. It only ever has
 *  elements of twice the same interface. */
export const LINKS_SET = "type iface_index . iface_index ; flags dynamic ; size 65535 ;";

/** A rule of nftables, and the comment that names it. */
export interface MasqueradeRule {
  readonly name: string;
  readonly text: string;
}

/** Rules of a nat chain at hook postrouting, for connections whose destination was a virtual IP and is a backend now. A
 *  backend that would answer past us must see us as the sender: one that is reached through the interface that the
 *  client's packets came from, such as the client itself or its neighbour on a bridge. nft can't compare two
 *  interfaces, so the packet adds the pair of twice its incoming one to a set, and then looks for its own pair there.
 *  Where bridges call iptables (net.bridge.bridge-nf-call-iptables, which Docker switches on), such a packet goes back
 *  through its bridge without having an incoming interface. A process of the host has chosen its source address before
 *  anybody knew where its packets would go. */
export const MASQUERADE_RULES: readonly MasqueradeRule[] = [
  { name: "loopback", text: 'oifname "lo" return' },
  { name: "host", text: "fib saddr type local masquerade" },
  { name: "link", text: "add @links { iif . iif }" },
  { name: "turned", text: "iif . oif @links masquerade" },
  { name: "bridged", text: "iif 0 masquerade" },
];
