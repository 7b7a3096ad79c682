// The webhooks of an account: how each is, how it fared in the last hour, and how to get back what was switched off.

import { asksFor, of, triggerNames } from "../catalogue.js";
import { debounce, fill, h } from "../dom.js";
import { outcome, resultBadge } from "../exchange.js";
import { watch } from "../feed.js";
import { ago, fromGregorian, instant, share } from "../format.js";
import { enableAll, recover, remove, setEnabled, stateBadge, test } from "../hooks.js";
import { to } from "../router.js";
import { spark } from "../spark.js";
import { busy, button, empty, field, link, menu, notice, select, table } from "../ui.js";

export async function mount(root, ctx) {
  const { account, api, toast } = ctx;
  const names = await triggerNames();
  const search = h("input", { type: "search", value: ctx.query.get("search") ?? "", autocomplete: "off" });
  const state = select([["", "All"], ["true", "Switched off only"]], ctx.query.get("off") ?? "");
  const off = h("div");
  const sorry = (error) => toast(error.message, "bad");

  const changed = () => {
    list.refresh();
    tellOff().catch(sorry);
  };
  const act = (pressed, work) => busy(pressed, async () => {
    await work();
    changed();
  }, sorry);

  const list = table({
    label: "Webhooks",
    columns: [
      { title: "Name", class: "name-cell wide", cell: (hook) => h("div", {}, link(hook.name, to("webhooks", hook.id)), h("span", { class: "under mono" }, hook.uri)) },
      { title: "Trigger", cell: (hook) => asksFor(hook.hook, names) },
      { title: "State", class: "wide", cell: (hook) => h("div", {}, stateBadge(hook), hook.disable_reason && h("span", { class: "under" }, hook.disable_reason)) },
      { title: "Last outcome", cell: ({ activity: { last } }) => (last ? h("div", {}, resultBadge(last.result), h("span", { class: "under", title: instant(fromGregorian(last.timestamp)) }, `${outcome(last)} · ${ago(fromGregorian(last.timestamp))}`)) : h("span", { class: "soft" }, "nothing yet")) },
      { title: "Success", class: "right", cell: ({ activity: { succeeded, failed } }) => share(succeeded, succeeded + failed) },
      { title: "Last hour", cell: ({ activity }) => spark(activity) },
      { title: "Actions", class: "right quiet-title", cell: (hook) => h("div", { class: "actions tight" }, enabler(hook), more(hook)) },
    ],
    row: (hook) => ({ class: hook.disable_reason ? "is-off" : "" }),
    load: (start) => api.page(of(account, "webhooks"), { activity: true, search: search.value.trim(), auto_disabled: state.value, start_key: start }),
    none: () => (search.value.trim() || state.value
      ? empty("None is like that", "No webhook fits what you are looking for.", button("Show all", { onclick: () => {
        search.value = "";
        state.value = "";
        list.restart();
      } }))
      : empty("No webhooks yet", "A webhook tells a server of yours what happens to your calls: one came in, was answered, was missed, is over.", link("Add webhook", "#/webhooks/new", { class: "button primary" }))),
  });

  function enabler(hook) {
    if (hook.enabled) return null;
    const enable = button("Enable", { class: "small primary", "aria-label": `Enable ${hook.name}`, onclick: () => act(enable, () => setEnabled(account, hook, true)) });
    return enable;
  }
  const more = (hook) => menu(h("span", { class: "visually-hidden" }, `More for ${hook.name}`), [
    { text: "Edit", onpick: () => ctx.go(to("webhooks", hook.id)) },
    { text: "Test", onpick: () => test(account, hook).then(changed) },
    { text: "Attempts", onpick: () => ctx.go(`/attempts?webhook=${encodeURIComponent(hook.id)}`) },
    { text: "Recover …", onpick: () => recover(account, hook).then(changed), disabled: !hook.enabled },
    hook.enabled
      ? { text: "Switch off", onpick: () => setEnabled(account, hook, false).then(changed, sorry) }
      : { text: "Enable", onpick: () => setEnabled(account, hook, true).then(changed, sorry) },
    { text: "Delete …", danger: true, onpick: () => remove(account, hook).then((gone) => gone && changed(), sorry) },
  ], { class: "small bare" });

  /** Says that some were switched off, and how to get them back. */
  async function tellOff() {
    const { items, next } = await api.page(of(account, "webhooks"), { auto_disabled: true, page_size: 100 });
    if (items.length === 0) return fill(off);
    const how = next ? "More than 100 webhooks were" : items.length === 1 ? "One webhook was" : `${items.length} webhooks were`;
    const all = button(items.length === 1 ? "Enable it" : "Enable all of them", { class: "small primary", onclick: () => act(all, () => enableAll(account)) });
    fill(off, notice("warn", h("div", {}, h("strong", {}, `${how} switched off `), "because of what was answered. What happened since is recorded and can be sent later: see “Recover”."),
      h("div", { class: "actions tight" }, button("Show", { class: "small", onclick: () => {
        state.value = "true";
        list.restart();
      } }), all)));
    return undefined;
  }

  const again = debounce(250, () => list.restart());
  search.addEventListener("input", again);
  state.addEventListener("change", () => list.restart());
  fill(root,
    h("div", { class: "headline" },
      h("div", {}, h("h1", {}, "Webhooks"), h("p", {}, "Who is told what happens to your calls")),
      link("Add webhook", "#/webhooks/new", { class: "button primary" })),
    off,
    h("div", { class: "filters" }, field({ label: "Search", control: search, class: "grow" }), field({ label: "Show", control: state })),
    list);
  tellOff().catch(sorry);

  // What is being used is left alone: a menu that is open, a button that has the focus.
  const inUse = () => list.querySelector("[aria-expanded=true]") || (list.contains(document.activeElement) && list.querySelector(":focus-visible"));
  let stale = false;
  const refresher = setInterval(() => {
    if (!stale || document.hidden || inUse()) return;
    stale = false;
    changed();
  }, 1500);
  const stop = watch((kind, data) => {
    if (kind === "attempt" || (kind === "state" && data.connected)) stale = true;
  });
  return { unmount: () => {
    clearInterval(refresher);
    again.cancel();
    stop();
  } };
}
