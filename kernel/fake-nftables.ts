import { overlaps, tryParsePrefix } from "../lib/address.ts";
import { type NftCommand, parseElements, parseNft, setDefinition, type WrittenElement } from "./fake-nft-text.ts";
import { Refusal } from "./fake-refusal.ts";
import type { NftElement, NftElementsChange, NftOutline, NftRawElement, NftWatch } from "./nftables.ts";

interface Rule {
  readonly handle: number;
  readonly text: string;
}

interface Chain {
  /** `type … hook … priority …;`, or empty for a chain that is only jumped to. */
  base: string;
  policy: string;
  readonly rules: Rule[];
}

interface NftSet {
  readonly kind: "set" | "map";
  readonly definition: string;
  /** Elements can be ranges, which must not overlap. */
  readonly interval: boolean;
  /** By the text of the key. */
  readonly elements: Map<string, WrittenElement>;
}

interface Table {
  handles: number;
  readonly chains: Map<string, Chain>;
  readonly sets: Map<string, NftSet>;
}

type Tables = Map<string, Table>;

/** The rule set of one namespace: an interpreter of the commands that change tables, chains, rules, sets, maps and
 *  elements. What a rule or a type says stays opaque text; only the chains and sets that it names are looked at. */
export class FakeNftables {
  private tables: Tables = new Map();
  /** How many transactions there were. */
  generation = 1;
  /** Which tables each transaction has changed. */
  private readonly changes: { readonly generation: number; readonly tables: readonly string[] }[] = [];

  /** Carries out all commands or none; refuses as nft 1.0.6 on Linux 6.18. */
  run(commands: readonly string[]): void {
    const parsed = parseNft(commands.join("\n"));
    const draft = structuredClone(this.tables);
    for (const command of parsed) VERBS[`${command.verb} ${command.object}`]?.(draft, command);
    this.commit(draft, parsed.map(tableKey));
  }

  elements(family: string, table: string, set: string): NftElement[] | undefined {
    const elements = this.tables.get(`${family} ${table}`)?.sets.get(set)?.elements;
    return elements && [...elements.values()].map(({ key, data, comment }) => ({ key, data, comment }));
  }

  chains(family: string, table: string): string[] | undefined {
    const chains = this.tables.get(`${family} ${table}`)?.chains;
    return chains && [...chains.keys()];
  }

  /** Elements in the kernel's form stay so, also for those who ask for text. */
  changeElements(family: string, table: string, changes: readonly NftElementsChange[]): void {
    const draft = structuredClone(this.tables);
    for (const change of changes) {
      const found = draft.get(`${family} ${table}`)?.sets.get(change.set)?.elements;
      if (found === undefined) throw refusal("ENOENT");
      for (const element of change.elements) changeElement(found, change.do, element);
    }
    this.commit(draft, [`${family} ${table}`]);
  }

  private commit(draft: Tables, tables: readonly string[]): void {
    this.tables = draft;
    this.changes.push({ generation: ++this.generation, tables });
  }

  watch(family: string, table: string): NftWatch {
    let seen = this.changes.length;
    return {
      changed: () => {
        const fresh = this.changes.slice(seen);
        seen = this.changes.length;
        return fresh.filter(({ tables }) => tables.includes(`${family} ${table}`)).map(({ generation }) => generation);
      },
      close: () => {},
    };
  }

  rawElements(family: string, table: string, set: string): NftRawElement[] | undefined {
    const elements = this.tables.get(`${family} ${table}`)?.sets.get(set)?.elements;
    return (
      elements &&
      [...elements.values()].map(({ key: [key = ""], data: [data], comment }) => ({
        key,
        ...(data === undefined ? {} : { data }),
        ...(comment === undefined ? {} : { comment }),
      }))
    );
  }

  outline(family: string, name: string): NftOutline | undefined {
    const table = this.tables.get(`${family} ${name}`);
    if (table === undefined) return undefined;
    const chains = [...table.chains].map(([chain, { policy, rules }]) => ({
      name: chain,
      dropping: policy === "drop",
      rules: rules.map(({ text }) => /\bcomment "([^"]*)"$/.exec(text)?.[1]),
    }));
    return { dormant: false, chains, sets: [...table.sets.keys()] };
  }

  table(family: string, name: string): string | undefined {
    const table = this.tables.get(`${family} ${name}`);
    if (table === undefined) return undefined;
    const blocks = [
      ...[...table.sets].map(([set, value]) => setText(set, value)),
      ...[...table.chains].map(([chain, value]) => chainText(chain, value)),
    ];
    return `table ${family} ${name} {\n${blocks.join("\n")}}\n`;
  }
}

