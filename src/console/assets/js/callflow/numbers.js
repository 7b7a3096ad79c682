// The numbers that lead to a callflow, as chips that can be added and taken away.

import { fill, h, newId } from "../dom.js";
import { group, icon, tick } from "../ui.js";

/** What takes the calls that no other callflow does. */
const REST = "no_match";

/** The numbers of an editor's callflow. */
export function numbers(editor) {
  const chips = h("ul", { class: "chips", "aria-label": "Numbers" });
  const id = newId("number");
  const input = h("input", {
    id, type: "text", inputmode: "tel", placeholder: "+1 555 123 0000", autocomplete: "off", class: "mono",
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== ",") return;
      event.preventDefault();
      take();
    },
    onblur: () => take(),
  });
  const rest = tick({
    label: "All calls that no other callflow takes", checked: false,
    onchange: (event) => put(event.target.checked ? [...all(), REST] : all().filter((one) => one !== REST)),
  });
  const all = () => editor.callflow.numbers;
  const put = (changed) => editor.setOwn("numbers", changed);
  const element = group({ label: "Numbers", name: "numbers" }, h("div", { class: "numbers" }, chips, h("label", { for: id, class: "visually-hidden" }, "Add a number"), input), rest);

  function take() {
    const written = input.value.split(",").map((number) => number.trim()).filter(Boolean);
    input.value = "";
    const added = written.filter((number) => !all().includes(number));
    if (added.length > 0) put([...all(), ...added]);
  }

  function draw() {
    const focused = chips.contains(document.activeElement);
    fill(chips, all().map((number, index) => number !== REST && h("li", { class: `chip ${mistakesAt(index) ? "wrong" : ""}` },
      h("span", { class: "mono" }, String(number)),
      h("button", { type: "button", class: "button bare", "aria-label": `Remove the number ${number}`, onclick: () => put(all().filter((_, at) => at !== index)) }, icon("close")))));
    chips.hidden = chips.children.length === 0;
    rest.control.checked = all().includes(REST);
    element.mistake(all().map((number, index) => mistakesAt(index) && `${number}: ${mistakesAt(index)}`)
      .concat(editor.mistakes.fields.numbers?.join(" ")).filter(Boolean).join("; "));
    if (focused) input.focus();
  }

  const mistakesAt = (index) => editor.mistakes.fields[`numbers.${index}`]?.join(" ");
  /** Takes what is typed and not yet a chip. */
  element.take = take;
  for (const what of ["change", "mistakes"]) editor.addEventListener(what, draw);
  draw();
  return element;
}
