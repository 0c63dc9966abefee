import { readU8 } from "./attribute.ts";
import { type Message, NETLINK_NETFILTER, Netlink } from "./netlink.ts";
import { generationIn, NEWGEN, tableIn } from "./nft-outline.ts";
import type { NftWatch } from "./nftables.ts";

/** The multicast group of nf_tables as a bit: the number of NFNLGRP_NFTABLES less one (linux/netfilter/nfnetlink.h). */
const GROUP = 0x40;

/** A `Nftables.watch` in the calling thread's namespace. The kernel tells of every object of a transaction, and then of
 *  the generation that the transaction has made. */
export function openTableWatch(family: number, table: string): NftWatch {
  const socket = Netlink.open(NETLINK_NETFILTER, GROUP);
  let isTouched = false;
  const isAboutTable = (message: Message) => readU8(message.payload) === family && tableIn(message) === table;
  return {
    changed() {
      const generations: number[] = [];
      const isOverrun = socket.drain((message) => {
        if (message.type !== NEWGEN) isTouched ||= isAboutTable(message);
        else {
          if (isTouched) generations.push(generationIn(message));
          isTouched = false;
        }
        return false;
      });
      if (!isOverrun) return generations;
      isTouched = false;
      return undefined;
    },
    close: () => socket.close(),
  };
}
