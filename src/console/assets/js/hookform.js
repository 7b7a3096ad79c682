// The form of a webhook: every field that the API has, grouped as people think of them, and beside it the payload
// that comes of the choice.

import { fill, h } from "./dom.js";
import { field, group, pairs, select, tick } from "./ui.js";

const VERBS = [["post", "POST"], ["get", "GET"], ["put", "PUT"]];
const FORMATS = [["form-data", "Form data (as Kazoo sends it)"], ["json", "JSON"]];
const RETRIES = [["0", "None"], ["1", "1"], ["2", "2"], ["3", "3"], ["4", "4"]];
const ORDERINGS = [["call", "A call's events in order; a failed one holds up nothing"], ["strict", "Strictly in order: a failed one holds up the call's later ones"], ["none", "As fast as possible, in any order"]];
const CALL_TYPES = [["inbound", "Inbound"], ["outbound", "Outbound"], ["internal", "Internal"], ["click_to_call", "Click to call"]];
const GROUPS = [
  ["Calls", (id) => id.startsWith("call_") || id === "extension_dialed"],
  ["Legs of calls", (id) => id.startsWith("channel_") || id === "dtmf"],
  ["Everything else", () => true],
];
/** What the form writes. All else of a webhook stays as it is. */
const OWN = ["name", "description", "hook", "uri", "http_verb", "format", "retries", "timeout_ms", "failover_uri", "expires_seconds", "ordering", "rate_limit", "call_types", "numbers", "modifiers", "timezone", "include_internal_legs", "include_subaccounts", "custom_request_headers", "custom_data", "enabled"];
const READ_ONLY = ["id", "created", "modified", "has_secret", "previous_secret_until"];

/** All of a webhook that a form opened on it would replace, but for its being on or off. */
const content = (hook) => JSON.stringify(Object.entries(hook).filter(([key]) => ![...READ_ONLY, "enabled", "disable_reason"].includes(key)));

/** `{element, read, show, switched, dirty, isOutdated, saved, changed, mistakes}` of a webhook, or of a new one. */
export function form({ hook, account, catalogue, examples, onchange }) {
  let original = hook ?? {};
  let controls;
  let before;
  const element = h("div", { class: "form-and-sample" });
  const changed = () => {
    controls.sample();
    onchange();
  };

  function show(shown) {
    original = shown;
    controls = build(shown, { account, catalogue, examples, changed: () => changed() });
    fill(element, controls.element);
    before = JSON.stringify(controls.read().document);
  }
  show(original);
  element.addEventListener("input", () => changed());

  return {
    element,
    show(shown) {
      show(shown);
      onchange();
    },
    /** Takes over that it was switched on or off, whatever else stands in the form. */
    switched(on) {
      controls.enabled.checked = on;
      before = JSON.stringify({ ...JSON.parse(before), enabled: on });
      onchange();
    },
    changed,
    /** Whether what is stored is no longer what the form was opened with. */
    isOutdated: (stored) => content(stored) !== content(original),
    dirty: () => JSON.stringify(controls.read().document) !== before,
    saved() {
      before = JSON.stringify(controls.read().document);
    },
    /** The document that the form makes, on top of what it does not know; and what cannot be read. */
    read() {
      const { document: written, mistakes } = controls.read();
      const kept = Object.entries(original).filter(([key]) => !READ_ONLY.includes(key) && !OWN.includes(key));
      return { document: { ...Object.fromEntries(kept), ...written }, mistakes };
    },
    /** Says what is wrong at each field; gives back what is about no field of the form. */
    mistakes(fields) {
      for (const place of element.querySelectorAll("[data-field]")) place.mistake?.("");
      const lost = [];
      const { document: written } = controls.read();
      for (const [name, text] of Object.entries(fields)) {
        const place = findField(element, name);
        if (!place) {
          lost.push(`${name}: ${text}.`);
          continue;
        }
        // Several may be about one field: the items of a list.
        const before = place.querySelector(".error:not([hidden])")?.textContent;
        place.mistake([before, about(written, name, place.dataset.field) + text].filter(Boolean).join(" "));
        const folded = place.closest("details");
        if (folded) folded.open = true;
      }
      return lost;
    },
  };
}

/** What of a field a mistake is about, where it is about a part: `numbers.1` is the second number. */
function about(written, name, field) {
  if (name === field) return "";
  const value = name.split(".").reduce((inside, key) => inside?.[key], written);
  return `“${typeof value === "string" && value ? value : name.slice(field.length + 1)}”: `;
}

