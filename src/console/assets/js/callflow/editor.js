// A callflow on somebody's desk: what it is now, what was stored, what is chosen, and every command that
// changes it. The parts of the page listen to it and know nothing of each other.

import * as model from "./model.js";

/**
 * What happens to the callflow.
 * - `change`: the callflow is another one, or how much of it is stored
 * - `select`: another block, or another place for the next one, is chosen
 * - `open`: a new block wants its parameters
 * - `mistakes`: the server has said what is wrong, or that has been mended
 * - `said`: something to be read out, `event.detail`
 */
export class Editor extends EventTarget {
  #history;
  #saved;

  constructor(callflow, catalogue) {
    super();
    this.catalogue = catalogue;
    /** The uid of the chosen block. */
    this.selected = null;
    /** Where the next block goes; null for behind the chosen one. */
    this.place = null;
    /** The uid of the block that was picked up by keyboard. */
    this.carried = null;
    this.mistakes = { fields: {}, nodes: {} };
    this.load(callflow, callflow);
  }

  /** Begins with a callflow; `saved` is what of it is stored. */
  load(callflow, saved) {
    this.#history = new model.History(callflow);
    this.#saved = saved;
    this.selected = null;
    this.place = null;
    this.carried = null;
    this.setMistakes({});
    this.#tell("change");
  }

  /** What is on the desk has been stored. */
  stored() {
    this.#saved = this.callflow;
    this.setMistakes({});
    this.#tell("change");
  }

