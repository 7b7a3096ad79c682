// The desk: the flow, the parameters of the chosen block, and the catalogue of actions, beside or over each other.

import { h } from "../dom.js";
import { button, dialog } from "../ui.js";
import { actions } from "./actions.js";
import { KEYS } from "./commands.js";
import { form } from "./form.js";
import { tree } from "./tree.js";

/** The desk of an editor. `element.center()` shows the first block, `element.goToChosen()` the chosen one. */
export function desk(editor) {
  const wishes = {
    actions: () => {
      show("actions");
      catalogue.focusFirst();
    },
    parameters: () => {
      show("parameters");
      parameters.focusFirst();
    },
  };
  const toTree = () => {
    show(null);
    flow.focusChosen();
  };
  const flow = tree(editor, wishes);
  const catalogue = actions(editor, toTree);
  const parameters = form(editor);
  const undo = button("Undo", { class: "small", onclick: () => editor.undo() });
  const redo = button("Redo", { class: "small", onclick: () => editor.redo() });
  const closer = () => button("Back to the flow", { class: "small close-sheet", onclick: toTree });
  const element = h("div", { class: "desk" },
    h("section", { class: "flow-pane", "aria-label": "Flow" },
      h("div", { class: "flow-tools" }, undo, redo, button("Keys", { class: "small keys", onclick: showKeys }),
        button("Add an action", { class: "small primary open-sheet", onclick: wishes.actions })),
      flow),
    h("section", { class: "pane parameters-pane card", "aria-label": "Parameters", onkeydown: (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      toTree();
    } }, closer(), parameters),
    h("section", { class: "pane actions-pane card", "aria-label": "Actions" }, h("h2", {}, "Actions"), closer(), catalogue));

  /** Which pane lies over the flow, where they do not fit beside each other. */
  function show(pane) {
    element.dataset.pane = pane ?? "";
  }

  function enable() {
    const held = [undo, redo].indexOf(document.activeElement);
    undo.disabled = !editor.canUndo;
    redo.disabled = !editor.canRedo;
    // A button that cannot be pressed any more cannot keep the focus.
    if (held === 0 && undo.disabled) redo.focus();
    if (held === 1 && redo.disabled) undo.focus();
  }

  editor.addEventListener("change", enable);
  editor.addEventListener("select", () => editor.selected && flow.reveal());
  editor.addEventListener("open", wishes.parameters);
  element.center = flow.center;
  element.goToChosen = () => {
    flow.reveal();
    flow.focusChosen();
  };
  show(null);
  enable();
  return element;
}

const OTHER_KEYS = [["Ctrl+z, Ctrl+y", "Undo, redo"], ["Ctrl+s", "Save changes"], ["Escape", "Back to the flow"]];

/** The keys that work in the flow. */
function showKeys() {
  const named = (key) => (key === " " ? "Space" : key.replace("Arrow", ""));
  const keys = [
    ["Arrows, Home, End", "From block to block"], ["Enter", "What can be done with it"],
    ...Object.entries(KEYS).map(([key, { text }]) => [named(key), text]), ...OTHER_KEYS,
  ];
  return dialog("Keys in the flow", () => h("div", { class: "body" },
    h("dl", { class: "facts" }, keys.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]))));
}
