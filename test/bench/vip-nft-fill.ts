import { openLinux } from "../../kernel/linux.ts";
import { planeWith, servicesOf } from "./vip-nft-plane.ts";

// Leaves so many virtual IPs on nftables in the network namespace where it is started: bun vip-nft-fill.ts COUNT

planeWith(openLinux(), servicesOf(Number(process.argv[2])));
