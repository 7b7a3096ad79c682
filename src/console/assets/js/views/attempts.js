// What was tried: live, filtered, each with its request and its answer, and sent again where that is wanted.

import { hookNames, of, triggerNames, triggers } from "../catalogue.js";
import { debounce, fill, h } from "../dom.js";
import { exchange, outcome, resultBadge } from "../exchange.js";
import { watch } from "../feed.js";
import { duration, fromGregorian, instant, time, toGregorian } from "../format.js";
import { recover } from "../hooks.js";
import { to } from "../router.js";
import { busy, button, dialog, empty, failure, field, link, select, table, toast } from "../ui.js";

export async function mount(root, ctx) {
  const { account, api, query } = ctx;
  const [all, words] = [await triggers(), await triggerNames()];
  const webhook = query.get("webhook");
  const hook = webhook && await api.get(of(account, "webhooks", webhook));
  const result = select([["", "Any"], ["success", "Delivered"], ["failure", "Failed"], ["skipped", "Skipped"], ["expired", "Expired"]], query.get("result") ?? "");
  const event = select([["", "Any"], ...all.map(({ id, name }) => [id, name])], query.get("event") ?? "");
  const call = h("input", { type: "search", class: "mono", value: query.get("call") ?? "", autocomplete: "off", spellcheck: "false" });
  const from = h("input", { type: "datetime-local", step: "1" });
  const until = h("input", { type: "datetime-local", step: "1" });
  const seconds = (input) => (input.value ? toGregorian(new Date(input.value)) : null);
  let names = new Map();

  const list = table({
    label: "Attempts",
    columns: [
      { title: "Time", class: "nowrap", cell: (one) => h("span", { title: instant(fromGregorian(one.timestamp)) }, time(fromGregorian(one.timestamp))) },
      { title: "Result", class: "wide", cell: (one) => h("div", {}, resultBadge(one.result), " ", h("span", { class: "soft small-text" }, outcome(one))) },
      { title: "Trigger", cell: (one) => words.get(one.hook_event) ?? one.hook_event },
      { title: "Webhook", class: "wide", cell: (one) => (names.get(one.hook_id) ? link(names.get(one.hook_id), to("webhooks", one.hook_id)) : h("span", { class: "soft" }, "deleted, or for one call only")) },
      { title: "Call", cell: (one) => one.call_id && link(h("span", { class: "mono" }, one.call_id.slice(0, 8)), to("calls", one.call_id), { "aria-label": `Call ${one.call_id}` }) },
      { title: "Try", class: "right", cell: (one) => `${one.attempt}${one.retries_left && one.result !== "success" ? ` (${one.retries_left} left)` : ""}` },
      { title: "Took", class: "right nowrap", cell: (one) => duration(one.duration_ms) },
      { title: "Actions", class: "right quiet-title", cell: (one) => button("Look", { class: "small", "aria-label": `Look at attempt ${one.id}`, onclick: () => look(one) }) },
    ],
    load: async (start) => {
      const page = await api.page(webhook ? of(account, "webhooks", webhook, "attempts") : of(account, "webhooks", "attempts"), {
        result: result.value, hook_event: event.value, call_id: call.value.trim(), created_from: seconds(from), created_to: seconds(until), start_key: start, page_size: 30,
      });
      names = await hookNames(account, page.items.map(({ hook_id: id }) => id));
      return page;
    },
    none: () => empty("Nothing was tried", "No attempt fits these filters. Attempts appear here as they are made."),
  });

  function look(attempt) {
    return dialog(`${words.get(attempt.hook_event) ?? attempt.hook_event} to “${names.get(attempt.hook_id) ?? "one call's webhook"}”`, (close) => {
      const said = h("div", { role: "status" });
      const resend = button("Send again", { class: "primary", disabled: !names.get(attempt.hook_id), onclick: () => busy(resend, async () => {
        await api.put(of(account, "webhooks", attempt.hook_id, "attempts", attempt.id, "resend"));
        toast("Queued again, with the same id.");
        close();
        list.restart();
      }, (error) => fill(said, failure(error))) });
      return [
        h("div", { class: "body" }, exchange(attempt), said),
        h("footer", {}, attempt.call_id && link("The call", to("calls", attempt.call_id), { class: "button", onclick: () => close() }), resend),
      ];
    }, { wide: true });
  }

  const live = button("Live", { "aria-pressed": "true", onclick: () => {
    const on = live.getAttribute("aria-pressed") !== "true";
    live.setAttribute("aria-pressed", String(on));
    if (on) list.restart();
  } });
  const again = debounce(300, () => list.restart());
  for (const control of [result, event, from, until]) control.addEventListener("change", again);
  call.addEventListener("input", again);
  fill(root,
    h("div", { class: "headline" },
      h("div", {}, h("h1", {}, "Attempts"), h("p", {}, hook ? ["Of “", link(hook.name, to("webhooks", hook.id)), "” · ", link("show all", "#/attempts")] : "What was sent, and what was answered")),
      h("div", { class: "actions" }, live, button("Recover …", { onclick: () => (hook ? recover(account, hook) : pick(ctx)).then((done) => done && list.restart()) }))),
    h("div", { class: "filters" },
      field({ label: "Result", control: result }), field({ label: "Trigger", control: event }),
      field({ label: "Call id", control: call, class: "grow" }), field({ label: "From", control: from }), field({ label: "To", control: until })),
    list);

  let stale = false;
  const refresher = setInterval(() => {
    const wanted = stale && live.getAttribute("aria-pressed") === "true" && list.isFirst() && !document.hidden;
    if (!wanted || document.querySelector("dialog[open]") || list.querySelector(":focus-visible")) return;
    stale = false;
    list.refresh();
  }, 1000);
  const stop = watch((kind, data) => {
    if (kind === "state" ? data.connected : kind === "attempt" && (!webhook || data.hook_id === webhook)) stale = true;
  });
  return { unmount: () => {
    clearInterval(refresher);
    again.cancel();
    stop();
  } };
}

/** Asks which webhook is to be recovered, then how far back. */
async function pick({ account, api }) {
  const hook = await dialog("Recover which webhook?", (close) => {
    const search = h("input", { type: "search", autocomplete: "off" });
    const found = h("div", { class: "picks" });
    const show = async () => {
      try {
        const { items } = await api.page(of(account, "webhooks"), { search: search.value.trim(), page_size: 8 });
        fill(found, items.length === 0 ? h("p", { class: "soft" }, "None is called that.") : items.map((item) => h("button", { type: "button", class: "pick", onclick: () => close(item) }, h("strong", {}, item.name), h("span", { class: "under mono" }, item.uri))));
      } catch (error) {
        fill(found, failure(error));
      }
    };
    search.addEventListener("input", debounce(200, show));
    show();
    return h("div", { class: "body" }, field({ label: "Webhook", control: search, hint: "A part of its name or address" }), found);
  });
  return hook ? recover(account, hook) : undefined;
}
