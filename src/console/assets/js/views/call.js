// A call: what happened, what matched, what was sent, and why not.

import { of, triggerNames } from "../catalogue.js";
import { fill, h } from "../dom.js";
import { resultBadge, outcome } from "../exchange.js";
import { duration, exactTime, instant, number } from "../format.js";
import { to } from "../router.js";
import { badge, button, empty, link } from "../ui.js";

const STATES = { delivered: "good", pending: "info", failed: "bad", gone: "quiet", expired: "warn", skipped: "warn" };
const ABOUT_MOST = 8;
const FEW = 8;

export async function mount(root, ctx) {
  const { account, api, params } = ctx;
  const names = await triggerNames();
  const place = h("div", { class: "stack" });
  const raw = button("Show every event", { "aria-pressed": "false", onclick: () => {
    raw.setAttribute("aria-pressed", String(raw.getAttribute("aria-pressed") !== "true"));
    draw();
  } });
  const reload = button("Look again", { onclick: () => load().catch((error) => ctx.toast(error.message, "bad")) });
  let told = null;

  async function load() {
    try {
      told = await api.get(of(account, "calls", params.id, "timeline"));
    } catch (error) {
      if (error.status !== 404) throw error;
      told = null;
    }
    draw();
  }

  function draw() {
    if (!told) {
      fill(place, empty("Nothing is known of this call", "It may be older than what is kept, or belong to another account. Calls are noted only while [events] timeline is on."));
      return;
    }
    const all = raw.getAttribute("aria-pressed") === "true";
    const letter = (leg) => String.fromCharCode(65 + (Math.max(0, told.legs.indexOf(leg)) % 26));
    const shown = told.timeline.filter((entry) => all || entry.facts.length > 0);
    fill(place,
      h("section", { class: "card" },
        h("dl", { class: "facts" },
          h("dt", {}, "Call"), h("dd", { class: "mono" }, told.call_uuid ?? told.call_id),
          h("dt", {}, "Legs"), h("dd", {}, told.legs.map((leg) => h("span", { class: "leg-line" }, badge(letter(leg), "info"), " ", h("span", { class: "mono small-text" }, leg)))),
          ...summary(told))),
      h("ol", { class: "timeline" }, shown.map((entry) => drawEntry(entry, letter(entry.call_id)))),
      told.hooks.length > 0 && h("section", { class: "card stack tight" }, h("h2", {}, "Webhooks of the account"),
        few(matchedFirst(told.hooks, ({ matched }) => matched > 0).map(drawHook), told.hooks_left_out)),
      h("p", { class: "soft small-text" }, told.note));
  }

  function drawEntry(entry, leg) {
    const at = new Date(entry.occurred_at);
    const about = Object.entries(entry.about ?? {}).slice(0, ABOUT_MOST);
    return h("li", {},
      h("div", { class: "moment" }, h("time", { datetime: entry.occurred_at, title: instant(at) }, exactTime(at)), badge(leg, "info"), h("span", { class: "mono soft" }, entry.event ?? "")),
      about.length > 0 && h("p", { class: "about" }, about.map(([key, value]) => h("span", {}, h("span", { class: "soft" }, `${key} `), text(value)))),
      entry.facts.map(drawFact));
  }

  function drawFact(fact) {
    return h("div", { class: "fact" },
      h("h2", {}, names.get(fact.hook_event) ?? fact.hook_event, fact.reconciled && " ", fact.reconciled && badge("worked out after a gap", "warn")),
      fact.hooks.length === 0 && h("p", { class: "soft small-text" }, "No webhook asks for it."),
      few(matchedFirst(fact.hooks, ({ verdict }) => verdict === "matched").map(drawVerdict), fact.hooks_left_out));
  }

  function drawHook(hook) {
    return h("li", {}, link(hook.name, to("webhooks", hook.id)), ": ", hook.matched === 0 ? h("span", { class: "soft" }, "nothing matched") : `${hook.matched} matched`, hook.changed_since && " ", hook.changed_since && badge("changed since", "warn"));
  }

  function drawVerdict(hook) {
    const name = hook.name ?? "one call's webhook";
    const { delivery } = hook;
    return h("li", { class: "verdict" },
      h("span", {}, link(name, to("webhooks", hook.id)), " ", hook.verdict === "matched" && delivery ? badge(delivery.state, STATES[delivery.state]) : badge(hook.verdict.replaceAll("_", " "), hook.verdict === "matched" ? "good" : "quiet")),
      hook.reason && h("span", { class: "soft" }, hook.reason),
      delivery?.attempts.map((attempt) => h("span", { class: "soft" }, attempt.result !== "success" && resultBadge(attempt.result), ` try ${attempt.attempt}: ${outcome(attempt)}, ${duration(attempt.duration_ms)}`)));
  }

  fill(root,
    h("div", { class: "headline" },
      h("div", {}, h("h1", {}, "Call"), h("p", {}, "What happened, what matched, what was sent, and why not")),
      h("div", { class: "actions" }, raw, reload, link("Its attempts", `#/attempts?call=${encodeURIComponent(params.id)}`, { class: "button" }))),
    place);
  await load();
}

const matchedFirst = (hooks, matched) => hooks.toSorted((a, b) => matched(b) - matched(a));

/** A list of which the first few are seen at once; `leftOut` more the server has not told. */
function few(items, leftOut) {
  const list = (some) => h("ul", { class: "plain" }, some);
  const rest = items.slice(FEW);
  if (rest.length === 0) return list(items);
  return [list(items.slice(0, FEW)), h("details", { class: "more" }, h("summary", {}, `${number(rest.length + leftOut)} more`), list(rest), leftOut > 0 && h("p", { class: "soft small-text" }, `and ${number(leftOut)} that did not match`))];
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Who called whom, and how it ended, from what was told. */
function summary(told) {
  const seen = {};
  const note = (said) => {
    for (const [key, value] of Object.entries(said ?? {})) seen[key] ??= value;
  };
  const ofRoot = ({ call_id: leg }) => (leg === told.call_uuid ? 0 : 1);
  // What is said of the root leg counts first, and what the end of the call says before that of a leg.
  const entries = told.timeline.toSorted((a, b) => ofRoot(a) - ofRoot(b));
  for (const { facts } of entries) facts.filter((fact) => fact.hook_event === "call_hangup").forEach((fact) => note(fact.payload));
  for (const { facts, about } of entries) {
    note(about);
    facts.forEach((fact) => note({ ...fact.payload, call_type: fact.call_type }));
  }
  const line = (title, ...parts) => {
    const said = parts.filter((part) => part !== undefined && part !== null && part !== "");
    return said.length ? [h("dt", {}, title), h("dd", {}, said.map((part, index) => [index > 0 && " · ", h("bdi", {}, String(part))]))] : [];
  };
  return [
    ...line("From", seen.caller_id_name, seen.caller_id_number),
    ...line("To", seen.destination_number, seen.call_type),
    ...line("Ended", seen.outcome, seen.hangup_cause, seen.hangup_code, seen.duration_seconds !== undefined ? `${seen.duration_seconds} s` : null),
  ];
}