/** The field of a mistake: `rate_limit.burst` is one of its own, `numbers.2` is `numbers`. */
function findField(element, name) {
  const find = (wanted) => [...element.querySelectorAll("[data-field]")].find((place) => place.dataset.field === wanted && place.mistake);
  return find(name) ?? find(name.split(".")[0]);
}

const text = (value, props = {}) => h("input", { type: "text", value: value ?? "", autocomplete: "off", ...props });
const whole = (value, least, most) => h("input", { type: "number", value: value ?? "", min: least, max: most, step: "1" });

function build(hook, { account, catalogue, examples, changed }) {
  const isNew = !hook.id;
  const card = (title, ...children) => h("section", { class: "card stack" }, h("h2", {}, title), children);
  const sample = samplePanel(examples);
  const wanted = triggerField(hook.hook ?? "call_hangup", catalogue, changed);

  const name = field({ label: "Name", name: "name", control: text(hook.name, { required: true }) });
  const description = field({ label: "Description", name: "description", control: text(hook.description) });
  const uri = field({ label: "URL", name: "uri", control: h("input", { type: "url", class: "mono", value: hook.uri ?? "", autocomplete: "off", placeholder: "https://crm.example.com/calls" }), hint: "Where it is sent: http, https, or nats://HOST/SUBJECT." });
  const verb = field({ label: "Request", name: "http_verb", control: select(VERBS, hook.http_verb ?? "post") });
  const format = field({ label: "Content type", name: "format", control: select(FORMATS, hook.format ?? (isNew ? "json" : "form-data")) });
  const retries = field({ label: "Retries", name: "retries", control: select(RETRIES, String(hook.retries ?? 2)), hint: "After a first attempt that failed." });
  const enabled = tick({ label: "On", name: "enabled", checked: hook.enabled ?? true, hint: "Off: what happens is recorded as skipped, and can be sent later." });

  const types = new Set([hook.call_types ?? []].flat());
  const typeBoxes = CALL_TYPES.map(([id, label]) => [id, h("input", { type: "checkbox", checked: types.has(id) }), label]);
  const callTypes = group({ label: "Call type", name: "call_types", hint: "None ticked: all of them." },
    h("div", { class: "choices" }, typeBoxes.map(([, box, label]) => h("label", {}, box, label))));
  const numbersBox = h("textarea", { class: "mono", rows: "3", spellcheck: "false", value: [hook.numbers ?? []].flat().join("\n") });
  const numbers = field({ label: "My numbers", name: "numbers", control: numbersBox, hint: "One a line, as +15557770000; a * at the end means all that begin so. Empty: every number." });
  const own = (account.numbers ?? []).slice(0, 40).map((one) => h("button", { type: "button", class: "button small mono", onclick: () => {
    const there = lines(numbersBox.value);
    numbersBox.value = (there.includes(one) ? there.filter((other) => other !== one) : [...there, one]).join("\n");
    changed();
  } }, one));
  const zones = h("datalist", { id: "time-zones" }, Intl.supportedValuesOf("timeZone").map((zone) => h("option", { value: zone })));
  const timezone = field({ label: "Time zone", name: "timezone", control: text(hook.timezone, { list: "time-zones", placeholder: "UTC" }), hint: "Of occurred_at in the payload." });
  const modifiers = pairs({ label: "Only where", name: "modifiers", values: hook.modifiers ?? {}, keyLabel: "Field of the payload", valueLabel: "Value, or several with commas", json: true,
    hint: "A field of the payload must have one of these values, such as digit = 1, 2. “Switch event” needs event = RECORD_STOP, CUSTOM callcenter::info." });
  const internal = tick({ label: "Internal legs, too", name: "include_internal_legs", checked: hook.include_internal_legs ?? true, hint: "Loopback legs that the switch makes for itself." });
  const subaccounts = tick({ label: "Calls of accounts below this one, too", name: "include_subaccounts", checked: hook.include_subaccounts });

  const failover = field({ label: "Failover URL", name: "failover_uri", control: h("input", { type: "url", class: "mono", value: hook.failover_uri ?? "", autocomplete: "off" }), hint: "Tried at once when the URL cannot be reached, takes too long or answers with 5xx." });
  const timeout = field({ label: "Time-out (ms)", name: "timeout_ms", control: whole(hook.timeout_ms, 100, 120000), hint: "Empty: the daemon's own." });
  const expires = field({ label: "Expires after (s)", name: "expires_seconds", control: whole(hook.expires_seconds, 1, 31536000), hint: "Older events are not sent any more. Empty: never." });
  const ordering = field({ label: "Order", name: "ordering", control: select(ORDERINGS, hook.ordering ?? "call") });
  const rate = field({ label: "Requests a second", name: "rate_limit.per_second", control: whole(hook.rate_limit?.per_second, 1, 100000), hint: "Empty: the endpoint's limit." });
  const burst = field({ label: "At once after a pause", name: "rate_limit.burst", control: whole(hook.rate_limit?.burst, 1, 100000) });
  const headers = pairs({ label: "Request headers", name: "custom_request_headers", values: hook.custom_request_headers ?? {}, keyLabel: "Header" });
  const data = pairs({ label: "Extra values", name: "custom_data", values: hook.custom_data ?? {}, keyLabel: "Key", json: true, hint: "They are merged into the payload and win over what it has." });

  const kinds = isNew
    ? [["none", "Do not sign"], ["generate", "Generate a secret"], ["own", "Use a secret of mine"]]
    : [["keep", hook.has_secret ? "Keep the secret there is" : "Do not sign"], ["generate", "Generate a new secret"], ["own", "Use a secret of mine"], ...(hook.has_secret ? [["none", "Do not sign any more"]] : [])];
  const secretKind = select(kinds, isNew ? "none" : "keep");
  const ownSecret = field({ label: "Secret", name: "secret", control: text("", { class: "mono", placeholder: "whsec_…", spellcheck: "false" }), hint: "whsec_ and the base64 of 24 to 64 bytes." });
  const signing = field({ label: "Signature", control: secretKind, hint: "Standard Webhooks: the receiver can tell that a request comes from here. A generated secret is shown once, when you save." });

  const optional = (title, open, ...children) => h("details", { class: "card", open }, h("summary", {}, h("h2", {}, title)), h("div", { class: "stack" }, children));
  const says = (...fields) => fields.some((key) => hook[key] !== undefined && hook[key] !== null && JSON.stringify(hook[key]) !== "{}" && JSON.stringify(hook[key]) !== "[]");
  const sheet = h("div", { class: "stack" },
    card("What", name, description, wanted.element, enabled),
    card("Where to", uri, h("div", { class: "row" }, verb, format, retries)),
    optional("Which calls", says("call_types", "numbers", "timezone", "modifiers"), callTypes, numbers, own.length > 0 && h("div", { class: "actions tight", role: "group", "aria-label": "Numbers of the account" }, own), modifiers, timezone, zones, internal, subaccounts),
    optional("What goes along", says("custom_request_headers", "custom_data"), headers, data),
    optional("When it fails, and how fast", says("failover_uri", "timeout_ms", "expires_seconds", "rate_limit"), failover, h("div", { class: "row" }, timeout, expires), ordering, h("div", { class: "row" }, rate, burst)),
    card("Signing", signing, ownSecret));

  const value = (place) => place.control.value.trim();
  function read() {
    const mistakes = {};
    const count = (place) => {
      const { control } = place;
      if (control.validity.badInput) mistakes[place.dataset.field] = "This is no number";
      return control.value === "" ? null : Number(control.value);
    };
    const perSecond = count(rate);
    const atOnce = count(burst);
    const chosen = secretKind.value;
    const written = {
      name: value(name) || null,
      description: value(description) || null,
      hook: wanted.read(),
      uri: value(uri) || null,
      http_verb: verb.control.value,
      format: format.control.value,
      retries: Number(retries.control.value),
      timeout_ms: count(timeout),
      failover_uri: value(failover) || null,
      expires_seconds: count(expires),
      ordering: ordering.control.value,
      rate_limit: perSecond === null && atOnce === null ? null : { ...(perSecond !== null && { per_second: perSecond }), ...(atOnce !== null && { burst: atOnce }) },
      call_types: typeBoxes.filter(([, box]) => box.checked).map(([id]) => id),
      numbers: lines(numbersBox.value),
      modifiers: Object.fromEntries(Object.entries(modifiers.read()).map(([key, said]) => [key, several(said)])),
      timezone: value(timezone) || null,
      include_internal_legs: internal.control.checked,
      include_subaccounts: subaccounts.control.checked,
      custom_request_headers: headers.read(),
      custom_data: data.read(),
      enabled: enabled.control.checked,
      ...(chosen === "generate" && { secret: "generate" }),
      ...(chosen === "own" && { secret: value(ownSecret) }),
      ...(chosen === "none" && !isNew && { secret: null }),
    };
    return { document: written, mistakes };
  }
  function refresh() {
    format.hidden = verb.control.value === "get";
    ownSecret.hidden = secretKind.value !== "own";
    const { document: written } = read();
    sample.show(written);
  }
  refresh();
  return { element: [sheet, sample.element], read, sample: refresh, enabled: enabled.control };
}

