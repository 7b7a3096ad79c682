// The flow as a tree of blocks. It is drawn anew with each change; a block that had the focus has it again.

import { fill, h } from "../dom.js";
import { block } from "./block.js";
import { pressed } from "./commands.js";
import { accept } from "./drag.js";
import { neighbour, walk } from "./model.js";

/** The tree of an editor. `wishes`: `{actions(), parameters()}` bring up what a block is added from, and what it
 *  is told. `element.focusChosen()` goes to the chosen block. */
export function tree(editor, wishes) {
  const { catalogue } = editor;
  const list = h("ul", { role: "tree", "aria-label": "Blocks of the callflow", class: "flow" });
  const element = h("div", { class: "canvas" }, list);
  const itemOf = (uid) => uid && list.querySelector(`[data-uid="${uid}"]`);

  function draw() {
    const focused = list.contains(document.activeElement);
    if (editor.flow) fill(list, item(walk(editor.flow)[0]));
    else list.replaceChildren();
    list.hidden = !editor.flow;
    fill(element, list, !editor.flow && nothingYet());
    mark();
    if (!focused) return;
    if (editor.flow) element.focusChosen();
    else wishes.actions();
  }

  /** Shows which block and which place are chosen, without drawing anything anew. */
  function mark() {
    const chosen = itemOf(editor.selected) ?? itemOf(editor.flow?.uid);
    for (const one of list.querySelectorAll("[role=treeitem]")) {
      one.setAttribute("aria-selected", String(one.dataset.uid === editor.selected));
      one.tabIndex = one === chosen ? 0 : -1;
    }
    for (const slot of list.querySelectorAll(".slot")) {
      const { parent, key } = slot.place;
      slot.classList.toggle("chosen", Boolean(editor.place) && editor.place.parent === parent && editor.place.key === key);
    }
  }

  function item({ node, parent, key, level, index, siblings }) {
    const { uid } = node;
    const parts = catalogue.parts(node);
    // Where the ways part each has a place of its own; else the one behind the block is the only one.
    const place = editor.placeAfter(uid);
    const isFree = !parts || !node.children.some(([way]) => way === place.key);
    const below = node.children.map(([way, child], at) => item({
      node: child, parent: node, key: way, level: level + 1, index: at, siblings: node.children.length,
    }));
    const way = parent && catalogue.showsKey(parent, key) && h("span", { class: "key", id: `${uid}-key` }, catalogue.keyName(parent.module, key));
    const box = block(editor, node, wishes, () => itemOf(uid).focus());
    for (const [name, value] of [["level", level], ["posinset", index + 1], ["setsize", siblings], ["labelledby", way ? `${way.id} ${uid}-words` : `${uid}-words`]]) {
      box.setAttribute(`aria-${name}`, value);
    }
    // The levels are said by the blocks: the lists are for the eye.
    return h("li", { role: "none", class: "node" },
      way,
      (!parent || catalogue.parts(parent)) && slot({ parent: parent?.uid ?? null, key: key ?? undefined }),
      box,
      isFree && !catalogue.ends(node) && slot(place, parts),
      below.length > 0 && h("ul", { role: "none", class: `branches ${parts ? "many" : ""}` }, below));
  }

  /** A place on the way where a block can be put. For the pointer alone: who has none uses the menu of a block. */
  function slot(place, isNewBranch = false) {
    const element = h("button", {
      type: "button", tabindex: "-1", class: `slot ${isNewBranch ? "branch" : ""}`,
      "aria-hidden": "true", title: `Add ${editor.describe(place)}`,
      onclick: () => {
        editor.select(place.parent ?? editor.flow.uid, place);
        wishes.actions();
      },
    }, "+");
    element.place = place;
    accept(element, editor, () => place);
    return element;
  }

  function nothingYet() {
    const element = h("div", { class: "first" },
      h("p", {}, h("strong", {}, "What happens first?")),
      h("p", {}, "Drag an action here, or choose one from the list."));
    accept(element, editor, () => ({ parent: null }));
    return element;
  }

  list.addEventListener("keydown", (event) => {
    const uid = event.target.dataset.uid;
    if (!uid) return;
    if (event.key === "Enter") itemOf(uid).querySelector(".menu-holder button").click();
    else if (!event.altKey && !event.ctrlKey && !event.metaKey && /^(Arrow|Home|End)/.test(event.key)) itemOf(neighbour(editor.flow, uid, event.key)).focus();
    else if (!pressed(editor, uid, event, wishes)) return;
    event.preventDefault();
    event.stopPropagation();
  });

  element.focusChosen = () => (itemOf(editor.selected) ?? itemOf(editor.flow?.uid))?.focus();
  element.center = () => {
    const root = itemOf(editor.flow?.uid)?.getBoundingClientRect();
    const own = element.getBoundingClientRect();
    if (root) element.scrollLeft += root.left + root.width / 2 - own.left - own.width / 2;
  };
  element.reveal = () => itemOf(editor.selected)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  for (const what of ["change", "mistakes"]) editor.addEventListener(what, draw);
  editor.addEventListener("select", mark);
  draw();
  return element;
}

/** Where a block stands, for who has only its path. */
export function titleAt(editor, path) {
  const step = walk(editor.flow).find((one) => one.path === path);
  return step ? editor.catalogue.title(step.node) : path;
}
