// "Try it": what the flow would do with a call that is only described. Nothing rings and nothing is sent.

import { fill, h } from "../dom.js";
import { badge, busy, button, dialog, failure, field, select } from "../ui.js";
import { icon } from "./icons.js";
import { walk } from "./model.js";
import { titleAt } from "./tree.js";

/** Opens the dialog. `walkThrough(call)` gives the steps. */
export function tryOut(editor, walkThrough) {
  const modules = new Set(walk(editor.flow).map(({ node }) => node.module));
  const has = (...ids) => ids.some((id) => modules.has(id));
  const answered = select([["", "Nobody answers"], ["true", "Somebody answers"], ["id", "Only this user answers …"]], "", { onchange: () => {
    who.hidden = answered.value !== "id";
  } });
  const id = h("input", { type: "text", autocomplete: "off" });
  const who = field({ label: "User", control: id });
  who.hidden = true;
  const digits = h("input", { type: "text", class: "mono", autocomplete: "off", placeholder: "1, 2" });
  const webhook = select([["success", "They succeed"], ["failure", "They fail"], ["timeout", "No answer in time"], ["queued", "Nobody waits for them"]], "success");
  const domain = h("input", { type: "text", autocomplete: "off", placeholder: "pbx.example.com" });
  const steps = h("div", { class: "steps", role: "status" });
  const call = () => ({
    answered: { "": false, true: true, id: id.value }[answered.value],
    digits: digits.value.split(",").map((pressed) => pressed.trim()),
    webhook: webhook.value,
    ...(domain.value !== "" && { domain: domain.value }),
  });
  return dialog("Try it", (close) => {
    const run = button("Run", { type: "submit", class: "primary" });
    const body = h("form", { class: "body", onsubmit: (event) => {
      event.preventDefault();
      busy(run, async () => fill(steps, shown(editor, await walkThrough(call()))), (error) => fill(steps, refused(editor, error)));
    } },
      h("p", { class: "hint" }, "A call is walked through the flow as it stands here. Nothing rings and nothing is sent."),
      h("div", { class: "call" },
        has("device", "user", "ring_group") && [field({ label: "When somebody is rung", control: answered }), who],
        has("menu") && field({ label: "Pressed in each menu", hint: "Separated by commas; nothing for no digit.", control: digits }),
        has("webhook") && field({ label: "Webhooks", control: webhook }),
        field({ label: "Domain", hint: "Of users and mailboxes, where none is configured.", control: domain })),
      steps);
    body.id = "try-it";
    run.setAttribute("form", body.id);
    return [body, h("footer", {}, button("Close", { onclick: () => close() }), run)];
  }, { wide: true });
}

function shown(editor, steps) {
  return [
    h("h3", {}, steps.length === 1 ? "One step" : `${steps.length} steps`),
    h("ol", {}, steps.map((step) => h("li", {},
      icon(step.module),
      h("div", {},
        h("span", { class: "name" }, step.webhook ? editor.catalogue.get(step.module).name : titleAt(editor, step.path), step.note && badge(step.note, step.note === "answered" ? "good" : "quiet")),
        step.webhook && h("code", {}, step.webhook),
        step.applications?.map((one) => h("code", {}, one)),
        step.next === null ? h("span", { class: "hint" }, "The flow ends.")
          : step.next !== "_" && h("span", { class: "hint" }, `Goes on at ${editor.catalogue.keyName(step.module, step.next)}.`))))),
  ];
}

function refused(editor, error) {
  if (!error.data || error.status !== 400) return failure(error);
  const places = editor.setMistakes(error.data);
  if (places === 0) return failure(error);
  return failure({ message: places === 1 ? "Something in the flow has to be mended first; it is marked." : `${places} places in the flow have to be mended first; they are marked.` });
}
