import { readU8 } from "./attribute.ts";
import type { Watch } from "./kernel.ts";
import { decodeLink, RTM_DELLINK, RTM_NEWLINK } from "./link.ts";
import { type Message, NETLINK_ROUTE, Netlink } from "./netlink.ts";
import { RT_TABLE_MAIN } from "./route.ts";

/** Multicast groups of links, IPv4 routes and IPv6 routes, each the bit of its number less one (linux/rtnetlink.h
 *  RTNLGRP_*). */
const GROUPS = 0x1 | 0x40 | 0x400;
const AF_INET = 2;
const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** A `Kernel.watchHostRoutes` in the calling thread's namespace. A route to a single address is reported whatever its
 *  link is, because the message about a route that takes another one's place shows only the new one. */
export function openHostRouteWatch(dev: string): Watch {
  const socket = Netlink.open(NETLINK_ROUTE, GROUPS);
  return {
    changed: () => socket.drain((message) => isAbout(dev, message)),
    close: () => socket.close(),
  };
}

/** A route message has its family in byte 0, the length of its destination in byte 1 and its table, where the number
 *  is below 256, in byte 4 (struct rtmsg). */
function isAbout(dev: string, message: Message): boolean {
  if (message.type === RTM_NEWLINK || message.type === RTM_DELLINK) return decodeLink(message).name === dev;
  if (readU8(message.payload, 4) !== RT_TABLE_MAIN) return false;
  return readU8(message.payload, 1) === (readU8(message.payload, 0) === AF_INET ? IPV4_BITS : IPV6_BITS);
}
