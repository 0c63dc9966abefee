import { Refusal } from "./fake-refusal.ts";
import type { FakeLink } from "./fake-state.ts";

/** VLAN 1 is where frames without a tag go until told otherwise. */
export function joinDefaultVlan(link: FakeLink): void {
  if (link.stack.machine.features.vlanFiltering) link.vlans.set(1, { pvid: true, untagged: true });
}

/** `bridge vlan add`. A second PVID takes the place of the first. */
export function addVlan(
  link: FakeLink,
  vid: number,
  flags: { readonly pvid: boolean; readonly untagged: boolean },
): void {
  checkVlan(link, vid);
  if (flags.pvid) for (const [other, { untagged }] of link.vlans) link.vlans.set(other, { pvid: false, untagged });
  link.vlans.set(vid, { pvid: flags.pvid, untagged: flags.untagged });
}

/** `bridge vlan del`. */
export function deleteVlan(link: FakeLink, vid: number): void {
  checkVlan(link, vid);
  if (!link.vlans.delete(vid)) throw new Refusal("ENOENT");
}

function checkVlan(link: FakeLink, vid: number): void {
  const bridged = link.master !== undefined || link.bridge !== undefined;
  if (!bridged || !link.stack.machine.features.vlanFiltering) throw new Refusal("EOPNOTSUPP");
  if (!Number.isInteger(vid) || vid < 1 || vid > 4094) throw new Refusal("EINVAL");
}
