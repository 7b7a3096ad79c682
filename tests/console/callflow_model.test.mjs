// The tree of a callflow as somebody builds and rebuilds it, without a page around it.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as model from "../../src/console/assets/js/callflow/model.js";

const HOOK = "http://my.ser.ver/frontdesk/missed_call";

const seed = () => ({
  module: "device", data: { id: "1001" },
  children: { _: { module: "webhook", data: { uri: HOOK },
    children: { _: { module: "voicemail", data: { id: "1001" } } } } },
});

const menu = () => ({
  module: "menu", data: { file: "a.wav" },
  children: {
    _: { module: "hangup" },
    timeout: { module: "transfer", data: { extension: "0" } },
    2: { module: "queue", data: { id: "b" } },
    "*": { module: "play", data: { file: "c" } },
    0: { module: "device", data: { id: "0" } },
    1: { module: "webhook", data: { uri: HOOK }, children: { success: { module: "say", data: { text: "x" } } } },
  },
});

/** What can be seen of a tree: the path and module of each node. */
const shape = (tree) => model.walk(tree).map(({ path, node }) => `${path.replaceAll("children.", "")} ${node.module}`);
const uidOf = (tree, module) => model.walk(tree).find(({ node }) => node.module === module).node.uid;

test("what is read is written as it was", () => {
  for (const flow of [seed(), menu(), { module: "hangup" }]) {
    assert.deepEqual(model.write(model.read(flow)), flow);
  }
  const own = { ...seed(), ui: { color: "blue" } };
  assert.deepEqual(model.write(model.read(own)), own, "keys that only their owner knows stay");
  assert.equal(model.read(undefined), null);
});

test("a callflow is built block by block", () => {
  let tree = model.insert(null, { parent: null }, model.node("device", { id: "1001" }));
  const device = tree.uid;
  tree = model.insert(tree, { parent: device, key: "_" }, model.node("voicemail", { id: "1001" }));
  // Between the two: what was there goes on behind it.
  tree = model.insert(tree, { parent: device, key: "_" }, model.node("webhook", { uri: HOOK }));
  assert.deepEqual(model.write(tree), seed());
});

test("a block put in front of all becomes the root", () => {
  const tree = model.read(seed());
  const before = model.insertBefore(tree, tree.uid, model.node("play", { file: "a" }));
  assert.deepEqual(shape(before), ["flow play", "flow._ device", "flow._._ webhook", "flow._._._ voicemail"]);
  const between = model.insertBefore(tree, uidOf(tree, "voicemail"), model.node("play"));
  assert.deepEqual(shape(between).at(2), "flow._._ play");
});

test("the branches of a menu come in the order of a telephone", () => {
  const tree = model.read(menu());
  assert.deepEqual(tree.children.map(([key]) => key), ["1", "2", "0", "*", "timeout", "_"]);
  const spec = { keys: [{ id: "timeout" }, { id: "_" }], digits: true };
  assert.deepEqual(model.freeKeys(tree, spec).slice(0, 2), ["3", "4"]);
  assert.ok(!model.freeKeys(tree, spec).includes("timeout"));
  const outcome = { keys: [{ id: "success" }, { id: "failure" }, { id: "_" }], digits: false };
  assert.deepEqual(model.freeKeys(model.node("webhook"), outcome), ["_", "success", "failure"]);
});

test("a block that is taken away leaves its place to what comes next", () => {
  const tree = model.read(seed());
  const without = model.remove(tree, uidOf(tree, "webhook"));
  assert.deepEqual(shape(without), ["flow device", "flow._ voicemail"]);
  assert.deepEqual(shape(model.remove(tree, tree.uid)), ["flow webhook", "flow._ voicemail"]);
  assert.deepEqual(shape(model.removeBranch(tree, uidOf(tree, "webhook"))), ["flow device"]);
  assert.equal(model.removeBranch(tree, tree.uid), null);
  const choice = model.read(menu());
  assert.equal(model.lostWith(choice), 6, "six of the seven go with the menu: one takes its place");
  assert.deepEqual(shape(model.remove(choice, choice.uid)), ["flow hangup"]);
  assert.deepEqual(shape(model.remove(choice, uidOf(choice, "webhook"))).at(1), "flow.1 say");
});

test("a branch moves with all that is below it", () => {
  const tree = model.read(menu());
  const webhook = uidOf(tree, "webhook");
  const queue = uidOf(tree, "queue");
  const moved = model.move(tree, webhook, { parent: queue, key: "_" });
  assert.deepEqual(shape(moved).slice(1, 4), ["flow.2 queue", "flow.2._ webhook", "flow.2._.success say"]);
  // Where something stands already it goes on behind the branch.
  const onto = model.move(tree, queue, { parent: tree.uid, key: "1" });
  assert.deepEqual(shape(onto).slice(1, 3), ["flow.1 queue", "flow.1._ webhook"]);
  const first = model.move(tree, queue, { parent: null });
  assert.deepEqual(shape(first).slice(0, 2), ["flow queue", "flow._ menu"]);
});

test("nothing moves below itself, or to where it is", () => {
  const tree = model.read(seed());
  const webhook = uidOf(tree, "webhook");
  for (const place of [
    { parent: webhook, key: "_" }, { parent: uidOf(tree, "voicemail"), key: "_" }, { parent: tree.uid, key: "_" },
  ]) {
    assert.equal(model.move(tree, webhook, place), tree);
  }
  assert.equal(model.move(tree, tree.uid, { parent: null }), tree);
});

