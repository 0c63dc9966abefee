import { CONNECTION_VALUE, PLACE_VALUE, PLACES } from "./socket-layout.ts";
import type { ProgramWriter } from "./socket-program-writer.ts";

/** Where on the stack is what these steps work on. `cookie`: of the socket. `connection`: what is noted, as in
 *  CONNECTION_VALUE. `scratch`: 24 bytes that only they use. */
export interface RecordStack {
  readonly cookie: number;
  readonly connection: number;
  readonly scratch: number;
}

/** What lies in `scratch`: address of the number in `held`, address of the place, number of the place. */
const SCRATCH = { held: 0, place: 8, index: 16 } as const;

/** Notes the connection of a socket, which may have one already: in its place, when nobody is noted there, or else in
 *  `crowded`. In its place the cookie is what is written last, and taken away before anything changes. Goes to
 *  "allow" when the maps are not as they should be. */
export function noteConnection(writer: ProgramWriter, stack: RecordStack): void {
  const held = stack.scratch + SCRATCH.held;
  if (writer.isRecent) {
    const place = stack.scratch + SCRATCH.place;
    lookUpByIndex(writer, stack, "connections");
    writer
      .store(8, "r10", place, "r0")
      .lookUp("held", stack.scratch + SCRATCH.index)
      .jumpIf("r0", "==", 0, "allow");
    writer.store(8, "r10", held, "r0").move("r3", "r0").move("r0", 0).move("r1", 1).compareAndSwap("r3", 0, "r1");
    writer.load(8, "r2", "r10", place).jumpIf("r0", "==", 0, "its own place");
    writer.load(8, "r1", "r10", stack.cookie).load(8, "r3", "r2", PLACE_VALUE.cookie).jumpIf("r1", "!=", "r3", "taken");
    writer.store(8, "r2", PLACE_VALUE.cookie, 0).label("its own place");
    writer.copy("r2", PLACE_VALUE.connection, "r10", stack.connection, CONNECTION_VALUE.bytes);
    writer.load(8, "r1", "r10", stack.cookie).store(8, "r2", PLACE_VALUE.cookie, "r1").jump("noted").label("taken");
  } else {
    lookUpByIndex(writer, stack, "held");
    writer.store(8, "r10", held, "r0");
  }
  writer.update("crowded", stack.cookie, stack.connection, true).jumpIf("r0", "==", 0, "one more");
  writer.update("crowded", stack.cookie, stack.connection).jump("noted");
  writer.label("one more").load(8, "r1", "r10", held).move("r2", 1).atomicAdd("r1", 0, "r2");
  writer.label("noted");
}

/** The socket has no connection any more. Goes to "allow" when the maps are not as they should be. */
export function forgetConnection(writer: ProgramWriter, stack: RecordStack): void {
  const held = stack.scratch + SCRATCH.held;
  lookUpByIndex(writer, stack, "held");
  writer.load(8, "r1", "r0", 0).jumpIf("r1", "==", 0, "forgotten").store(8, "r10", held, "r0");
  lookUpPlace(writer, stack, "not in its place");
  writer.store(8, "r0", PLACE_VALUE.cookie, 0).jump("one less");
  writer.label("not in its place").remove("crowded", stack.cookie).jumpIf("r0", "!=", 0, "forgotten");
  writer.label("one less").load(8, "r1", "r10", held).move("r2", -1);
  // The place must be free before others can have it.
  if (writer.isRecent) writer.fetchAndAdd("r1", 0, "r2");
  else writer.atomicAdd("r1", 0, "r2");
  writer.label("forgotten");
}

/** r0 = address of the socket's connection. Goes to "allow" when it has none. */
export function findConnection(writer: ProgramWriter, stack: RecordStack): void {
  lookUpByIndex(writer, stack, "held");
  writer.load(8, "r1", "r0", 0).jumpIf("r1", "==", 0, "allow");
  lookUpPlace(writer, stack, "not in its place");
  writer.compute("add", "r0", PLACE_VALUE.connection).jump("found");
  writer.label("not in its place").lookUp("crowded", stack.cookie).jumpIf("r0", "==", 0, "allow").label("found");
}

/** Makes the number of the socket's place, and r0 = address of what a map has for it. */
function lookUpByIndex(writer: ProgramWriter, stack: RecordStack, map: "held" | "connections"): void {
  const index = stack.scratch + SCRATCH.index;
  writer
    .load(8, "r1", "r10", stack.cookie)
    .compute("and", "r1", PLACES - 1)
    .store(4, "r10", index, "r1");
  // An array has all its elements, but the verifier doesn't know that.
  writer.lookUp(map, index).jumpIf("r0", "==", 0, "allow");
}

/** r0 = address of the socket's place; goes to `elsewhere` when that is another's. */
function lookUpPlace(writer: ProgramWriter, stack: RecordStack, elsewhere: string): void {
  writer.lookUp("connections", stack.scratch + SCRATCH.index).jumpIf("r0", "==", 0, "allow");
  writer.load(8, "r1", "r0", PLACE_VALUE.cookie).load(8, "r2", "r10", stack.cookie).jumpIf("r1", "!=", "r2", elsewhere);
}
