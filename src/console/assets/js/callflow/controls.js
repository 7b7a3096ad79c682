// A control for a field, chosen by its JSON Schema: texts, numbers, choices, yes or no, objects, lists of objects.
// Each says what it holds by `set(value)`, with undefined for nothing at all, and shows `mistake(text)`.

import { fill, h, newId } from "../dom.js";
import { button, field, group, icon, pairs, select, tick } from "../ui.js";
import { inWords } from "./words.js";

/** `words`: label, hint, placeholder, choices, suggestions, json; all may be left out. */
export function control(wanted) {
  const { name, schema, words } = wanted;
  const told = {
    ...wanted,
    label: words.label ?? inWords(name),
    hint: words.hint ?? schema.description,
    placeholder: words.placeholder ?? (schema.default === undefined ? "" : String(schema.default)),
  };
  if (words.choices) return choice(told);
  if (schema.enum) return oneOf(told);
  const kinds = [schema.type].flat();
  if (kinds.includes("boolean")) return yes(told);
  if (kinds.includes("integer")) return whole(told);
  if (kinds.includes("array")) return list(told);
  if (kinds.includes("object")) return rows(told);
  return text(told);
}

function text({ name, label, hint, placeholder, value, set, required, words }) {
  const suggestions = words.suggestions && h("datalist", { id: newId("list") }, words.suggestions.map(([id, named]) => h("option", { value: id }, named)));
  const input = h("input", {
    type: "text", value: value === undefined || value === null ? "" : String(value), placeholder, list: suggestions?.id,
    "aria-required": required ? "true" : null, autocomplete: "off", spellcheck: "false", class: name === "uri" ? "mono" : "",
    oninput: () => set(input.value === "" ? undefined : input.value),
  });
  const element = field({ label, hint, control: input, name });
  if (suggestions) element.append(suggestions);
  return element;
}

function whole({ name, label, hint, placeholder, value, set, required, schema }) {
  const { minimum, maximum } = schema;
  const input = h("input", {
    type: "number", inputmode: "numeric", min: minimum, max: maximum, step: 1, value: value ?? "", placeholder,
    "aria-required": required ? "true" : null,
    // What is no number stays what it is: the server says what is wrong with it.
    oninput: () => set(input.value === "" ? undefined : Number(input.value)),
  });
  return field({ label, hint, control: input, name });
}

function oneOf({ name, label, hint, value, set, schema, required }) {
  const usual = schema.default === undefined ? "None" : `${schema.default} (usual)`;
  const options = schema.enum.filter((word) => word !== null && word !== schema.default).map((word) => [word, word]);
  const choices = [["", required ? "Choose …" : usual], ...options];
  const input = select(choices, value === schema.default ? "" : value ?? "", { onchange: () => set(input.value || undefined) });
  return field({ label, hint, control: input, name });
}

function yes({ name, label, hint, value, set, schema }) {
  const usual = schema.default ?? false;
  const element = tick({
    label, hint, name, checked: value ?? usual,
    onchange: (event) => set(event.target.checked === usual ? undefined : event.target.checked),
  });
  return withRoomForMistakes(element);
}

/** A few choices beside each other, each with what it means. */
function choice({ name, label, value, set, schema, words }) {
  const usual = String(schema.default);
  const chosen = String(value ?? usual).toLowerCase();
  const radios = newId("choice");
  const meaning = h("p", { class: "hint", role: "status" });
  const mean = (text) => fill(meaning, text ?? "");
  const options = words.choices.map(([id, text, about]) => {
    const input = h("input", {
      type: "radio", name: radios, id: newId("radio"), value: String(id), checked: String(id) === chosen,
      onchange: () => {
        set(String(id) === usual ? undefined : id);
        mean(about);
      },
    });
    if (String(id) === chosen) mean(about);
    return [input, h("label", { for: input.id }, text)];
  });
  return group({ label, name }, h("div", { class: "segments" }, options), words.choices.some(([, , about]) => about) && meaning);
}

function rows({ name, label, hint, value, set, words }) {
  const element = pairs({
    label, hint, name, values: value ?? {}, json: words.json,
    oninput: () => {
      const read = element.read();
      set(Object.keys(read).length > 0 ? read : undefined);
    },
  });
  return element;
}

/** A list of objects: a line of small fields for each. */
function list({ name, label, hint, value, set, schema }) {
  const { properties, required } = schema.items;
  let items = Array.isArray(value) ? value : [];
  const lines = h("ol", { class: "items" });
  const put = (changed) => {
    items = changed;
    set(items.length > 0 ? items : undefined);
  };
  const draw = () => fill(lines, items.map((item, index) => h("li", {},
    Object.entries(properties).map(([key, inner]) => small(item, index, key, inner)),
    h("button", { type: "button", class: "button bare", "aria-label": `Remove ${index + 1} of ${label}`, onclick: () => {
      put(items.filter((_, at) => at !== index));
      draw();
      adder.focus();
    } }, icon("close")))));
  const small = (item, index, key, inner) => {
    const isNumber = [inner.type].flat().includes("integer");
    const input = h("input", {
      type: isNumber ? "number" : "text", value: item?.[key] ?? "", placeholder: inWords(key), autocomplete: "off",
      min: inner.minimum, max: inner.maximum, title: inner.description,
      "aria-label": `${inWords(key)} of ${index + 1}`, "aria-required": required.includes(key) ? "true" : null,
      oninput: () => put(items.map((one, at) => (at === index ? withField(one, key, isNumber ? Number(input.value) : input.value, input.value === "") : one))),
    });
    return input;
  };
  const adder = button("Add row", { class: "small", onclick: () => {
    put([...items, {}]);
    draw();
    lines.lastElementChild.querySelector("input").focus();
  } });
  draw();
  return group({ label, hint, name }, lines, adder);
}

function withField(item, key, value, isEmpty) {
  const { [key]: _, ...others } = item ?? {};
  return isEmpty ? others : { ...item, [key]: value };
}

function withRoomForMistakes(element) {
  const error = h("p", { class: "error", hidden: true, role: "alert" });
  element.append(error);
  element.mistake = (text) => {
    error.hidden = !text;
    fill(error, text);
  };
  return element;
}