test("neighbours in a row change places", () => {
  const tree = model.read(seed());
  const webhook = uidOf(tree, "webhook");
  const raised = model.raise(tree, webhook);
  assert.deepEqual(shape(raised), ["flow webhook", "flow._ device", "flow._._ voicemail"]);
  assert.deepEqual(model.write(model.lower(raised, webhook)), seed());
  assert.deepEqual(shape(model.lower(tree, webhook)).slice(1), ["flow._ voicemail", "flow._._ webhook"]);
  assert.equal(model.raise(tree, tree.uid), tree);
  // The key that led to the upper one leads to the lower.
  const choice = model.read({ module: "menu", children: { 1: seed() } });
  assert.deepEqual(shape(model.lower(choice, uidOf(choice, "device"))).slice(1, 3), ["flow.1 webhook", "flow.1._ device"]);
});

test("a copy stands behind its original, without what is below", () => {
  const tree = model.read(seed());
  const { tree: two, uid } = model.duplicate(tree, uidOf(tree, "webhook"));
  assert.deepEqual(shape(two).slice(1), ["flow._ webhook", "flow._._ webhook", "flow._._._ voicemail"]);
  assert.deepEqual(model.find(two, uid).node.data, { uri: HOOK });
});

test("a branch gets another key, and two of them change theirs", () => {
  const tree = model.read(menu());
  const queue = uidOf(tree, "queue");
  assert.equal(model.find(model.rekey(tree, queue, "9"), queue).path, "flow.children.9");
  const swapped = model.rekey(tree, queue, "1");
  assert.equal(model.find(swapped, queue).key, "1");
  assert.equal(model.find(swapped, uidOf(tree, "webhook")).key, "2");
});

test("arrow keys lead through the tree", () => {
  const tree = model.read(menu());
  const go = (from, key) => model.find(tree, model.neighbour(tree, uidOf(tree, from), key)).node.module;
  assert.equal(go("menu", "ArrowDown"), "webhook");
  assert.equal(go("menu", "ArrowRight"), "webhook");
  assert.equal(go("say", "ArrowDown"), "queue");
  assert.equal(go("queue", "ArrowUp"), "say");
  assert.equal(go("queue", "ArrowLeft"), "menu");
  assert.equal(go("menu", "ArrowUp"), "menu");
  assert.equal(go("menu", "End"), "hangup");
  assert.equal(go("hangup", "Home"), "menu");
});

test("every mistake is told where it can be mended", () => {
  const tree = model.read(menu());
  const said = (message) => ({ rule: { message } });
  const { fields, nodes } = model.placeMistakes(tree, {
    "numbers.1": said("taken"),
    flow: said("too many"),
    "flow.data.file": said("missing"),
    "flow.children.1.data.custom_data.some.key": said("no"),
    "flow.children.1.children.success.module": said("unknown"),
    "flow.children.*": said("key"),
    "flow.children.7.data.id": said("gone"),
  });
  assert.deepEqual(fields, { "numbers.1": ["taken"], flow: ["too many"] });
  assert.deepEqual(nodes[tree.uid], { file: ["missing"], "7.data.id": ["gone"] });
  assert.deepEqual(nodes[uidOf(tree, "webhook")], { "custom_data.some.key": ["no"] });
  assert.deepEqual(nodes[uidOf(tree, "say")], { "": ["unknown"] });
  assert.deepEqual(nodes[uidOf(tree, "play")], { "": ["key"] });
});

test("only what would be stored otherwise is a change", () => {
  const document = { id: "x", created: 1, name: "Missed call", numbers: ["1001"], flow: seed(), ui: { b: 1, a: 2 } };
  const read = model.readCallflow(document);
  assert.deepEqual(model.writeCallflow(read), { name: "Missed call", numbers: ["1001"], flow: seed(), ui: { b: 1, a: 2 } });
  const turned = { ui: { a: 2, b: 1 }, flow: seed(), numbers: ["1001"], name: "Missed call", modified: 2 };
  assert.ok(model.same(read, model.readCallflow(turned)));
  const moved = { ...read, flow: model.raise(read.flow, uidOf(read.flow, "webhook")) };
  assert.ok(!model.same(read, moved));
  assert.ok(model.same(read, { ...moved, flow: model.lower(moved.flow, uidOf(moved.flow, "webhook")) }));
  const copy = model.copyOf(read);
  assert.deepEqual([copy.name, copy.numbers], ["Missed call copy", []]);
});

test("hostile keys are keys like any other", () => {
  const flow = JSON.parse('{"module": "set_variables", "data": {"variables": {"__proto__": "x", "constructor": "y"}}}');
  const written = model.write(model.read(flow));
  assert.equal(JSON.stringify(written), JSON.stringify(flow));
});

test("every step can be undone and done again", () => {
  const history = new model.History("");
  for (const word of ["a", "ab", "abc"]) history.push(word, "name");
  history.push("abc!");
  history.undo();
  assert.equal(history.value, "abc");
  history.undo();
  assert.equal(history.value, "", "the letters of a word are one step");
  history.redo();
  assert.equal(history.value, "abc");
  history.push("other");
  assert.ok(!history.canRedo);
  history.undo();
  history.undo();
  history.undo();
  assert.equal(history.value, "");
});
