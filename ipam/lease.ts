import { NetError } from "../lib/error.ts";

/** Who asks for addresses: one interface of one container. */
export interface Owner {
  readonly id: string;
  readonly ifname: string;
}

/** Who holds an address according to its lease file. `ifname` is undefined in files of early host-local releases, which
 *  wrote the container id only. */
export interface Holder {
  readonly id: string;
  readonly ifname: string | undefined;
}

/** Largest lease file, bytes. A file above this was not written as a lease. */
export const LEASE_LIMIT = 4096;

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Content of a lease file as the reference host-local writes it (plugins/ipam/host-local/backend/disk): container id,
 *  CR LF, interface name, no newline at the end. Throws `invalid` when an id or name can't be told apart in such a
 *  file. */
export function encodeLease({ id, ifname }: Owner): string {
  const content = `${id}\r\n${ifname}`;
  if (/^\S+$/.test(id) && /^\S+$/.test(ifname) && utf8.encode(content).length <= LEASE_LIMIT) return content;
  throw new NetError("invalid", {
    tried: `write a lease for container ${JSON.stringify(id.slice(0, 100))}, interface ${JSON.stringify(ifname.slice(0, 20))}`,
    said: `an id and an interface name have no white space, aren't empty and take at most ${LEASE_LIMIT} bytes together`,
  });
}

/** The holder written in a lease file; undefined when there is nothing in it, as after a crash between create and
 *  write. */
export function decodeLease(bytes: Uint8Array): Holder | undefined {
  const content = text.decode(bytes).trim();
  if (content === "") return undefined;
  const cut = content.indexOf("\r\n");
  if (cut < 0) return { id: content, ifname: undefined };
  return { id: content.slice(0, cut), ifname: content.slice(cut + 2) };
}

export function sameHolder(a: Holder, b: Holder): boolean {
  return a.id === b.id && a.ifname === b.ifname;
}

/** Of one container's leases, those that an operation on `ifname` means: the interface's own; or, when it has none,
 *  those of the old format, which don't name an interface. Without `ifname` all. */
export function leasesMeant<T extends { readonly holder: Holder }>(
  leases: readonly T[],
  ifname: string | undefined,
): readonly T[] {
  if (ifname === undefined) return leases;
  const own = leases.filter(({ holder }) => holder.ifname === ifname);
  return own.length > 0 ? own : leases.filter(({ holder }) => holder.ifname === undefined);
}
