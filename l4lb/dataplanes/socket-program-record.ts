import { CONNECTION_VALUE, PART, PART_BITS, PARTS, PLACE_VALUE } from "./socket-layout.ts";
import type { ProgramWriter } from "./socket-program-writer.ts";

/** Where on the stack is what these steps work on. `cookie`: of the socket. `connection`: what is noted, as in
 *  CONNECTION_VALUE. `scratch`: 16 bytes that only they use. */
export interface RecordStack {
  readonly cookie: number;
  readonly connection: number;
  readonly scratch: number;
}

/** What lies in `scratch`: address of the number in `held`, key of the part. */
const SCRATCH = { held: 0, part: 8 } as const;

/** Notes the connection of a socket, which may have one already: in its place, when nobody is noted there, or else in
 *  `crowded`. In its place the cookie is what is written last, and taken away before anything changes. Goes to
 *  "allow" when the maps are not as they should be. */
export function noteConnection(writer: ProgramWriter, stack: RecordStack): void {
  const held = stack.scratch + SCRATCH.held;
  findPlace(writer, stack);
  writer.store(8, "r10", held, "r0");
  if (writer.isRecent) {
    writer.move("r3", "r0").move("r0", 0).move("r1", 1).compareAndSwap("r3", 0, "r1").jumpIf("r0", "==", 0, "its own");
    leaveUnlessOwn(writer, stack, "taken");
    writer.store(8, "r2", PLACE_VALUE.cookie, 0).label("its own");
    writer.copy("r2", PLACE_VALUE.connection, "r10", stack.connection, CONNECTION_VALUE.bytes);
    writer.load(8, "r1", "r10", stack.cookie).store(8, "r2", PLACE_VALUE.cookie, "r1").jump("noted").label("taken");
  }
  writer.update("crowded", stack.cookie, stack.connection, true).jumpIf("r0", "==", 0, "one more");
  writer.update("crowded", stack.cookie, stack.connection).jump("noted");
  writer.label("one more").load(8, "r1", "r10", held).move("r2", 1).atomicAdd("r1", 0, "r2");
  writer.label("noted");
}

/** The socket has no connection any more. Goes to "allow" when the maps are not as they should be. */
export function forgetConnection(writer: ProgramWriter, stack: RecordStack): void {
  const held = stack.scratch + SCRATCH.held;
  findPlace(writer, stack);
  writer.load(8, "r1", "r0", 0).jumpIf("r1", "==", 0, "forgotten").store(8, "r10", held, "r0");
  leaveUnlessOwn(writer, stack, "elsewhere");
  writer.store(8, "r2", PLACE_VALUE.cookie, 0).jump("one less");
  writer.label("elsewhere").remove("crowded", stack.cookie).jumpIf("r0", "!=", 0, "forgotten");
  writer.label("one less").load(8, "r1", "r10", held).move("r2", -1);
  // The place must be free before others can have it.
  if (writer.isRecent) writer.fetchAndAdd("r1", 0, "r2");
  else writer.atomicAdd("r1", 0, "r2");
  writer.label("forgotten");
}

/** r0 = address of the socket's connection. Goes to "allow" when it has none. */
export function findConnection(writer: ProgramWriter, stack: RecordStack): void {
  findPlace(writer, stack);
  writer.load(8, "r1", "r0", 0).jumpIf("r1", "==", 0, "allow");
  leaveUnlessOwn(writer, stack, "elsewhere");
  writer.move("r0", "r2").compute("add", "r0", PLACE_VALUE.connection).jump("found");
  writer.label("elsewhere").lookUp("crowded", stack.cookie).jumpIf("r0", "==", 0, "allow").label("found");
}

/** r0 = address of the socket's number in `held`, r2 = address of its place. r1 and r3 are lost. */
function findPlace(writer: ProgramWriter, stack: RecordStack): void {
  const part = stack.scratch + SCRATCH.part;
  writer
    .load(8, "r1", "r10", stack.cookie)
    .compute("rsh", "r1", PART_BITS)
    .compute("and", "r1", PARTS - 1);
  // An array has all its elements, but the verifier doesn't know that.
  writer.store(4, "r10", part, "r1").lookUp("connections", part).jumpIf("r0", "==", 0, "allow");
  writer.load(8, "r1", "r10", stack.cookie).compute("and", "r1", 2 ** PART_BITS - 1);
  writer.move("r3", "r1").compute("mul", "r3", PLACE_VALUE.bytes);
  writer.move("r2", "r0").compute("add", "r2", "r3").compute("add", "r2", PART.places);
  writer.compute("lsh", "r1", 3).compute("add", "r0", "r1");
}

/** Goes to `elsewhere` when the place at r2 isn't the socket's. r1 and r3 are lost. */
function leaveUnlessOwn(writer: ProgramWriter, stack: RecordStack, elsewhere: string): void {
  writer.load(8, "r1", "r10", stack.cookie).load(8, "r3", "r2", PLACE_VALUE.cookie);
  writer.jumpIf("r1", "!=", "r3", elsewhere);
}