const lines = (said) => said.split(/[\n,;]+/).map((line) => line.trim()).filter(Boolean);

/** `1, 2` is a list; anything else stays as it is. */
function several(said) {
  if (typeof said !== "string" || !said.includes(",")) return said;
  return said.split(",").map((one) => one.trim()).filter(Boolean);
}

/** What it asks for: everything, or some triggers, each with what it means. */
function triggerField(hook, catalogue, changed) {
  const chosen = new Set([hook].flat());
  const isAll = chosen.has("all");
  const all = h("input", { type: "radio", name: "triggers", checked: isAll });
  const some = h("input", { type: "radio", name: "triggers", checked: !isAll });
  const boxes = catalogue.map(({ id, name, description }) => ({ id, name, description, box: h("input", { type: "checkbox", checked: chosen.has(id), value: id }) }));
  const left = new Set(boxes);
  const groups = GROUPS.map(([title, belongs]) => {
    const own = [...left].filter(({ id }) => belongs(id));
    own.forEach((one) => left.delete(one));
    return h("div", { role: "group", "aria-label": title }, h("p", { class: "group-name" }, title),
      own.map(({ name, description, box }) => h("label", { class: "trigger" }, box, h("span", {}, h("strong", {}, name), h("span", { class: "under" }, description)))));
  });
  const list = h("div", { class: "triggers", hidden: isAll, tabindex: "0", role: "group", "aria-label": "Triggers" }, groups);
  const element = group({ label: "Trigger", name: "hook" },
    h("div", { class: "choices" }, h("label", {}, some, "These"), h("label", {}, all, "Everything (but raw switch events)")), list);
  for (const choice of [all, some]) {
    choice.addEventListener("change", () => {
      list.hidden = all.checked;
      changed();
    });
  }
  // The first one that is chosen is seen, however far down it stands.
  requestAnimationFrame(() => {
    const first = boxes.find(({ box }) => box.checked)?.box.parentElement;
    if (first) list.scrollTop = first.offsetTop - list.offsetTop - 30;
  });
  return {
    element,
    read() {
      if (all.checked) return "all";
      const ids = boxes.filter(({ box }) => box.checked).map(({ id }) => id);
      return ids.length === 1 ? ids[0] : ids;
    },
  };
}