  /** Throws the changes away. */
  discard() {
    this.load(this.#saved, this.#saved);
  }

  get callflow() {
    return this.#history.value;
  }

  get flow() {
    return this.callflow.flow;
  }

  get dirty() {
    return !model.same(this.callflow, this.#saved);
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** The chosen node. */
  get node() {
    return this.selected && model.find(this.flow, this.selected)?.node;
  }

  // ---- Choosing ---------------------------------------------------------------------------------------------

  select(uid, place = null) {
    if (uid === this.selected && place?.key === this.place?.key && place?.parent === this.place?.parent) return;
    this.selected = uid;
    this.place = place;
    this.#tell("select");
  }

  /** Where a block goes that is added now. */
  get target() {
    if (this.place) return this.place;
    if (!this.flow) return { parent: null };
    // Where nothing is chosen, the end of the way on, as far as it does not part.
    let at = this.node ?? this.flow;
    while (!this.node && !this.catalogue.parts(at) && model.child(at, "_")) at = model.child(at, "_");
    return this.placeAfter(at.uid);
  }

  /** The best place behind a block: a branch that is still free, else the way on; in front of one that ends it. */
  placeAfter(uid) {
    const { node, parent, key } = model.find(this.flow, uid);
    if (this.catalogue.ends(node)) return { parent: parent?.uid ?? null, key: key ?? undefined };
    const free = this.catalogue.parts(node) && model.freeKeys(node, this.catalogue.get(node.module).children)[0];
    return { parent: uid, key: free || "_" };
  }

  /** A place in words. */
  describe(place) {
    if (place.parent === null) return this.flow ? "in front of all" : "as the first";
    const { node } = model.find(this.flow, place.parent);
    const after = `after ${this.catalogue.title(node)}`;
    return place.key !== "_" || this.catalogue.showsKey(node, place.key) ? `${after}, ${this.catalogue.keyName(node.module, place.key)}` : after;
  }

  // ---- Commands ---------------------------------------------------------------------------------------------

  /** Adds a new block at a place and chooses it. */
  add(module, place = this.target) {
    const where = this.describe(place);
    const one = model.node(module);
    this.#change(model.insert(this.flow, place, one), one.uid);
    this.#say(`${this.catalogue.get(module).name} added ${where}.`);
    this.#tell("open");
    return one.uid;
  }

  /** Whether what is dragged, `{ module }` or `{ uid }`, can go to a place. */
  takes({ uid }, place) {
    return uid === undefined || model.canMove(this.flow, uid, place);
  }

  /** Moves a block with all below it. */
  move(uid, place) {
    if (!model.canMove(this.flow, uid, place)) {
      this.#say("It cannot go there.");
      return;
    }
    const where = this.describe(place);
    this.#change(model.move(this.flow, uid, place), uid);
    this.#say(`${this.#title(uid)} moved ${where}.`);
  }

  raise(uid) {
    this.#swap(uid, model.raise(this.flow, uid), "up");
  }

  lower(uid) {
    this.#swap(uid, model.lower(this.flow, uid), "down");
  }

  #swap(uid, flow, direction) {
    if (flow === this.flow) {
      this.#say(`${this.#title(uid)} cannot go further ${direction}.`);
      return;
    }
    this.#change(flow, uid);
    const { parent } = model.find(flow, uid);
    this.#say(`${this.#title(uid)} moved ${direction}, ${parent ? `after ${this.catalogue.title(parent)}` : "to the top"}.`);
  }

  /** Takes one block away, and chooses its neighbour. */
  remove(uid) {
    this.#takeAway(uid, model.remove(this.flow, uid), "removed");
  }

  /** Takes a block away with all below it. */
  removeBranch(uid) {
    this.#takeAway(uid, model.removeBranch(this.flow, uid), "and all below it removed");
  }

  #takeAway(uid, flow, how) {
    const title = this.#title(uid);
    const { parent, node } = model.find(this.flow, uid);
    const next = node.children.map(([, child]) => child.uid).find((child) => model.find(flow, child));
    if (this.carried === uid) this.carried = null;
    this.#change(flow, next ?? parent?.uid ?? null);
    this.#say(`${title} ${how}.`);
  }

  duplicate(uid) {
    const { tree, uid: copy } = model.duplicate(this.flow, uid);
    this.#change(tree, copy);
    this.#say(`${this.#title(copy)} duplicated.`);
  }

  rekey(uid, key) {
    const { parent } = model.find(this.flow, uid);
    this.#change(model.rekey(this.flow, uid, key), uid);
    this.#say(`${this.#title(uid)} is now at ${this.catalogue.keyName(parent.module, key)}.`);
  }

  /** Picks a block up, to be put down elsewhere by `putDown`. */
  pickUp(uid) {
    this.carried = uid;
    this.#tell("change");
    this.#say(`${this.#title(uid)} picked up. Choose a block to put it after.`);
  }

  putDown(uid) {
    const carried = this.carried;
    this.carried = null;
    this.move(carried, this.placeAfter(uid));
    this.#tell("change");
  }

  /** Sets or, where `value` is undefined, takes away a field of a block's data. */
  setField(uid, field, value) {
    const { node } = model.find(this.flow, uid);
    const data = { ...node.data };
    if (value === undefined) delete data[field];
    else data[field] = value;
    this.#mend(this.mistakes.nodes[uid], field);
    const flow = model.setData(this.flow, uid, data);
    this.#history.push({ ...this.callflow, flow }, `${uid}.${field}`);
    this.#tell("change");
  }

  /** Sets the callflow's own `name` or `numbers`. */
  setOwn(field, value) {
    this.#mend(this.mistakes.fields, field);
    this.#history.push({ ...this.callflow, [field]: value }, field === "name" ? field : null);
    this.#tell("change");
  }

  undo() {
    this.#history.undo();
    this.#stepped("Undone.");
  }

  redo() {
    this.#history.redo();
    this.#stepped("Done again.");
  }

  #stepped(said) {
    if (this.selected && !model.find(this.flow, this.selected)) this.selected = this.flow?.uid ?? null;
    this.place = null;
    this.carried = null;
    this.#tell("change");
    this.#tell("select");
    this.#say(said);
  }

  // ---- The server's mistakes --------------------------------------------------------------------------------

  /** Takes the mistakes of an answer. Returns how many places they are at. */
  setMistakes(answer) {
    this.mistakes = model.placeMistakes(this.flow, answer);
    this.#tell("mistakes");
    const { fields, nodes } = this.mistakes;
    return Object.keys(fields).length + Object.keys(nodes).length;
  }

  /** What is said of a field is no longer true of what is written there now. */
  #mend(mistakes, field) {
    const mended = Object.keys(mistakes ?? {}).filter((one) => one === field || one.startsWith(`${field}.`));
    for (const one of mended) delete mistakes[one];
    if (mended.length > 0) this.#tell("mistakes");
  }

  // ---- Telling ----------------------------------------------------------------------------------------------

  #change(flow, selected) {
    this.#history.push({ ...this.callflow, flow });
    this.selected = selected;
    this.place = null;
    this.#mend(this.mistakes.fields, "flow");
    this.#tell("change");
    this.#tell("select");
  }

  #title(uid) {
    return this.catalogue.title(model.find(this.flow, uid).node);
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }

  #say(text) {
    this.dispatchEvent(new CustomEvent("said", { detail: text }));
  }
}
