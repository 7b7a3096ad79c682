// What happens now: the calls that are up, and events as they come.

import { hookNames, of, triggerNames } from "../catalogue.js";
import { debounce, fill, h } from "../dom.js";
import { outcome, resultBadge } from "../exchange.js";
import { watch } from "../feed.js";
import { exactTime, number, span } from "../format.js";
import { to } from "../router.js";
import { badge, button, empty, failure, field, link, select } from "../ui.js";

/** Events that are kept on the page; the attempts have the others. */
const MOST = 200;
/** Events that wait while it is paused. */
const MOST_WAITING = 1000;
const KINDS = [["fact", "What happened"], ["delivery", "What is sent"], ["attempt", "How it ended"], ["", "All of it"]];

export async function mount(root, ctx) {
  const { account, api } = ctx;
  const words = await triggerNames();
  const calls = h("div", { class: "stack tight" });
  const events = h("ol", { class: "stream", "aria-label": "Events as they come", tabindex: "0" });
  const nothing = empty("Waiting for something to happen", "Events appear here the moment the switch reports them, where a webhook asks for them.");
  const kind = select(KINDS, "fact");
  const search = h("input", { type: "search", autocomplete: "off" });
  const counted = h("span", { class: "soft small-text", role: "status" });
  let paused = false;
  let waiting = [];
  let total = 0;

  // --- calls ---
  let up = [];
  // Who calls whom, by call: events say only which call they are about.
  const parties = new Map();
  async function look() {
    try {
      up = await api.get(of(account, "channels"));
      for (const leg of up) if (leg.is_root_leg) parties.set(leg.call_uuid, [caller(leg), leg.destination_number ?? "?"]);
      for (const old of [...parties.keys()].slice(0, Math.max(0, parties.size - MOST_WAITING))) parties.delete(old);
      for (const place of events.querySelectorAll("[data-call]:empty")) fill(place, between(parties.get(place.dataset.call)));
      drawCalls();
    } catch (error) {
      if (error.status !== 401) fill(calls, failure(error));
    }
  }
  function drawCalls() {
    const byCall = group(up);
    if (byCall.size === 0) {
      fill(calls, h("p", { class: "soft none" }, "No call is up."));
      return;
    }
    const legs = [...byCall].slice(0, 100);
    fill(calls, legs.map(([id, own]) => drawCall(id, own)), byCall.size > legs.length && h("p", { class: "soft" }, `and ${number(byCall.size - legs.length)} more`));
  }
  function drawCall(id, own) {
    const root_ = own.find((leg) => leg.is_root_leg) ?? own[0];
    const others = new Set(own.filter((leg) => leg !== root_).map((leg) => leg.callee_id_number).filter((one) => one && one !== root_.destination_number));
    const state = root_.on_hold ? badge("On hold", "warn") : own.some((leg) => leg.answered) ? badge("Answered", "good") : badge("Ringing", "info");
    return h("a", { class: "call", href: to("calls", id) },
      h("span", { class: "who" }, h("strong", {}, caller(root_)), h("span", { class: "under" }, root_.caller_id_name ? root_.caller_id_number : null)),
      h("span", { class: "who" }, h("span", { class: "soft" }, "to "), root_.destination_number ?? "–", others.size > 0 && h("span", { class: "under" }, [...others].join(", "))),
      h("span", { class: "state" }, state, h("span", { class: "soft" }, ` ${span(root_.elapsed_s)}`)));
  }
  const soon = debounce(120, look);

  // --- events ---
  const fits = ({ kind: what, data }) => (!kind.value || kind.value === what) && (!search.value.trim() || JSON.stringify([data, words.get(data.hook_event), names.get(data.hook_id), parties.get(data.call_uuid)]).toLowerCase().includes(search.value.trim().toLowerCase()));
  let kept = [];
  let names = new Map();
  function drawEvent({ kind: what, data, at }) {
    const said = { fact: () => h("span", { class: "soft", "data-call": data.call_uuid }, between(parties.get(data.call_uuid))), delivery: () => badge(data.skipped ? "Skipped" : "Queued", data.skipped ? "warn" : "info"), attempt: () => [resultBadge(data.result), h("span", { class: "soft" }, ` ${outcome(data)}`)] };
    const hook = data.hook_id && link(names.get(data.hook_id) ?? "webhook", to("webhooks", data.hook_id));
    return h("li", { class: `event ${what}` }, h("time", { class: "mono" }, exactTime(at)), h("strong", {}, words.get(data.hook_event) ?? data.hook_event),
      h("span", { class: "rest" }, hook && h("span", {}, h("span", { class: "soft" }, what === "delivery" ? "to " : "at "), hook), said[what]?.()),
      data.call_id && link(h("span", { class: "mono" }, data.call_id.slice(0, 8)), to("calls", data.call_id), { "aria-label": `Call ${data.call_id}` }));
  }
  function drawEvents() {
    const shown = kept.filter(fits).slice(0, MOST);
    fill(events, shown.map(drawEvent));
    nothing.hidden = shown.length > 0;
  }
  let asked = false;
  let due = [];
  /** Draws what has come, once a frame: a busy switch must not keep the page from breathing. */
  async function flush() {
    asked = false;
    const fresh = due.reverse();
    due = [];
    const unknown = fresh.filter(({ data }) => data.hook_id && !names.has(data.hook_id)).map(({ data }) => data.hook_id);
    if (unknown.length) {
      try {
        names = new Map([...names, ...(await hookNames(account, [...new Set(unknown)].slice(0, 50)))]);
      } catch (error) {
        if (error.status === 401) return;
      }
    }
    kept = [...fresh, ...kept].slice(0, MOST_WAITING);
    events.prepend(...fresh.filter(fits).slice(0, MOST).map(drawEvent));
    while (events.children.length > MOST) events.lastChild.remove();
    nothing.hidden = events.children.length > 0;
    counted.textContent = `${number(total)} seen`;
  }
  function take(what, data) {
    const item = { kind: what, data, at: new Date() };
    total += 1;
    if (paused) {
      waiting = [...waiting.slice(1 - MOST_WAITING), item];
      pause.textContent = `Go on (${number(waiting.length)})`;
      return;
    }
    due.push(item);
    if (!asked) {
      asked = true;
      requestAnimationFrame(flush);
    }
  }
  const pause = button("Pause", { "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (paused) return;
    due.push(...waiting);
    waiting = [];
    flush();
  } });
  kind.addEventListener("change", drawEvents);
  search.addEventListener("input", debounce(150, drawEvents));

  fill(root,
    h("div", { class: "headline" }, h("div", {}, h("h1", {}, "Live"), h("p", {}, "Calls that are up, and events as they come")), h("div", { class: "actions" }, counted, pause)),
    h("div", { class: "live" },
      h("section", { class: "card", "aria-label": "Calls now" }, h("h2", {}, "Calls now"), calls),
      h("section", { class: "stack tight", "aria-label": "Events" },
        h("div", { class: "filters" }, field({ label: "Show", control: kind }), field({ label: "Filter", control: search, class: "grow" })),
        h("div", { class: "card flush" }, nothing, events))));
  look();
  const stop = watch((what, data) => {
    if (what === "state" || data.account_id !== account.id) return;
    take(what, data);
    if (what === "fact") soon();
  });
  const ticking = setInterval(look, 3000);
  return { unmount: () => {
    clearInterval(ticking);
    soon.cancel();
    stop();
  } };
}

/** Who calls whom, each isolated: a name in Arabic would pull the number over to its other side. */
const between = (parties) => parties && [h("bdi", {}, parties[0]), " → ", h("bdi", {}, parties[1])];

const caller = (leg) => leg.caller_id_name ?? leg.caller_id_number ?? "unknown";

/** Legs by their call. */
function group(legs) {
  const found = new Map();
  for (const leg of legs) found.set(leg.call_uuid, [...(found.get(leg.call_uuid) ?? []), leg]);
  return found;
}
