// The catalogue of actions: what can be dragged into the flow, or chosen to be put after the chosen block.

import { fill, h } from "../dom.js";
import { carry } from "./drag.js";
import { icon } from "./icons.js";

/** The catalogue of an editor. `back()` is where Escape leads. `element.focusFirst()` begins to choose. */
export function actions(editor, back) {
  const where = h("p", { class: "hint" });
  const filter = h("input", {
    type: "search", "aria-label": "Find an action", placeholder: "Find an action", autocomplete: "off", spellcheck: "false",
    oninput: () => draw(),
  });
  const list = h("div", { class: "catalogue" });
  const element = h("div", { class: "actions-list" }, where, filter, list);

  function draw() {
    const found = editor.catalogue.byCategory(filter.value);
    fill(list, found.map(([category, modules]) => [h("h3", {}, category), h("ul", {}, modules.map((module) => h("li", {}, action(module))))]),
      found.length === 0 && h("p", { class: "hint", role: "status" }, "No action is called that."));
  }

  function action({ id, name, description }) {
    const element = h("button", {
      type: "button", class: "action", draggable: "true", title: description, "data-module": id,
      onclick: () => editor.add(id),
    }, icon(id), h("span", {}, name));
    carry(element, () => ({ module: id }));
    return element;
  }

  const all = () => [...list.querySelectorAll(".action")];
  element.addEventListener("keydown", (event) => {
    const at = all().indexOf(document.activeElement);
    if (event.key === "Escape") back();
    else if (event.key === "Enter" && event.target === filter) all()[0]?.click();
    else if (event.key === "ArrowDown") all()[at + 1]?.focus();
    else if (event.key === "ArrowUp") (all()[at - 1] ?? filter).focus();
    else return;
    event.preventDefault();
  });
  const tell = () => {
    where.textContent = editor.flow ? `Adds ${editor.describe(editor.target)}.` : "Drag into the flow, or press to add.";
  };
  for (const what of ["change", "select"]) editor.addEventListener(what, tell);
  editor.addEventListener("open", () => {
    filter.value = "";
    draw();
  });
  element.focusFirst = () => filter.focus();
  tell();
  draw();
  return element;
}
