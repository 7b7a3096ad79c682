// A callflow while it is being edited: a tree of values that never change, so that every step can be undone.
// Nothing here knows of the page or of the API. A node has an identity (`uid`) that survives moves; what the
// server calls it is its path (`flow.children._`).

let last = 0;

/** The path of a flow's root, as the server names it. */
export const ROOT = "flow";

/** What is pressed in a menu, in the order of a telephone. */
export const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"];

/** A new node. `children` are pairs of key and node; `rest` are keys that only their owner knows. */
export function node(module, data = {}, children = [], rest = {}) {
  last += 1;
  return { uid: `n${last}`, module, data, children, rest };
}

// ---- JSON and back ------------------------------------------------------------------------------------------

/** The tree of a flow's JSON; null where there is none yet. */
export function read(flow) {
  if (!isObject(flow)) return null;
  const { module = "", data, children, ...rest } = flow;
  const below = Object.entries(isObject(children) ? children : {})
    .map(([key, child]) => [key, read(child)])
    .filter(([, child]) => child);
  return node(String(module), isObject(data) ? data : {}, inOrder(below), rest);
}

/** The JSON of a tree, without empty `data` and `children`. */
export function write(tree) {
  if (!tree) return null;
  const { module, data, children, rest } = tree;
  return {
    module,
    ...(Object.keys(data).length > 0 && { data }),
    ...(children.length > 0 && {
      children: Object.fromEntries(children.map(([key, child]) => [key, write(child)])),
    }),
    ...rest,
  };
}

const READ_ONLY = ["id", "created", "modified"];

/** The callflow of a document from the API; an empty one where there is none. */
export function readCallflow(document = {}) {
  const { name, numbers, flow, ...rest } = document;
  for (const field of READ_ONLY) delete rest[field];
  return {
    name: typeof name === "string" ? name : "",
    numbers: Array.isArray(numbers) ? numbers : [],
    flow: read(flow),
    rest,
  };
}

/** The document of a callflow, as the API takes it. */
export function writeCallflow({ name, numbers, flow, rest }) {
  return {
    ...rest,
    ...(name !== "" && { name }),
    numbers,
    ...(flow && { flow: write(flow) }),
  };
}

/** A copy to be stored beside its original, whose numbers it cannot have too. */
export function copyOf(callflow) {
  return { ...callflow, name: `${callflow.name || "Callflow"} copy`, numbers: [] };
}

/** JSON that is the same for whatever means the same: keys in order. */
export function canonical(value) {
  return JSON.stringify(value, (_, part) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part);
}

/** Whether two callflows would be stored alike. */
export function same(one, other) {
  return canonical(writeCallflow(one)) === canonical(writeCallflow(other));
}

// ---- Finding ------------------------------------------------------------------------------------------------

// What was found of a tree stays true: trees do not change.
const walked = new WeakMap();

/** Every node from the root down, branch by branch, each with where it stands. */
export function walk(tree) {
  return tree ? known(tree).steps : [];
}

/** Where a node stands; undefined where it is not in the tree. */
export function find(tree, uid) {
  return tree ? known(tree).byUid.get(uid) : undefined;
}

function known(tree) {
  if (!walked.has(tree)) {
    const steps = stepsOf(tree);
    walked.set(tree, { steps, byUid: new Map(steps.map((step) => [step.node.uid, step])) });
  }
  return walked.get(tree);
}

function stepsOf(tree) {
  const steps = [];
  const visit = (one, step) => {
    steps.push({ node: one, ...step });
    one.children.forEach(([key, child], index) =>
      visit(child, {
        parent: one,
        key,
        path: `${step.path}.children.${key}`,
        level: step.level + 1,
        index,
        siblings: one.children.length,
      }));
  };
  visit(tree, { parent: null, key: null, path: ROOT, level: 1, index: 0, siblings: 1 });
  return steps;
}

/** The child with this key. */
export function child(parent, key) {
  return parent.children.find(([one]) => one === key)?.[1];
}

/** How many nodes a branch has. */
export function size(tree) {
  return walk(tree).length;
}