const VERBS: Readonly<Record<string, (tables: Tables, command: NftCommand) => void>> = {
  "add table": (tables, command) => addTable(tables, command),
  "create table": (tables, command) => {
    if (tables.has(tableKey(command))) throw refusal("EEXIST");
    addTable(tables, command);
  },
  "delete table": (tables, command) => {
    if (!tables.delete(tableKey(command))) throw refusal("ENOENT");
  },
  "flush table": (tables, command) => {
    for (const chain of tableOf(tables, command).chains.values()) chain.rules.length = 0;
  },
  "add chain": (tables, command) => addChain(tableOf(tables, command), command),
  "create chain": (tables, command) => {
    if (tableOf(tables, command).chains.has(command.name)) throw refusal("EEXIST");
    addChain(tableOf(tables, command), command);
  },
  "delete chain": deleteChain,
  "flush chain": (tables, command) => {
    chainOf(tables, command).rules.length = 0;
  },
  "add rule": (tables, command) => {
    chainOf(tables, command).rules.push(newRule(tables, command));
  },
  "insert rule": (tables, command) => {
    chainOf(tables, command).rules.unshift(newRule(tables, command));
  },
  "delete rule": deleteRule,
  "add set": (tables, command) => addSet(tables, command, "set", false),
  "add map": (tables, command) => addSet(tables, command, "map", false),
  "create set": (tables, command) => addSet(tables, command, "set", true),
  "create map": (tables, command) => addSet(tables, command, "map", true),
  "delete set": deleteSet,
  "delete map": deleteSet,
  "flush set": (tables, command) => setOf(tables, command).elements.clear(),
  "flush map": (tables, command) => setOf(tables, command).elements.clear(),
  "add element": (tables, command) => addElements(tables, command, false),
  "create element": (tables, command) => addElements(tables, command, true),
  "delete element": deleteElements,
};

const SAID: Readonly<Record<string, string>> = {
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  ENOENT: "No such file or directory",
  EOPNOTSUPP: "Operation not supported",
};

function refusal(errno: string): Refusal {
  return new Refusal(errno, `Error: Could not process rule: ${SAID[errno] ?? errno}`);
}

function tableKey({ family, table }: NftCommand): string {
  return `${family} ${table}`;
}

function tableOf(tables: Tables, command: NftCommand): Table {
  const table = tables.get(tableKey(command));
  if (table === undefined) throw refusal("ENOENT");
  return table;
}

function chainOf(tables: Tables, command: NftCommand): Chain {
  const chain = tableOf(tables, command).chains.get(command.name);
  if (chain === undefined) throw refusal("ENOENT");
  return chain;
}

function setOf(tables: Tables, command: NftCommand): NftSet {
  const set = tableOf(tables, command).sets.get(command.name);
  if (set === undefined) throw refusal("ENOENT");
  return set;
}

function addTable(tables: Tables, command: NftCommand): void {
  if (!tables.has(tableKey(command))) {
    tables.set(tableKey(command), { handles: 0, chains: new Map(), sets: new Map() });
  }
}

/** A chain that is there may get another policy, nothing else. */
function addChain(table: Table, { name, block }: NftCommand): void {
  const policy = /\bpolicy\s+(\w+)\s*;?/.exec(block);
  const base = block.replace(policy?.[0] ?? "", "").trim();
  const present = table.chains.get(name);
  if (present !== undefined && base !== "" && present.base !== base) throw refusal("EOPNOTSUPP");
  if (present === undefined) table.chains.set(name, { base, policy: policy?.[1] ?? "accept", rules: [] });
  else if (policy?.[1] !== undefined) present.policy = policy[1];
  if (present === undefined) table.handles++;
}

function deleteChain(tables: Tables, command: NftCommand): void {
  const { chains } = tableOf(tables, command);
  chainOf(tables, command);
  if (chainNames(tableOf(tables, command), command.name).includes(command.name)) throw refusal("EBUSY");
  chains.delete(command.name);
}

/** Chains that rules of other chains, or elements of verdict maps, lead to. */
function chainNames(table: Table, except: string): string[] {
  const texts = [
    ...[...table.chains].flatMap(([name, { rules }]) => (name === except ? [] : rules.map((rule) => rule.text))),
    ...[...table.sets.values()].flatMap(({ elements }) => [...elements.values()].flatMap(({ data }) => data)),
  ];
  return texts.flatMap(chainsIn);
}

