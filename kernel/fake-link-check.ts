import { Refusal } from "./fake-refusal.ts";
import type { FakeStack } from "./fake-state.ts";
import type { LinkSpec, Mac } from "./kernel.ts";
import { macBytes } from "./link.ts";

/** What a link has that was given no hardware address. */
export const ZERO_MAC = "00:00:00:00:00:00";
const NAME_BYTES_MAX = 15;
const ALIAS_BYTES_MAX = 255;
const MTU_MIN = 68;
const MTU_MAX = 65535;
const VNI_MAX = (1 << 24) - 1;
const utf8 = new TextEncoder();

/** The length that the attribute's policy allows. */
export function checkNameLength(name: string): void {
  if (utf8.encode(name).length > NAME_BYTES_MAX) throw new Refusal("ERANGE", "Attribute failed policy validation");
}

/** dev_valid_name. */
export function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || /[/:\s]/.test(name)) throw new Refusal("EINVAL");
}

/** The length that the attribute's policy allows. */
export function checkAlias(alias: string): void {
  if (utf8.encode(alias).length > ALIAS_BYTES_MAX) throw new Refusal("ERANGE", "Attribute failed policy validation");
}

/** Only unicast addresses name a link; malformed ones are refused by the encoder on the real kernel, and here. */
export function checkMac(mac: Mac | undefined): void {
  if (mac === undefined) return;
  const [first = 0] = macBytes(mac);
  if ((first & 1) !== 0 || mac === ZERO_MAC) throw new Refusal("EADDRNOTAVAIL");
}

/** The range of the driver, bytes; undefined is fine. */
export function checkMtu(mtu: number | undefined): void {
  if (mtu === undefined) return;
  if (mtu < MTU_MIN) throw new Refusal("EINVAL", "mtu less than device minimum");
  if (mtu > MTU_MAX) throw new Refusal("EINVAL", "mtu greater than device maximum");
}

/** A VXLAN network identifier has 24 bits. */
export function checkVni(vni: number): void {
  if (vni > VNI_MAX) throw new Refusal("ERANGE");
}

/** Two devices would compete for the same packets when VNI, port and family are equal. */
export function checkVxlan(stack: FakeStack, spec: Extract<LinkSpec, { kind: "vxlan" }>): void {
  const family = spec.local?.family ?? 4;
  for (const { vxlan } of stack.links) {
    if (vxlan?.vni === spec.vni && vxlan.port === spec.port && (vxlan.local?.family ?? 4) === family) {
      throw new Refusal("EEXIST", "A VXLAN device with the specified VNI already exists");
    }
  }
}

/** What this machine's kernel was built without. */
export function checkFeatures(stack: FakeStack, spec: LinkSpec): void {
  const { features } = stack.machine;
  if (spec.kind === "dummy" && !features.dummy) throw new Refusal("EOPNOTSUPP", "Unknown device type");
  if (spec.kind === "bridge" && spec.vlanFiltering === true && !features.vlanFiltering) throw new Refusal("EOPNOTSUPP");
}
