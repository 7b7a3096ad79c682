// One callflow: its name and numbers, the tree of its blocks, the catalogue beside it, and the ways to save it.

import { of } from "../catalogue.js";
import { fill, h } from "../dom.js";
import { to } from "../router.js";
import { busy, button, dialog, field, link, menu } from "../ui.js";
import { actions } from "../callflow/actions.js";
import { Catalogue } from "../callflow/catalogue.js";
import { KEYS } from "../callflow/commands.js";
import { Editor } from "../callflow/editor.js";
import { form } from "../callflow/form.js";
import { copyOf, readCallflow, writeCallflow } from "../callflow/model.js";
import { numbers } from "../callflow/numbers.js";
import { tree } from "../callflow/tree.js";
import { tryOut } from "../callflow/tryout.js";

export async function mount(root, ctx) {
  const { api, account, params, go, toast, confirm } = ctx;
  const all = of(account, "callflows");
  const one = () => of(account, "callflows", id);
  let id = params.id === "new" ? null : params.id;
  let modified;
  const [modules, others, stored] = await Promise.all([
    api.get("/v2/callflows/modules"), api.page(all, { page_size: 1000 }), id ? api.get(one()) : {},
  ]);
  const names = others.items.map((other) => [other.id, other.name || other.numbers.join(", ") || other.id]);
  const catalogue = new Catalogue(modules, new Map(names));
  ({ modified } = stored);
  const callflow = readCallflow(stored);
  const editor = new Editor(callflow, catalogue);

  // --- saving ----------------------------------------------------------------------------------------------------

  /** Stores what is on the desk; true where that was possible. */
  async function store() {
    const written = writeCallflow(editor.callflow);
    try {
      if (!(await mayReplace())) return false;
      const answer = id ? await api.post(one(), written) : await api.put(all, written);
      ({ id, modified } = answer);
      editor.stored();
      return true;
    } catch (error) {
      refused(error);
      return false;
    }
  }

  /** Asks where what is stored is no longer what was opened: somebody else works on it, too. */
  async function mayReplace() {
    if (!id) return true;
    try {
      if ((await api.get(one())).modified === modified) return true;
      return await confirm({
        title: "Replace what somebody else has saved?", danger: true, ok: "Replace",
        text: "This callflow was changed elsewhere since it was opened here.",
      });
    } catch (error) {
      if (error.status !== 404) throw error;
      const again = await confirm({
        title: "Save it as a new one?", ok: "Save as new",
        text: "This callflow was deleted elsewhere since it was opened here.",
      });
      if (again) id = null;
      return again;
    }
  }

  function refused(error) {
    const places = error.status === 400 || error.status === 409 ? editor.setMistakes(error.data) : 0;
    if (places === 0) toast(error.message, "bad");
    else toast(`Not saved: ${places === 1 ? "one place has" : `${places} places have`} to be mended. ${places === 1 ? "It is" : "They are"} marked.`, "bad");
    const wrong = Object.keys(editor.mistakes.nodes)[0];
    if (!wrong) return;
    editor.select(wrong);
    flow.reveal();
    flow.focusChosen();
  }

  const saving = (after) => async () => {
    const held = document.activeElement === saver;
    await busy(saver, async () => (await store()) && after(), (error) => toast(error.message, "bad"));
    enable();
    // A button that cannot be pressed any more cannot keep the focus.
    if (held && document.activeElement === document.body) (saver.disabled ? tryIt : saver).focus();
  };
  const saveChanges = saving(async () => {
    toast("Saved.");
    if (location.hash !== to("callflows", id)) go(to("callflows", id));
  });
  const saveAndDuplicate = saving(async () => {
    const copy = await api.put(all, writeCallflow(copyOf(editor.callflow)));
    toast(`Saved, and duplicated as ${copy.name}.`);
    go(to("callflows", copy.id));
  });
  const saveAndCreate = saving(async () => {
    toast("Saved. This is a new one.");
    if (location.hash !== to("callflows", "new")) return go(to("callflows", "new"));
    id = null;
    const empty = readCallflow();
    editor.load(empty, empty);
    name.control.value = "";
    name.control.focus();
  });
  const sureToLeave = async () => !editor.dirty || confirm({
    title: "Throw the changes away?",
    text: "What was changed since it was last saved will be lost.",
    ok: "Throw away",
    danger: true,
  });
  async function cancel() {
    if (!(await sureToLeave())) return;
    editor.load(callflow, callflow);
    go(to("callflows"));
  }

  // --- the page --------------------------------------------------------------------------------------------------

  const wishes = {
    actions: () => {
      show("actions");
      catalogueList.focusFirst();
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
  const name = field({ label: "Name", name: "name", control: h("input", {
    type: "text", value: callflow.name, placeholder: "Callflow", autocomplete: "off",
    oninput: (event) => editor.setOwn("name", event.target.value),
  }) });
  const ownNumbers = numbers(editor);
  const flow = tree(editor, wishes);
  const catalogueList = actions(editor, toTree);
  const parameters = form(editor);
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const said = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const undo = button("Undo", { class: "small", onclick: () => editor.undo() });
  const redo = button("Redo", { class: "small", onclick: () => editor.redo() });
  const tryIt = button("Try it", { onclick: () => tryOut(editor, async (call) => {
    const answer = await api.put(`${one()}/test`, { call, ...(editor.dirty && { flow: writeCallflow(editor.callflow).flow }) });
    return answer.steps;
  }) });
  const saveMenu = menu("Save", [
    { text: "Save changes", onpick: saveChanges },
    { text: "Save and duplicate", onpick: saveAndDuplicate },
    { text: "Save and create", onpick: saveAndCreate },
    { text: "Cancel", onpick: cancel },
  ], { class: "primary" });
  const saver = saveMenu.querySelector("button");
  const closer = (label) => button(label, { class: "small close-sheet", onclick: toTree });
  const desk = h("div", { class: "desk" },
    h("section", { class: "flow-pane", "aria-label": "Flow" },
      h("div", { class: "flow-tools" }, undo, redo, button("Keys", { class: "small keys", onclick: showKeys }),
        button("Add an action", { class: "small primary open-sheet", onclick: wishes.actions })),
      flow),
    h("section", { class: "pane parameters-pane card", "aria-label": "Parameters" }, closer("Back to the flow"), parameters),
    h("section", { class: "pane actions-pane card", "aria-label": "Actions" }, h("h2", {}, "Actions"), closer("Back to the flow"), catalogueList));
  fill(root,
    h("div", { class: "callflow" },
      h("div", { class: "headline" },
        h("div", {}, link("Callflows", "#/callflows", { class: "small-text" }), h("h1", {}, title())),
        h("div", { class: "actions" }, tryIt, saveMenu)),
      h("div", { class: "card own" }, name, ownNumbers),
      wrong, desk, said));

  /** Which pane lies over the flow, where they do not fit beside each other. */
  function show(pane) {
    desk.dataset.pane = pane ?? "";
  }
  function title() {
    return editor.callflow.name || (id ? "Without a name" : "New callflow");
  }
  function enable() {
    const { dirty } = editor;
    saver.disabled = !dirty;
    const held = [undo, redo].indexOf(document.activeElement);
    undo.disabled = !editor.canUndo;
    redo.disabled = !editor.canRedo;
    if (held === 0 && undo.disabled) redo.focus();
    if (held === 1 && redo.disabled) undo.focus();
    tryIt.disabled = !id || !editor.flow;
    tryIt.title = id ? "" : "Save it first";
    root.querySelector("h1").textContent = title();
    if (document.activeElement !== name.control) name.control.value = editor.callflow.name;
  }
  function tellMistakes() {
    name.mistake(editor.mistakes.fields.name?.join(" "));
    const { name: _, ...fields } = editor.mistakes.fields;
    const texts = Object.entries(fields).filter(([at]) => !at.startsWith("numbers")).map(([at, messages]) => `${at}: ${messages.join(" ")}`);
    wrong.hidden = texts.length === 0;
    wrong.textContent = texts.join(" ");
  }

  editor.addEventListener("change", enable);
  editor.addEventListener("mistakes", tellMistakes);
  editor.addEventListener("select", () => editor.selected && flow.reveal());
  editor.addEventListener("open", wishes.parameters);
  editor.addEventListener("said", ({ detail }) => {
    said.textContent = detail;
  });
  root.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (event.key === "Escape" && event.target.closest(".parameters-pane")) toTree();
    else if (!event.ctrlKey && !event.metaKey) return;
    else if (key === "s") {
      // A number that is still being typed is meant, too.
      ownNumbers.take();
      if (editor.dirty) saveChanges();
    }
    else if (event.target.closest("input, textarea")) return;
    else if (key === "z" && !event.shiftKey) editor.undo();
    else if (key === "y" || key === "z") editor.redo();
    else return;
    event.preventDefault();
  });
  show(null);
  enable();
  flow.center();
  return { mayLeave: sureToLeave, dirty: () => editor.dirty };
}

/** The keys that work in the flow. */
function showKeys() {
  const keys = [["Arrows, Home, End", "From block to block"], ["Enter", "What can be done with it"], ...Object.entries(KEYS).map(([key, { text }]) => [key === " " ? "Space" : key.replace("Arrow", ""), text]), ["Ctrl+z, Ctrl+y", "Undo, redo"], ["Ctrl+s", "Save changes"], ["Escape", "Back to the flow"]];
  return dialog("Keys in the flow", () => h("div", { class: "body" }, h("dl", { class: "facts" }, keys.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]))));
}