/** Where the arrow keys of a tree lead from a node: its uid, or the same one where there is no way. */
export function neighbour(tree, uid, key) {
  const steps = walk(tree);
  const at = steps.findIndex((step) => step.node.uid === uid);
  if (at < 0) return steps[0]?.node.uid;
  const leads = {
    ArrowDown: steps[at + 1]?.node,
    ArrowUp: steps[at - 1]?.node,
    ArrowRight: steps[at].node.children[0]?.[1],
    ArrowLeft: steps[at].parent,
    Home: steps[0].node,
    End: steps.at(-1).node,
  };
  return (leads[key] ?? steps[at].node).uid;
}

/** The keys that a node's next child may have, the best first. `children` is what the catalogue says of them. */
export function freeKeys(parent, children) {
  const words = children.keys.map(({ id }) => id);
  const all = children.digits ? [...DIGITS, ...words] : ["_", ...words.filter((key) => key !== "_")];
  return all.filter((key) => !child(parent, key));
}

// ---- Changing -----------------------------------------------------------------------------------------------

/** Replaces a node by what `change` makes of it; null takes it away with all below. */
export function update(tree, uid, change) {
  if (!tree) return null;
  if (tree.uid === uid) return change(tree);
  let changed = false;
  const children = [];
  for (const [key, one] of tree.children) {
    const now = update(one, uid, change);
    changed ||= now !== one;
    if (now) children.push([key, now]);
  }
  return changed ? { ...tree, children } : tree;
}

/** The same tree with other data at a node. */
export function setData(tree, uid, data) {
  return update(tree, uid, (one) => ({ ...one, data }));
}

/**
 * Puts a branch at a place: `{ parent, key }`, or `{ parent: null }` for the root. What stands there goes on
 * behind the end of the branch.
 */
export function insert(tree, place, branch) {
  if (place.parent === null) return tree ? append(branch, tree) : branch;
  return update(tree, place.parent, (parent) => {
    const there = child(parent, place.key);
    return withChild(parent, place.key, there ? append(branch, there) : branch);
  });
}

/** Puts a branch in front of a node. */
export function insertBefore(tree, uid, branch) {
  const step = find(tree, uid);
  return insert(tree, { parent: step.parent?.uid ?? null, key: step.key }, branch);
}

/** Takes a node away with all below. */
export function removeBranch(tree, uid) {
  return update(tree, uid, () => null);
}

/** Takes one node away: what comes next takes its place. Its other branches go with it. */
export function remove(tree, uid) {
  return update(tree, uid, (one) => heir(one) ?? null);
}

/** How many nodes `remove` would take away beside the one. */
export function lostWith(one) {
  return size(one) - 1 - size(heir(one) ?? null);
}

/**
 * Moves a node with all below it to a place. The same tree where it would come to stand below itself, or where
 * it is already.
 */
export function move(tree, uid, place) {
  const step = find(tree, uid);
  if (!step || !canMove(tree, uid, place)) return tree;
  return insert(removeBranch(tree, uid), place, step.node);
}

/** Whether `move` would change anything. */
export function canMove(tree, uid, place) {
  const step = find(tree, uid);
  if (!step) return false;
  // In front of all else goes everything but the root itself.
  if (place.parent === null) return step.parent !== null;
  const stays = step.parent?.uid === place.parent && step.key === place.key;
  return !stays && !find(step.node, place.parent);
}

/** Swaps a node with the one above it. */
export function raise(tree, uid) {
  const step = find(tree, uid);
  if (!step?.parent) return tree;
  const next = child(step.node, "_");
  const above = { ...step.parent, children: step.parent.children.filter(([key]) => key !== step.key) };
  const lowered = next ? withChild(above, step.key, next) : above;
  return update(tree, step.parent.uid, () => withChild(step.node, "_", lowered));
}

/** Swaps a node with the one that comes next. */
export function lower(tree, uid) {
  const step = find(tree, uid);
  const next = step && heir(step.node);
  return next ? raise(tree, next.uid) : tree;
}

