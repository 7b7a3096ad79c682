// The callflows of an account: found, opened, made, deleted.

import { of } from "../catalogue.js";
import { debounce, fill, h } from "../dom.js";
import { ago, fromGregorian } from "../format.js";
import { to } from "../router.js";
import { button, empty, icon, link, table } from "../ui.js";
import { icon as picture } from "../callflow/icons.js";
import { Catalogue } from "../callflow/catalogue.js";

export async function mount(root, { api, account, go, toast, confirm }) {
  const catalogue = new Catalogue(await api.get("/v2/callflows/modules"));
  const create = () => go(to("callflows", "new"));
  const search = h("input", { type: "search", "aria-label": "Find by name or number", placeholder: "Name or number", oninput: debounce(250, () => list.restart()) });

  async function remove({ id, name, numbers }) {
    const sure = await confirm({
      title: `Delete ${name || "this callflow"}?`,
      text: numbers.length > 0
        ? `Calls to ${numbers.map(numberInWords).join(", ")} will find no callflow any more.`
        : "No number leads to it. Other callflows may go on in it.",
      ok: "Delete",
      danger: true,
    });
    if (!sure) return;
    try {
      await api.del(of(account, "callflows", id));
      toast(`${name || "The callflow"} is deleted.`);
    } catch (error) {
      toast(error.message, "bad");
    }
    list.refresh();
  }

  const list = table({
    label: "Callflows",
    load: (start) => api.page(of(account, "callflows"), { search: search.value.trim(), start_key: start }),
    none: () => (search.value.trim() === ""
      ? empty("No callflows yet", "A callflow says what happens to a call: who is rung, what is heard, and which servers are told or asked.", button("New callflow", { class: "primary", onclick: create }))
      : empty("Nothing found", `No name or number holds “${search.value.trim()}”.`)),
    columns: [
      { title: "Name", class: "name-cell", cell: ({ id, name }) => link(name || "Without a name", to("callflows", id)) },
      { title: "Numbers", class: "wide", cell: ({ numbers }) => h("span", {}, numbers.length > 0 ? shortList(numbers.map(numberInWords)).map((text) => h("span", { class: "number" }, text)) : h("span", { class: "soft" }, "none")) },
      { title: "Blocks", cell: ({ modules, nodes }) => h("span", { class: "blocks", title: modules.map((id) => catalogue.get(id).name).join(", ") },
        h("span", { class: "count" }, String(nodes)), modules.slice(0, 6).map((id) => picture(id)),
        h("span", { class: "visually-hidden" }, modules.map((id) => catalogue.get(id).name).join(", "))) },
      { title: "Changed", class: "nowrap", cell: ({ modified }) => ago(fromGregorian(modified)) },
      { title: "Delete", class: "right", cell: (callflow) => h("button", { type: "button", class: "button bare", "aria-label": `Delete ${callflow.name || callflow.id}`, onclick: () => remove(callflow) }, icon("close")) },
    ],
  });
  fill(root,
    h("div", { class: "headline" },
      h("div", {}, h("h1", {}, "Callflows"), h("p", {}, "What happens to a call, and when a webhook is sent on the way.")),
      h("div", { class: "actions" }, button("New callflow", { class: "primary", onclick: create }))),
    h("div", { class: "filters" }, h("div", { class: "field grow" }, search)),
    list);
}

const numberInWords = (number) => (number === "no_match" ? "all other calls" : String(number));

function shortList(texts) {
  const shown = texts.length > 4 ? [...texts.slice(0, 4), `${texts.length - 4} more`] : texts;
  return shown.map((text, index) => (index < shown.length - 1 ? `${text}, ` : text));
}
