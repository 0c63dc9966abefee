import { equalPrefix, type Prefix } from "../lib/address.ts";
import { Refusal } from "./fake-refusal.ts";
import type { FakeStack } from "./fake-state.ts";
import type { Rule } from "./kernel.ts";

/** `ip rule add`. Without a priority the rule comes directly before the second one that is there: the first is the
 *  lookup of local addresses (fib_default_rule_pref). */
export function addRule(stack: FakeStack, { family, from, to, table, priority }: Rule): void {
  const position = priority ?? Math.max(0, (rulesOf(stack, family)[1]?.priority ?? 1) - 1);
  const rule: Rule = {
    family,
    table,
    priority: position,
    ...(to === undefined ? {} : { to }),
    ...(from === undefined ? {} : { from }),
  };
  const same = (other: Rule) =>
    other.priority === position && other.table === table && equalTo(other.from, from) && equalTo(other.to, to);
  if (rulesOf(stack, family).some(same)) throw new Refusal("EEXIST");
  if (family === 6) stack.tables6.add(table);
  const later = stack.rules.findIndex((other) => other.family === family && (other.priority ?? 0) > position);
  stack.rules.splice(later < 0 ? stack.rules.length : later, 0, rule);
}

/** `ip rule delete`: the first rule that has everything that is asked for. */
export function deleteRule(stack: FakeStack, wanted: Rule): void {
  const index = stack.rules.findIndex(
    (rule) =>
      rule.family === wanted.family &&
      rule.table === wanted.table &&
      (wanted.priority === undefined || rule.priority === wanted.priority) &&
      (wanted.from === undefined || equalTo(rule.from, wanted.from)) &&
      (wanted.to === undefined || equalTo(rule.to, wanted.to)),
  );
  if (index < 0) throw new Refusal("ENOENT");
  stack.rules.splice(index, 1);
}

/** Rules of one family, in the order in which packets meet them. */
export function rulesOf(stack: FakeStack, family: 4 | 6): Rule[] {
  return stack.rules.filter((rule) => rule.family === family);
}

function equalTo(a: Prefix | undefined, b: Prefix | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalPrefix(a, b);
}