/** Names after `jump` and `goto`, outside quotes. */
function chainsIn(text: string): string[] {
  return [...text.replace(/"[^"]*"/g, "").matchAll(/\b(?:jump|goto)\s+([\w.-]+)/g)].map(([, name = ""]) => name);
}

/** Names after `@`, outside quotes. */
function setsIn(text: string): string[] {
  return [...text.replace(/"[^"]*"/g, "").matchAll(/@([\w.-]+)/g)].map(([, name = ""]) => name);
}

function newRule(tables: Tables, command: NftCommand): Rule {
  const table = tableOf(tables, command);
  checkChains(table, command.rest);
  if (setsIn(command.rest).some((name) => !table.sets.has(name))) throw refusal("ENOENT");
  return { handle: ++table.handles, text: command.rest };
}

function checkChains(table: Table, text: string): void {
  if (chainsIn(text).some((name) => !table.chains.has(name))) throw refusal("ENOENT");
}

function deleteRule(tables: Tables, command: NftCommand): void {
  const { rules } = chainOf(tables, command);
  const handle = Number(/^handle\s+(\d+)$/.exec(command.rest)?.[1] ?? Number.NaN);
  const index = rules.findIndex((rule) => rule.handle === handle);
  if (index < 0) throw refusal("ENOENT");
  rules.splice(index, 1);
}

function addSet(tables: Tables, command: NftCommand, kind: NftSet["kind"], exclusive: boolean): void {
  const table = tableOf(tables, command);
  const { definition, elements } = setDefinition(command.block);
  const present = table.sets.get(command.name);
  if (present !== undefined && (exclusive || present.kind !== kind || present.definition !== definition)) {
    throw refusal("EEXIST");
  }
  if (present === undefined) {
    const interval = /\bflags\b[^;]*\binterval\b/.test(definition) && !/\bauto-merge\b/.test(definition);
    table.sets.set(command.name, { kind, definition, interval, elements: new Map() });
    table.handles++;
  }
  if (elements !== "") addElements(tables, { ...command, block: elements }, false);
}

function deleteSet(tables: Tables, command: NftCommand): void {
  const table = tableOf(tables, command);
  setOf(tables, command);
  const used = [...table.chains.values()].some(({ rules }) =>
    rules.some((rule) => setsIn(rule.text).includes(command.name)),
  );
  if (used) throw refusal("EBUSY");
  table.sets.delete(command.name);
}

/** An element that is there with the same data is no error, unless it is to be created. */
function addElements(tables: Tables, command: NftCommand, exclusive: boolean): void {
  const table = tableOf(tables, command);
  const set = setOf(tables, command);
  for (const element of parseElements(command.block)) {
    for (const verdict of element.data) checkChains(table, verdict);
    const key = element.key.join(" . ");
    const present = set.elements.get(key);
    if (present !== undefined && (exclusive || present.data.join(" . ") !== element.data.join(" . "))) {
      throw refusal("EEXIST");
    }
    if (present !== undefined) continue;
    if (set.interval) checkInterval(set, key);
    set.elements.set(key, element);
  }
}

/** nft finds overlaps itself, before the kernel is asked, hence no errno. */
function checkInterval(set: NftSet, key: string): void {
  const prefix = tryParsePrefix(key);
  if (prefix === undefined) return;
  for (const other of set.elements.keys()) {
    const known = tryParsePrefix(other);
    if (known !== undefined && known.ip.family === prefix.ip.family && overlaps(known, prefix)) {
      throw new Refusal("", "Error: conflicting intervals specified");
    }
  }
}

function changeElement(elements: NftSet["elements"], verb: NftElementsChange["do"], element: NftRawElement): void {
  const { key, data, comment } = element;
  if (elements.has(key) === (verb === "create")) throw refusal(verb === "create" ? "EEXIST" : "ENOENT");
  if (verb === "delete") elements.delete(key);
  else elements.set(key, { key: [key], data: data === undefined ? [] : [data], comment });
}

/** The data of an element to delete is not compared. */
function deleteElements(tables: Tables, command: NftCommand): void {
  const { elements } = setOf(tables, command);
  for (const { key } of parseElements(command.block)) {
    if (!elements.delete(key.join(" . "))) throw refusal("ENOENT");
  }
}

function setText(name: string, { kind, definition, elements }: NftSet): string {
  const lines = definition
    .split(";")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (elements.size > 0) lines.push(`elements = { ${[...elements.values()].map(elementText).join(",\n\t\t\t     ")} }`);
  return `\t${kind} ${name} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}

function elementText({ key, data, comment }: WrittenElement): string {
  const note = comment === undefined ? "" : ` comment "${comment}"`;
  return `${key.join(" . ")}${note}${data.length === 0 ? "" : ` : ${data.join(" . ")}`}`;
}

function chainText(name: string, { base, policy, rules }: Chain): string {
  const lines = [...(base === "" ? [] : [`${base} policy ${policy};`]), ...rules.map((rule) => rule.text)];
  return `\tchain ${name} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}
