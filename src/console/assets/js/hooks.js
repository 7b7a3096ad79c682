// What is done to a webhook from more than one view: enable, delete, test, recover.

import { api } from "./api.js";
import { of } from "./catalogue.js";
import { fill, h } from "./dom.js";
import { exchange } from "./exchange.js";
import { number } from "./format.js";
import { badge, busy, button, confirm, dialog, failure, field, toast, waiting } from "./ui.js";

/** Whether it is on, in a word. */
export function stateBadge(hook) {
  if (hook.disable_reason) return badge("Switched off", "bad");
  return hook.enabled ? badge("On", "good") : badge("Off", "quiet");
}

/** Switches one on or off. */
export async function setEnabled(account, hook, enabled) {
  await api.patch(of(account, "webhooks", hook.id), { enabled });
  toast(enabled ? `“${hook.name}” is on again.` : `“${hook.name}” is off. What happens meanwhile is recorded and can be sent later.`);
}

/** Switches all on again that were switched off for their failures. */
export async function enableAll(account) {
  const ids = await api.patch(of(account, "webhooks"), { "re-enable": true });
  toast(ids.length === 1 ? "One webhook is on again." : `${number(ids.length)} webhooks are on again.`);
}

/** Asks, then deletes; whether it did. */
export async function remove(account, hook) {
  const sure = await confirm({ title: "Delete this webhook?", text: `“${hook.name}” gets nothing any more, and what is still to be sent to it is not sent.`, ok: "Delete", danger: true });
  if (!sure) return false;
  await api.del(of(account, "webhooks", hook.id));
  toast(`“${hook.name}” is deleted.`);
  return true;
}

/** Sends the sample now, and shows request and answer. */
export function test(account, hook) {
  return dialog(`Test “${hook.name}”`, () => {
    const place = h("div", { class: "body" }, waiting("Sending the sample …"));
    api.put(of(account, "webhooks", hook.id, "test"))
      .then((attempt) => fill(place, exchange(attempt)), (error) => fill(place, failure(error)));
    return place;
  }, { wide: true });
}

/** Queues again what was not delivered since a time. It is counted first, and sent when that was seen. */
export function recover(account, hook) {
  return dialog(`Recover “${hook.name}”`, (close) => {
    const since = h("input", { type: "datetime-local", step: "1", value: local(new Date(Date.now() - 3600_000)), required: true });
    const until = h("input", { type: "datetime-local", step: "1" });
    const from = field({ label: "Since", control: since, name: "since" });
    const to = field({ label: "Until", control: until, hint: "Empty: until now", name: "until" });
    const counted = h("div", { role: "status" });
    const span = (dryRun) => ({
      since: since.value && new Date(since.value).toISOString(),
      until: until.value ? new Date(until.value).toISOString() : null,
      dry_run: dryRun,
    });
    const count = button("Count", { onclick: () => busy(count, async () => {
      from.mistake(since.value ? "" : "Say since when");
      if (!since.value) return;
      const found = await api.put(of(account, "webhooks", hook.id, "recover"), span(true));
      fill(counted, h("p", {}, found.count === 0 ? "Nothing failed, expired or was skipped in that time." : h("strong", {}, `${number(found.count)} ${found.count === 1 ? "delivery" : "deliveries"} would be sent again.`)));
      send.disabled = found.count === 0;
    }, (error) => fill(counted, failure(error))) });
    const send = button("Send again", { class: "primary", disabled: true, onclick: () => busy(send, async () => {
      const { count: queued } = await api.put(of(account, "webhooks", hook.id, "recover"), span(false));
      toast(`${number(queued)} queued again.`);
      close(true);
    }, (error) => fill(counted, failure(error))) });
    const recount = () => {
      send.disabled = true;
      fill(counted);
    };
    since.addEventListener("input", recount);
    until.addEventListener("input", recount);
    return [
      h("div", { class: "body" },
        h("p", {}, "What failed, expired or was skipped is queued again, in the order in which it happened. Ids stay the same, so a receiver that keeps them does nothing twice."),
        h("div", { class: "row" }, from, to), counted),
      h("footer", {}, button("Cancel", { onclick: () => close() }), count, send),
    ];
  });
}

/** An instant as `datetime-local` wants it. */
function local(date) {
  const there = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return there.toISOString().slice(0, 19);
}

/** Shows a secret, which nobody can see again. */
export function reveal(secret, more) {
  return dialog("The signing secret", (close) => {
    const shown = h("input", { type: "text", class: "mono", value: secret, readonly: true, onfocus: () => shown.select() });
    const copy = button("Copy", { onclick: async () => {
      shown.select();
      try {
        await navigator.clipboard.writeText(secret);
        toast("Copied.");
      } catch {
        toast("The browser does not let it be copied: press Ctrl+C.", "bad");
      }
    } });
    return [
      h("div", { class: "body" },
        h("p", {}, h("strong", {}, "It is shown this once. "), "Keep it where the receiver finds it: with it, the receiver knows that a request comes from here (Standard Webhooks)."),
        field({ label: "Secret", control: shown }), more && h("p", { class: "hint" }, more)),
      h("footer", {}, copy, button("I have kept it", { class: "primary", onclick: () => close() })),
    ];
  }, { lasting: true });
}
