// One callflow: its name and numbers, the desk where its blocks are put together, trying and saving it.

import { of } from "../catalogue.js";
import { fill, h } from "../dom.js";
import { button, field, link } from "../ui.js";
import { Catalogue } from "../callflow/catalogue.js";
import { desk } from "../callflow/desk.js";
import { Editor } from "../callflow/editor.js";
import { readCallflow } from "../callflow/model.js";
import { numbers } from "../callflow/numbers.js";
import { saving } from "../callflow/saving.js";
import { tryOut } from "../callflow/tryout.js";

export async function mount(root, ctx) {
  const { editor, stored } = await open(ctx);
  const name = field({ label: "Name", name: "name", control: h("input", {
    type: "text", value: editor.callflow.name, placeholder: "Callflow", autocomplete: "off",
    oninput: (event) => editor.setOwn("name", event.target.value),
  }) });
  const ownNumbers = numbers(editor);
  const table = desk(editor);
  const save = saving(editor, stored, ctx, {
    refused: () => {
      const [wrong] = Object.keys(editor.mistakes.nodes);
      if (!wrong) return;
      editor.select(wrong);
      table.goToChosen();
    },
    emptied: () => name.control.focus(),
  });
  const tryIt = button("Try it", { onclick: () => tryOut(editor, save.walkThrough) });
  const heading = h("h1");
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const said = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  fill(root,
    h("div", { class: "callflow" },
      h("div", { class: "headline" },
        h("div", {}, link("Callflows", "#/callflows", { class: "small-text" }), heading),
        h("div", { class: "actions" }, tryIt, save.element)),
      h("div", { class: "card own" }, name, ownNumbers),
      wrong, table, said));

  function tell() {
    tryIt.disabled = !save.isStored || !editor.flow;
    tryIt.title = save.isStored ? "" : "Save it first";
    fill(heading, editor.callflow.name || (save.isStored ? "Without a name" : "New callflow"));
    if (name.control.value !== editor.callflow.name) name.control.value = editor.callflow.name;
  }
  /** What is wrong with the callflow itself; its numbers say that themselves. */
  function tellMistakes() {
    const { name: its, ...fields } = editor.mistakes.fields;
    name.mistake(its?.join(" "));
    const texts = Object.entries(fields).filter(([at]) => !at.startsWith("numbers")).map(([at, messages]) => `${at}: ${messages.join(" ")}`);
    wrong.hidden = texts.length === 0;
    fill(wrong, texts.join(" "));
  }

  editor.addEventListener("change", tell);
  editor.addEventListener("mistakes", tellMistakes);
  editor.addEventListener("said", ({ detail }) => {
    said.textContent = detail;
  });
  root.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!event.ctrlKey && !event.metaKey) return;
    if (key === "s") {
      // A number that is still being typed is meant, too.
      ownNumbers.take();
      if (editor.dirty) save.changes();
    } else if (event.target.closest("input, textarea")) return;
    else if (key === "z" && !event.shiftKey) editor.undo();
    else if (key === "y" || key === "z") editor.redo();
    else return;
    event.preventDefault();
  });
  tell();
  table.center();
  return { mayLeave: save.sureToLeave, dirty: () => editor.dirty };
}

/** Fetches the callflow that the address names, and what callflows are built of. */
async function open({ api, account, params }) {
  const isNew = params.id === "new";
  const [modules, others, stored] = await Promise.all([
    api.get("/v2/callflows/modules"),
    api.page(of(account, "callflows"), { page_size: 1000 }),
    isNew ? {} : api.get(of(account, "callflows", params.id)),
  ]);
  const names = others.items.map(({ id, name, numbers: its }) => [id, name || its.join(", ") || id]);
  const callflow = readCallflow(stored);
  return { stored, editor: new Editor(callflow, new Catalogue(modules, new Map(names))) };
}
