// The parameters of a block: a field for each that the module's schema has. What is typed is in the flow at once.

import { fill, h } from "../dom.js";
import { empty, field as labelled, select, tick } from "../ui.js";
import { control } from "./controls.js";
import { icon } from "./icons.js";
import { find } from "./model.js";
import { WORDS } from "./words.js";

/** The parameters of the chosen block. */
export function form(editor) {
  const element = h("div", { class: "parameters" });
  let shown = null;
  let drawn = null;
  let fields = new Map();

  function draw() {
    const { node } = editor;
    shown = node?.uid ?? null;
    fields = new Map();
    if (!node) {
      fill(element, empty("No block is chosen", "Choose one in the flow to see what it is told."));
      return;
    }
    const { name, description, data } = editor.catalogue.get(node.module);
    const { skip_module: _, ...properties } = data.properties;
    // Those that are said in our words come first, and in our order.
    const order = [...new Set([...Object.keys(WORDS[node.module] ?? {}), ...Object.keys(properties)])];
    fill(element,
      h("header", {}, icon(node.module), h("h2", {}, name)),
      h("p", { class: "hint" }, description),
      order.map((field) => place(node, field, properties[field], data.required.includes(field))),
      way(node),
      tick({
        label: "Skip this block", hint: "Calls go straight on to what comes next.", name: "skip_module",
        checked: node.data.skip_module === true,
        onchange: (event) => write(node.uid, "skip_module", event.target.checked || undefined),
      }));
    hideUseless();
    tell();
  }

  /** Which key leads here, where the block before has several. */
  function way({ uid }) {
    const { parent, key } = find(editor.flow, uid);
    const keys = parent ? editor.catalogue.keysOf(parent.module) : [];
    if (keys.length < 2) return null;
    const other = "other";
    const { digits } = editor.catalogue.get(parent.module).children;
    const options = [...new Set([...keys, key])].map((one) => [one, editor.catalogue.keyName(parent.module, one)]);
    const typed = h("input", { type: "text", class: "mono", autocomplete: "off", onchange: () => {
      const right = /^[0-9*#]{1,16}$/.test(typed.value);
      exact.mistake(right ? "" : "1 to 16 of the digits 0 to 9, * and #");
      if (right) editor.rekey(uid, typed.value);
    } });
    const exact = labelled({ label: "Digits", control: typed, name: "key" });
    exact.hidden = true;
    const list = select([...options, ...(digits ? [[other, "Other digits …"]] : [])], key, { onchange: () => {
      exact.hidden = list.value !== other;
      if (exact.hidden) editor.rekey(uid, list.value);
      else typed.focus();
    } });
    return [labelled({ label: `After ${editor.catalogue.get(parent.module).name}, at`, control: list, name: "way" }), exact];
  }

  function place(node, field, schema, required) {
    const words = { ...WORDS[node.module]?.[field] };
    if (node.module === "callflow" && field === "id") words.suggestions = [...editor.catalogue.callflows];
    const made = control({
      name: field, schema, required, words, value: node.data[field],
      set: (value) => write(node.uid, field, value),
    });
    fields.set(field, { element: made, when: words.when });
    return made;
  }

  function write(uid, field, value) {
    editor.setField(uid, field, value);
    const data = editor.node.data;
    for (const [other, { when }] of fields) {
      // What cannot be seen is not said either.
      if (when && !when(data) && data[other] !== undefined) editor.setField(uid, other, undefined);
    }
    drawn = editor.node.data;
    hideUseless();
  }

  function hideUseless() {
    for (const { element: one, when } of fields.values()) one.hidden = Boolean(when) && !when(editor.node.data);
    drawn = editor.node.data;
  }

  /** Says what is wrong with each field; what belongs to none is said by the block. */
  function tell() {
    const mistakes = editor.mistakes.nodes[shown] ?? {};
    for (const [field, { element: one }] of fields) {
      const own = Object.entries(mistakes).filter(([at]) => at === field || at.startsWith(`${field}.`));
      one.mistake(own.map(([at, texts]) => [at.slice(field.length + 1), texts.join(" ")].filter(Boolean).join(": ")).join(" "));
    }
  }

  editor.addEventListener("select", () => (editor.selected ?? null) !== shown && draw());
  // Typing does not draw the field anew that is typed in; what came from elsewhere does.
  editor.addEventListener("change", () => (editor.node ? editor.node.data !== drawn && !writing() && draw() : shown && draw()));
  editor.addEventListener("mistakes", tell);
  const writing = () => element.contains(document.activeElement) && shown === editor.selected;
  element.focusFirst = () => element.querySelector("input, select, textarea")?.focus();
  draw();
  return element;
}
