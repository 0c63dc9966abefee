import { arrayOf, asSection, asText, type Decode, type Section, unexpected } from "./config.ts";

/** One interface of one container, as GC lists them. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
}

/** libcni writes the list under both names: the second is what an early draft called it (cni issue 1101). */
const KEYS = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/** Reads the attachments that GC must keep. Undefined, when there is no key, means that the runtime told nothing; a
 *  list, even an empty one, is the whole truth. `null` is an empty list: so Go prints the list of a runtime without
 *  containers. Anything else throws `invalid`. These keys must be spelled exactly, for a guess here deletes. */
export function readAttachments({ fields }: Section): readonly Attachment[] | undefined {
  const key = KEYS.find((candidate) => Object.hasOwn(fields, candidate));
  if (key === undefined) return undefined;
  return fields[key] === null ? [] : asAttachments(fields[key], key);
}

const asAttachments = arrayOf<Attachment>((value, at) => {
  const { fields } = asSection(value, at);
  if (fields["containerID"] === undefined || fields["ifname"] === undefined) {
    throw unexpected(value, at, "an object with containerID and ifname");
  }
  return {
    containerId: asName(fields["containerID"], `${at}.containerID`),
    ifname: asName(fields["ifname"], `${at}.ifname`),
  };
});

const asName: Decode<string> = (value, at) => {
  const text = asText(value, at);
  if (text === "") throw unexpected(value, at, "a name that is not empty");
  return text;
};
