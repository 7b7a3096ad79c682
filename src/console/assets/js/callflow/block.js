// A block of the flow: what it is, its main data, what it lacks, what the server says is wrong with it, its menu.

import { h } from "../dom.js";
import { badge, menu } from "../ui.js";
import { verbOf } from "./catalogue.js";
import { actionsOf } from "./commands.js";
import { accept, carry } from "./drag.js";
import { icon } from "./icons.js";
import { labelOf } from "./words.js";

/** The box of a node. `focus()` goes to it, wherever it is drawn by then. */
export function block(editor, node, wishes, focus) {
  const { catalogue } = editor;
  const { uid, module, data } = node;
  const entry = catalogue.get(module);
  const missing = catalogue.missing(node);
  const summary = catalogue.summary(node);
  const mistakes = editor.mistakes.nodes[uid];
  const wrong = Object.entries(mistakes ?? {}).map(([field, texts]) => [field && `${labelOf(module, field)}:`, ...texts].filter(Boolean).join(" "));
  const skipped = data.skip_module === true;
  const actions = menu("", () => actionsOf(editor, uid, wishes), { class: "bare small", tabindex: "-1", "aria-label": `Actions for ${catalogue.title(node)}` });
  const [opener, entries] = actions.children;
  // The block keeps the focus: its menu is one of its keys.
  opener.addEventListener("focus", focus);
  opener.addEventListener("click", () => putBeside(entries, opener));
  const element = h("div", {
    role: "treeitem", "data-uid": uid, "aria-selected": "false", tabindex: "-1", draggable: "true",
    class: ["block", mistakes && "wrong", skipped && "skipped", editor.carried === uid && "carried"].filter(Boolean).join(" "),
    onfocus: (event) => event.target === event.currentTarget && editor.select(uid),
    onclick: (event) => {
      if (event.target.closest(".menu-holder")) return;
      editor.select(uid);
      focus();
      wishes.parameters();
    },
  }, icon(module), h("div", { class: "words", id: `${uid}-words` },
    h("span", { class: "name" }, entry.name, module === "webhook" && badge(verbOf(node), "info"), skipped && badge("skipped")),
    summary && h("span", { class: "data", title: summary }, summary),
    missing.length > 0 && h("span", { class: "data missing" }, `needs ${missing.join(", ")}`),
    mistakes && h("span", { class: "error" }, wrong.map((text) => h("span", {}, text)))),
  actions);
  carry(element, () => ({ uid }));
  accept(element, editor, () => editor.placeAfter(uid));
  return element;
}

/** Puts a menu beside its opener, where the edge of the flow does not cut it off. */
function putBeside(list, opener) {
  if (list.hidden) return;
  const { bottom, right } = opener.getBoundingClientRect();
  const top = Math.max(8, Math.min(bottom + 4, innerHeight - list.offsetHeight - 8));
  list.style.top = `${top}px`;
  list.style.left = `${Math.max(8, right - list.offsetWidth)}px`;
}
