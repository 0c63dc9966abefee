import { readFileSync } from "node:fs";

/** How often TCP, in the namespace of the calling thread, has had to send the first packet of a connection again. */
export function synRetransmits(): number {
  const text = readFileSync("/proc/thread-self/net/netstat", "utf8");
  const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("TcpExt:"));
  return Number(values.split(" ")[names.split(" ").indexOf("TCPSynRetrans")]);
}
