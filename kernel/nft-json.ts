import type { NftElement } from "./nftables.ts";

/** Reads the answer of `list set` or `list map` in libnftables' JSON form (libnftables-json(5)). An element is its
 *  bare value, or an object `elem` with the value and its comment; in a map, a pair of that and the data. */
export function readListing(listing: unknown): NftElement[] {
  const objects = member(listing, "nftables");
  if (!Array.isArray(objects)) return [];
  return objects.flatMap((object: unknown) => {
    const set = member(object, "set") ?? member(object, "map");
    const elements = member(set, "elem");
    return Array.isArray(elements) ? elements.map((element: unknown) => readElement(element)) : [];
  });
}

function readElement(element: unknown): NftElement {
  const [left, data]: readonly unknown[] = Array.isArray(element) ? element : [element];
  const wrapped = member(left, "elem");
  const comment = member(wrapped, "comment");
  return {
    key: fields(wrapped === undefined ? left : member(wrapped, "val")),
    data: data === undefined ? [] : fields(data),
    comment: typeof comment === "string" ? comment : undefined,
  };
}

function fields(value: unknown): string[] {
  const parts = member(value, "concat");
  return Array.isArray(parts) ? parts.map((part: unknown) => text(part)) : [text(value)];
}

/** One value in nft's own words: `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `goto web`, `drop`. */
function text(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const prefix = member(value, "prefix");
  if (prefix !== undefined) return `${text(member(prefix, "addr"))}/${text(member(prefix, "len"))}`;
  const range = member(value, "range");
  if (Array.isArray(range)) return range.map((end: unknown) => text(end)).join("-");
  const [word = "", details]: readonly unknown[] = Object.entries(value)[0] ?? [];
  const target = member(details, "target");
  return target === undefined ? String(word) : `${String(word)} ${text(target)}`;
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
