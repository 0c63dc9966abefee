/** Bits of the hash that choose a child at each level. */
const BITS = 5;
const MASK = 31;

/** An entry. Those whose keys have one hash follow each other, sorted by key; nearly always there is one. */
interface Leaf<T> {
  readonly hash: number;
  readonly key: string;
  readonly value: T;
  readonly next: Leaf<T> | undefined;
}

/** One bit of `bitmap` for each child that is there, children in the order of the bits. */
interface Branch<T> {
  readonly bitmap: number;
  readonly children: readonly TrieNode<T>[];
}

type TrieNode<T> = Leaf<T> | Branch<T>;

/** An immutable map from text. `with` and `without` give a new map that shares all but one path with the old one: their
 *  cost grows with the logarithm of the size to base 32, so that a snapshot after each change is cheap and old
 *  snapshots stay as they were. A hash array mapped trie (Bagwell, "Ideal Hash Trees", 2001) in canonical form: equal
 *  contents have one structure and one order of iteration, whatever happened before. */
export class TrieMap<T> {
  readonly size: number;
  readonly #root: TrieNode<T> | undefined;

  private constructor(root: TrieNode<T> | undefined, size: number) {
    this.#root = root;
    this.size = size;
  }

  static empty<T>(): TrieMap<T> {
    return new TrieMap<T>(undefined, 0);
  }

  get(key: string): T | undefined {
    return this.#find(key)?.value;
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  with(key: string, value: T): TrieMap<T> {
    const leaf = { hash: hashOf(key), key, value, next: undefined };
    const root = this.#root === undefined ? leaf : insert(this.#root, leaf, 0);
    return new TrieMap(root, this.has(key) ? this.size : this.size + 1);
  }

  /** The same map when the key isn't there. */
  without(key: string): TrieMap<T> {
    if (this.#root === undefined || !this.has(key)) return this;
    return new TrieMap(remove(this.#root, hashOf(key), key, 0), this.size - 1);
  }

  *keys(): Generator<string> {
    for (const [key] of this) yield key;
  }

  *values(): Generator<T> {
    for (const [, value] of this) yield value;
  }

  /** In the order of the keys' hashes: the same for equal contents, and of no further meaning. */
  *[Symbol.iterator](): Generator<readonly [string, T]> {
    if (this.#root !== undefined) yield* walk(this.#root);
  }

  #find(key: string): Leaf<T> | undefined {
    const hash = hashOf(key);
    let node = this.#root;
    for (let shift = 0; node !== undefined; shift += BITS) {
      if (isLeaf(node)) return leafOf(node, key);
      const bit = bitOf(hash, shift);
      node = (node.bitmap & bit) === 0 ? undefined : node.children[positionOf(node.bitmap, bit)];
    }
    return undefined;
  }
}

function insert<T>(node: TrieNode<T>, leaf: Leaf<T>, shift: number): TrieNode<T> {
  if (isLeaf(node)) return node.hash === leaf.hash ? merge(node, leaf) : split(node, leaf, shift);
  const bit = bitOf(leaf.hash, shift);
  const position = positionOf(node.bitmap, bit);
  const child = node.children[position];
  if ((node.bitmap & bit) === 0 || child === undefined)
    return { bitmap: node.bitmap | bit, children: node.children.toSpliced(position, 0, leaf) };
  return { bitmap: node.bitmap, children: node.children.with(position, insert(child, leaf, shift + BITS)) };
}

/** The entries of one hash with one more, or with another value for its key. */
function merge<T>(first: Leaf<T> | undefined, added: Leaf<T>): Leaf<T> {
  if (first === undefined || added.key < first.key) return { ...added, next: first };
  if (added.key === first.key) return { ...added, next: first.next };
  return { ...first, next: merge(first.next, added) };
}

/** The entries of one hash without one of them. */
function drop<T>(first: Leaf<T>, key: string): Leaf<T> | undefined {
  if (first.key === key) return first.next;
  return { ...first, next: first.next && drop(first.next, key) };
}

function leafOf<T>(first: Leaf<T>, key: string): Leaf<T> | undefined {
  let leaf: Leaf<T> | undefined = first;
  while (leaf !== undefined && leaf.key !== key) leaf = leaf.next;
  return leaf;
}

function isLeaf<T>(node: TrieNode<T>): node is Leaf<T> {
  return "key" in node;
}

/** Two leaves of different hashes, which part at this level or deeper. */
function split<T>(a: Leaf<T>, b: Leaf<T>, shift: number): Branch<T> {
  const bitA = bitOf(a.hash, shift);
  const bitB = bitOf(b.hash, shift);
  if (bitA === bitB) return { bitmap: bitA, children: [split(a, b, shift + BITS)] };
  return { bitmap: bitA | bitB, children: bitA >>> 0 < bitB >>> 0 ? [a, b] : [b, a] };
}

/** The node without a key that is in it. A branch with nothing but one leaf becomes that leaf, which keeps the form
 *  canonical. */
function remove<T>(node: TrieNode<T>, hash: number, key: string, shift: number): TrieNode<T> | undefined {
  if (isLeaf(node)) return drop(node, key);
  const bit = bitOf(hash, shift);
  const position = positionOf(node.bitmap, bit);
  const child = node.children[position];
  const left = child === undefined ? undefined : remove(child, hash, key, shift + BITS);
  const children = left === undefined ? node.children.toSpliced(position, 1) : node.children.with(position, left);
  const [only] = children;
  if (children.length === 1 && only !== undefined && isLeaf(only)) return only;
  return { bitmap: left === undefined ? node.bitmap & ~bit : node.bitmap, children };
}

function* walk<T>(node: TrieNode<T>): Generator<readonly [string, T]> {
  if (isLeaf(node))
    for (let leaf: Leaf<T> | undefined = node; leaf !== undefined; leaf = leaf.next) yield [leaf.key, leaf.value];
  else for (const child of node.children) yield* walk(child);
}

function bitOf(hash: number, shift: number): number {
  return 1 << ((hash >>> shift) & MASK);
}

/** How many children come before the one of `bit`. */
function positionOf(bitmap: number, bit: number): number {
  let rest = bitmap & (bit - 1);
  let count = 0;
  while (rest !== 0) {
    rest &= rest - 1;
    count += 1;
  }
  return count;
}

/** FNV-1a over UTF-16 units, then mixed once more, because its low bits alone are weak for keys that differ at the
 *  end. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
