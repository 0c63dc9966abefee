import { InvalidArgumentError } from "commander";
import { NetError } from "../lib/error.ts";

/** A parser for an option or argument of a command, made of one that throws NetErrors: a value that it refuses is wrong
 *  usage. */
export function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof NetError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

/** A parser for a whole number within bounds, both included. */
export function numberFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d{1,9}$/.test(text) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`a whole number from ${least} to ${most} is needed`);
  };
}

/** The same as {@link checked} for an option that may be given several times. */
export function many<T>(parse: (text: string) => T): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before) => [...(before ?? []), checked(parse)(text)];
}
