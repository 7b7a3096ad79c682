// What can be done with a block: the entries of its menu and their keys.

import { confirm } from "../ui.js";
import { DIGITS, child, find, lostWith, size } from "./model.js";

/** The entries of a block's menu. */
export function actionsOf(editor, uid, wishes) {
  const { catalogue } = editor;
  const { node, parent, key } = find(editor.flow, uid);
  const add = (text, place) => ({
    text,
    onpick: () => {
      editor.select(uid, place);
      wishes.actions();
    },
  });
  const ways = waysToAdd(catalogue, node);
  const named = (way) => (ways.length > 1 ? `Add after, ${catalogue.keyName(node.module, way)} …` : "Add after …");
  const carried = editor.carried && find(editor.flow, editor.carried)?.node;
  const canPutDown = carried && editor.takes({ uid: carried.uid }, editor.placeAfter(uid));
  return [
    ...(catalogue.ends(node) ? [] : ways.map((way) => add(named(way), { parent: uid, key: way }))),
    add("Add before …", { parent: parent?.uid ?? null, key: key ?? undefined }),
    { text: "Parameters", onpick: wishes.parameters },
    { text: "Move up", onpick: () => editor.raise(uid), disabled: !parent },
    { text: "Move down", onpick: () => editor.lower(uid), disabled: node.children.length === 0 },
    { text: size(node) > 1 ? "Pick up with all below" : "Pick up", onpick: () => editor.pickUp(uid) },
    ...(canPutDown ? [{ text: `Put ${catalogue.title(carried)} here`, onpick: () => editor.putDown(uid) }] : []),
    { text: "Duplicate", onpick: () => editor.duplicate(uid) },
    { text: node.data.skip_module === true ? "Do not skip" : "Skip", onpick: () => editor.setField(uid, "skip_module", node.data.skip_module === true ? undefined : true) },
    { text: "Remove", danger: true, onpick: () => remove(editor, uid) },
    ...(node.children.length > 0 ? [{ text: "Remove with all below", danger: true, onpick: () => editor.removeBranch(uid) }] : []),
  ];
}

/** The ways on from a block: all its words, and of the digits the next that is free. */
function waysToAdd(catalogue, node) {
  const { keys, digits } = catalogue.get(node.module).children;
  const next = digits && DIGITS.find((digit) => !child(node, digit));
  return [...(next ? [next] : []), ...keys.map(({ id }) => id)];
}

/** Takes a block away; where branches would go with it, asks. */
async function remove(editor, uid) {
  const { node } = find(editor.flow, uid);
  const lost = lostWith(node);
  const sure = lost === 0 || (await confirm({
    title: `Remove ${editor.catalogue.title(node)}?`,
    text: `What comes next takes its place. ${lost === 1 ? "One block" : `${lost} blocks`} in its other branches will be removed too.`,
    ok: "Remove",
    danger: true,
  }));
  if (sure) editor.remove(uid);
}

/** What a key does to a block; false where it does nothing. */
export function pressed(editor, uid, event, wishes) {
  const chord = [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const command = KEYS[chord.filter(Boolean).join("+")];
  if (!command) return false;
  command.run(editor, uid, wishes);
  return true;
}

const after = { text: "Add an action after it", run: (editor, uid, wishes) => {
  editor.select(uid, editor.placeAfter(uid));
  wishes.actions();
} };
const removal = { text: "Remove", run: (editor, uid) => remove(editor, uid) };

/** The keys of a block, beside the arrows and Enter, which opens its menu. */
export const KEYS = {
  a: after,
  Insert: after,
  " ": { text: "Its parameters", run: (editor, uid, wishes) => wishes.parameters() },
  "Alt+ArrowUp": { text: "Move up", run: (editor, uid) => editor.raise(uid) },
  "Alt+ArrowDown": { text: "Move down", run: (editor, uid) => editor.lower(uid) },
  "Ctrl+x": { text: "Pick up with all below", run: (editor, uid) => editor.pickUp(uid) },
  "Ctrl+v": { text: "Put down what was picked up", run: (editor, uid) => editor.carried && editor.putDown(uid) },
  "Ctrl+d": { text: "Duplicate", run: (editor, uid) => editor.duplicate(uid) },
  Delete: removal,
  Backspace: removal,
};
