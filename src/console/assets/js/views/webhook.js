// One webhook: its form, how it fares, and what can be done with it. Without an id, the form of a new one.

import { of, renamed, samples, triggers } from "../catalogue.js";
import { fill, h } from "../dom.js";
import { watch } from "../feed.js";
import { duration, number, share } from "../format.js";
import { form } from "../hookform.js";
import { enableAll, recover, remove, reveal, setEnabled, stateBadge, test } from "../hooks.js";
import { to } from "../router.js";
import { busy, button, confirm, link, menu, notice, toast } from "../ui.js";

const REPLACE = {
  title: "Replace what somebody else has saved?",
  text: "This webhook was changed elsewhere since it was opened here.",
  ok: "Replace",
  danger: true,
};

export async function mount(root, ctx) {
  const { account, api, params } = ctx;
  const [catalogue, examples] = [await triggers(), await samples()];
  const path = of(account, "webhooks", params.id ?? "");
  let hook = params.id ? await api.get(path) : null;
  let saved = false;

  const save = h("button", { type: "submit", class: "button primary" }, hook ? "Save changes" : "Add webhook");
  const unsaved = h("span", { class: "soft", role: "status" });
  const fields = form({ hook, account, catalogue, examples, onchange: () => {
    const dirty = fields.dirty();
    unsaved.textContent = dirty ? "Not saved yet" : "";
    save.disabled = Boolean(hook) && !dirty;
  } });
  save.disabled = Boolean(hook);
  const problem = h("div");
  const sheet = h("form", { class: "stack", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    fields.mistakes({});
    fill(problem);
    busy(save, store, (error) => {
      const left = fields.mistakes(error.fields ?? {});
      if (Object.keys(error.fields ?? {}).length === 0 || left.length > 0) fill(problem, notice("bad", h("strong", {}, "It was not saved. "), left.length ? left.join(" ") : error.message));
      else fill(problem, notice("bad", "It was not saved: look at the fields that are marked."));
      const first = sheet.querySelector("[aria-invalid=true], .error:not([hidden])");
      first?.scrollIntoView({ block: "center" });
      first?.focus();
    }).then(() => fields.changed());
  } }, fields.element, problem,
  h("div", { class: "savebar" }, save, link("Cancel", "#/webhooks", { class: "button" }), unsaved));

  async function store() {
    const { document: written, mistakes } = fields.read();
    if (Object.keys(mistakes).length) throw Object.assign(new Error("Look at the fields that are marked"), { fields: mistakes });
    if (hook && fields.isOutdated(await api.get(path)) && !(await confirm(REPLACE))) return;
    const answer = hook ? await api.post(path, written) : await api.put(of(account, "webhooks"), written);
    renamed(account, answer);
    fields.saved();
    saved = true;
    toast(hook ? "Saved." : `“${answer.name}” is added.`);
    if (answer.secret) await reveal(answer.secret);
    if (hook) {
      hook = await api.get(path);
      fields.show(hook);
      head();
    } else ctx.go(to("webhooks", answer.id));
  }

  // What is above the form: its state, and what can be done with it.
  const top = h("div", { class: "stack" });
  const sorry = (error) => toast(error.message, "bad");
  const again = async () => {
    take(await api.get(path));
    await figures();
  };
  /** What is stored now is shown; in the form, too, unless somebody writes in it. */
  function take(stored) {
    hook = stored;
    if (fields.dirty()) fields.switched(hook.enabled);
    else fields.show(hook);
    head();
  }
  function head() {
    if (!hook) {
      fill(top, h("div", { class: "headline" }, h("div", {}, h("h1", {}, "Add webhook"), h("p", {}, "Tell a server of yours what happens to your calls"))));
      return;
    }
    const toggle = hook.enabled ? null : button("Enable", { class: "primary", onclick: () => busy(toggle, () => setEnabled(account, hook, true).then(again), sorry) });
    fill(top,
      h("div", { class: "headline" },
        h("div", {}, h("h1", {}, hook.name, " ", stateBadge(hook)), h("p", { class: "mono" }, hook.uri)),
        h("div", { class: "actions" }, toggle,
          button("Test", { onclick: async () => {
            if (fields.dirty() && !(await confirm({ title: "Test what is saved?", text: "The changes in the form are not saved yet: the test uses the webhook as it was.", ok: "Test" }))) return;
            await test(account, hook);
            await again().catch(sorry);
          } }),
          link("Attempts", `#/attempts?webhook=${encodeURIComponent(hook.id)}`, { class: "button" }),
          menu("More", () => [
            { text: "Recover …", disabled: !hook.enabled, onpick: () => recover(account, hook) },
            { text: hook.has_secret ? "Rotate the secret …" : "Generate a secret …", onpick: rotate },
            ...(hook.enabled ? [{ text: "Switch off", onpick: () => setEnabled(account, hook, false).then(again).catch(sorry) }] : []),
            { text: "Delete …", danger: true, onpick: () => remove(account, hook).then((gone) => {
              if (!gone) return;
              fields.saved();
              ctx.go("/webhooks");
            }, sorry) },
          ]))),
      hook.disable_reason && notice("warn", h("div", {}, h("strong", {}, "It was switched off: "), hook.disable_reason, ". Put the receiver right, then enable it; what happened meanwhile can be recovered."),
        h("div", { class: "actions tight" },
          h("button", { type: "button", class: "button small primary", onclick: (event) => busy(event.target, () => setEnabled(account, hook, true).then(again), sorry) }, "Enable it"),
          h("button", { type: "button", class: "button small", onclick: (event) => busy(event.target, () => enableAll(account).then(again), sorry) }, "Enable all of the account"))),
      tiles);
  }

  async function rotate() {
    const text = hook.has_secret ? "Requests are signed with both secrets for 24 hours, so the receiver has time to take the new one." : "Requests are signed with it from now on.";
    if (!(await confirm({ title: hook.has_secret ? "Rotate the secret?" : "Generate a secret?", text, ok: hook.has_secret ? "Rotate" : "Generate" }))) return;
    try {
      const answer = await api.put(of(account, "webhooks", hook.id, "secret", "rotate"));
      await reveal(answer.secret, answer.previous_secret_until && "The old one is valid for 24 hours more.");
      await again();
    } catch (error) {
      sorry(error);
    }
  }

  const tiles = h("dl", { class: "tiles" });
  async function figures() {
    const stats = await api.get(of(account, "webhooks", hook.id, "stats"));
    const tile = (name, figure, note) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", { class: "figure" }, figure), note && h("dd", { class: "note" }, note));
    fill(tiles,
      tile("Success", share(stats.sent, stats.sent + stats.failed), `of its newest ${number(stats.sent + stats.failed)} requests`),
      tile("Delivered", number(stats.sent)),
      tile("Failed", number(stats.failed), stats.failures_counted ? `${stats.failures_counted} count towards switching it off` : null),
      tile("Waiting", number(stats.pending)),
      tile("Answers in", duration(stats.latency_ms.p50), `95 % within ${duration(stats.latency_ms.p95)}`));
  }

  head();
  fill(root, top, sheet);
  let refresher;
  let stop = () => {};
  if (hook) {
    figures().catch(sorry);
    let stale = false;
    stop = watch((kind, data) => {
      if (kind === "state" ? data.connected : kind === "attempt" && data.hook_id === hook.id) stale = true;
    });
    refresher = setInterval(async () => {
      if (!stale || document.hidden) return;
      stale = false;
      try {
        await figures();
        const now = await api.get(path);
        if (now.disable_reason !== hook.disable_reason && !top.querySelector("[aria-expanded=true]")) take(now);
      } catch (error) {
        if (error.status !== 401 && error.status !== 404) console.warn(error.message);
      }
    }, 2000);
  }
  const dirty = () => fields.dirty() && !(saved && !hook);
  return {
    dirty,
    mayLeave: async () => !dirty() || confirm({ title: "Leave without saving?", text: "The changes in the form are lost.", ok: "Leave", danger: true }),
    unmount: () => {
      clearInterval(refresher);
      stop();
    },
  };
}