/** Puts a copy of a node, without what is below, behind it. Returns the tree and the copy's uid. */
export function duplicate(tree, uid) {
  const { module, data, rest } = find(tree, uid).node;
  const copy = node(module, structuredClone(data), [], structuredClone(rest));
  return { tree: insert(tree, { parent: uid, key: "_" }, copy), uid: copy.uid };
}

/** Lets another key lead to a node; where that key is taken the two change places. */
export function rekey(tree, uid, key) {
  const step = find(tree, uid);
  if (!step?.parent || step.key === key) return tree;
  return update(tree, step.parent.uid, (parent) => ({
    ...parent,
    children: inOrder(parent.children.map(([old, one]) => {
      if (old === step.key) return [key, one];
      return [old === key ? step.key : old, one];
    })),
  }));
}

/** Who takes a node's place: what comes next, or its only child. */
function heir(one) {
  return child(one, "_") ?? (one.children.length === 1 ? one.children[0][1] : undefined);
}

/** A branch with another behind its end. */
function append(branch, behind) {
  const next = child(branch, "_");
  return withChild(branch, "_", next ? append(next, behind) : behind);
}

function withChild(parent, key, one) {
  const others = parent.children.filter(([old]) => old !== key);
  return { ...parent, children: inOrder([...others, [key, one]]) };
}

/** Children as they are shown: digits as on a telephone, then words, `_` last. */
function inOrder(children) {
  const rank = ([key]) => {
    if (key === "_") return [3, 0];
    const digit = DIGITS.indexOf(key[0]);
    return digit < 0 ? [2, ["success", "failure", "timeout"].indexOf(key)] : [1, digit];
  };
  return children.toSorted((a, b) => {
    const [one, other] = [rank(a), rank(b)];
    return one[0] - other[0] || one[1] - other[1] || (a[0] < b[0] ? -1 : 1);
  });
}

// ---- The server's mistakes ----------------------------------------------------------------------------------

/**
 * The mistakes of an answer (`{ path: { rule: { message } } }`), each where it can be mended: `nodes` by uid and
 * field of the data (`''` for the node itself), `fields` for the callflow's own.
 */
export function placeMistakes(tree, answer) {
  const byPath = new Map(walk(tree).map(({ path, node: one }) => [path, one.uid]));
  const placed = { fields: {}, nodes: {} };
  for (const [path, rules] of Object.entries(answer ?? {})) {
    const messages = messagesOf(rules);
    if (messages.length === 0) continue;
    let at = path;
    while (at && !byPath.has(at)) at = at.slice(0, Math.max(at.lastIndexOf("."), 0));
    const uid = byPath.get(at);
    const field = path.slice(at.length + 1).replace(/^(data|module|children)\.?/, "");
    // What is wrong with the flow as a whole is not the fault of its first block.
    const own = uid && (path !== ROOT || at !== ROOT);
    const owner = own ? (placed.nodes[uid] ??= {}) : placed.fields;
    (owner[own ? field : path] ??= []).push(...messages);
  }
  return placed;
}

function messagesOf(rules) {
  return Object.values(isObject(rules) ? rules : {})
    .map((detail) => (isObject(detail) ? detail.message : detail))
    .filter((message) => typeof message === "string");
}

// ---- Undo ---------------------------------------------------------------------------------------------------

/** The steps of an edit. Steps in a row with the same label, such as the letters of a word, are one. */
export class History {
  #past = [];
  #future = [];
  #label = null;

  constructor(value) {
    this.value = value;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Makes `value` what is now. Without a label it is a step of its own. */
  push(value, label = null) {
    if (value === this.value) return;
    if (label === null || label !== this.#label) this.#past.push(this.value);
    if (this.#past.length > 200) this.#past.shift();
    this.#label = label;
    this.#future = [];
    this.value = value;
  }

  undo() {
    this.#go(this.#past, this.#future);
  }

  redo() {
    this.#go(this.#future, this.#past);
  }

  #go(from, to) {
    if (from.length === 0) return;
    to.push(this.value);
    this.value = from.pop();
    this.#label = null;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
