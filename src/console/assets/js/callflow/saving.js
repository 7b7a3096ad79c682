// The ways to save a callflow: changes, a copy, and on to the next one; and what is asked before anything is lost.

import { of } from "../catalogue.js";
import { to } from "../router.js";
import { busy, menu } from "../ui.js";
import { copyOf, readCallflow, writeCallflow } from "./model.js";

const REPLACE = {
  title: "Replace what somebody else has saved?",
  text: "This callflow was changed elsewhere since it was opened here.",
  ok: "Replace",
  danger: true,
};
const SAVE_AS_NEW = {
  title: "Save it as a new one?",
  text: "This callflow was deleted elsewhere since it was opened here.",
  ok: "Save as new",
};
const THROW_AWAY = {
  title: "Throw the changes away?",
  text: "What was changed since it was last saved will be lost.",
  ok: "Throw away",
  danger: true,
};

/** Saves what an editor has. `stored` is the document as it was opened, `{}` for a new one; `ctx` the view's. `shown`:
 *  `{refused(), emptied()}` hear that the server has said what is wrong, and that an empty callflow is on the desk. */
export function saving(editor, stored, { api, account, go, toast, confirm }, shown) {
  const all = of(account, "callflows");
  const one = () => of(account, "callflows", id);
  let { id, modified } = stored;

  /** Stores what is on the desk; true where that was possible. */
  async function store() {
    const written = writeCallflow(editor.callflow);
    try {
      if (!(await mayReplace())) return false;
      ({ id, modified } = id ? await api.post(one(), written) : await api.put(all, written));
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
      return await confirm(REPLACE);
    } catch (error) {
      if (error.status !== 404) throw error;
      const again = await confirm(SAVE_AS_NEW);
      if (again) id = null;
      return again;
    }
  }

  function refused(error) {
    const places = error.status === 400 || error.status === 409 ? editor.setMistakes(error.data) : 0;
    if (places === 0) toast(error.message, "bad");
    else toast(`Not saved: ${places === 1 ? "one place has to be mended. It is" : `${places} places have to be mended. They are`} marked.`, "bad");
    shown.refused();
  }

  const saver = (after) => async () => {
    const held = document.activeElement === opener;
    await busy(opener, async () => (await store()) && after(), (error) => toast(error.message, "bad"));
    opener.disabled = !editor.dirty;
    // A button that cannot be pressed any more cannot keep the focus.
    if (held && document.activeElement === document.body) (opener.disabled ? element.previousElementSibling : opener)?.focus();
  };
  const changes = saver(() => {
    toast("Saved.");
    if (location.hash !== to("callflows", id)) go(to("callflows", id));
  });
  const andDuplicate = saver(async () => {
    const copy = await api.put(all, writeCallflow(copyOf(editor.callflow)));
    toast(`Saved, and duplicated as ${copy.name}.`);
    go(to("callflows", copy.id));
  });
  const andCreate = saver(() => {
    toast("Saved. This is a new one.");
    if (location.hash !== to("callflows", "new")) return go(to("callflows", "new"));
    id = null;
    const empty = readCallflow();
    editor.load(empty, empty);
    return shown.emptied();
  });
  const sureToLeave = async () => !editor.dirty || confirm(THROW_AWAY);
  async function cancel() {
    if (!(await sureToLeave())) return;
    editor.discard();
    go(to("callflows"));
  }

  const element = menu("Save", [
    { text: "Save changes", onpick: changes },
    { text: "Save and duplicate", onpick: andDuplicate },
    { text: "Save and create", onpick: andCreate },
    { text: "Cancel", onpick: cancel },
  ], { class: "primary" });
  const opener = element.querySelector("button");
  editor.addEventListener("change", () => {
    opener.disabled = !editor.dirty;
  });
  opener.disabled = true;
  return {
    element,
    /** Saves the changes. */
    changes,
    /** Whether nothing is lost by going elsewhere; asks where something is. */
    sureToLeave,
    /** The steps that the flow as it stands here would take with a call; only where it is stored. */
    walkThrough: async (call) => (await api.put(of(account, "callflows", id, "test"), { call, ...(editor.dirty && { flow: writeCallflow(editor.callflow).flow }) })).steps,
    /** Whether the callflow is stored at all. */
    get isStored() {
      return Boolean(id);
    },
  };
}