/** The payload that comes of the choices. */
function samplePanel(examples) {
  const which = h("select", { "aria-label": "Sample of" });
  const line = h("p", { class: "mono request-line" });
  const body = h("pre", { class: "sample", tabindex: "0", "aria-label": "Sample payload" });
  const element = h("aside", { class: "card sample-card", "aria-label": "Sample" }, h("h2", {}, "What is sent"), which, line, body);
  let last = {};
  which.addEventListener("input", (event) => {
    event.stopPropagation();
    draw();
  });
  function draw() {
    const payload = { ...(examples[which.value] ?? {}), ...last.custom_data };
    const isGet = last.http_verb === "get";
    fill(line, `${last.http_verb.toUpperCase()} ${last.uri || "https://…"}${isGet ? "?…" : ""}`);
    fill(body, isGet || last.format !== "json" ? formText(payload) : JSON.stringify(payload, null, 2));
  }
  return {
    element,
    show(written) {
      last = written;
      const ids = written.hook === "all" ? Object.keys(examples).filter((id) => id !== "switch_event") : [written.hook].flat();
      const shown = [which.value, "call_hangup", ids[0]].find((id) => ids.includes(id));
      fill(which, ids.map((id) => h("option", { value: id, selected: id === shown }, id)));
      which.hidden = ids.length < 2;
      if (ids.length === 0) body.textContent = "Choose a trigger to see what it sends.";
      else draw();
    },
  };
}

/** A payload as form data, a pair a line. */
function formText(payload, prefix = "") {
  return Object.entries(payload).map(([key, value]) => {
    const name = prefix ? `${prefix}[${key}]` : key;
    if (value !== null && typeof value === "object") return formText(value, name);
    return `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  }).join("\n&").replaceAll("\n&\n&", "\n&");
}
