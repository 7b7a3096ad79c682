// What the views are made of: dialogs, fields, rows, tables, menus, tabs, badges.

import { fill, h, newId, s } from "./dom.js";

// --- words -------------------------------------------------------------------------------------------------------

/** A word in a coloured lozenge. `kind`: good, bad, warn, info or quiet. */
export const badge = (text, kind = "quiet") => h("span", { class: `badge ${kind}` }, text);

/** Something that says why there is nothing, and what to do. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), text && h("p", {}, text), actions.length > 0 && h("div", { class: "actions" }, actions));
}

/** A notice across the page. `kind`: bad, warn, info. */
export const notice = (kind, ...children) => h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, children);

/** What has gone wrong, said where it went wrong, and what can be done. */
export const failure = (error, ...actions) => notice("bad", h("div", {}, h("strong", {}, "That did not work. "), error.message), actions);

/** Shown while something is fetched. */
export const waiting = (text = "Loading …") => h("p", { class: "waiting", role: "status" }, text);

export const button = (text, props = {}) => h("button", { type: "button", ...props, class: `button ${props.class ?? ""}` }, text);

export const link = (text, href, props = {}) => h("a", { href, ...props }, text);

/** Does `work` while the button cannot be pressed again; the answer, or undefined where `onError` took a failure. */
export async function busy(pressed, work, onError) {
  const held = document.activeElement === pressed;
  pressed.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    onError(error);
    return undefined;
  } finally {
    pressed.disabled = false;
    pressed.removeAttribute("aria-busy");
    // A button that cannot be pressed loses the focus.
    if (held && document.activeElement === document.body) pressed.focus();
  }
}

const ICONS = {
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  menu: "M4 7h16M4 12h16M4 17h16",
  moon: "M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
};

/** A small drawing that says nothing to who cannot see it: its button has a label. */
export const icon = (name) => s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));

// --- dialogs -----------------------------------------------------------------------------------------------------

/** Opens a dialog; `build(close)` gives its content. The promise is what it was closed with, undefined by Escape.
 *  A `lasting` one stays open where the address changes. */
export function dialog(title, build, { wide = false, lasting = false } = {}) {
  return new Promise((done) => {
    const titleId = newId("dialog");
    let result;
    const box = h("dialog", { class: `${wide ? "wide" : ""} ${lasting ? "lasting" : ""}`, "aria-labelledby": titleId });
    const close = (value) => {
      result = value;
      box.close();
    };
    box.addEventListener("close", () => {
      box.remove();
      done(result);
    });
    const shut = h("button", { type: "button", class: "button bare", "aria-label": "Close", onclick: () => close() }, icon("close"));
    fill(box, h("header", {}, h("h2", { id: titleId }, title), shut), build(close));
    document.body.append(box);
    box.showModal();
  });
}

/** Closes what is open; what is shown only once is left open by a change of address. */
export const closeDialogs = (which = "dialog:not(.lasting)") => document.querySelectorAll(which).forEach((open) => open.close());

/** Asks; true where `ok` was pressed. */
export async function confirm({ title, text, ok = "OK", danger = false }) {
  const answer = await dialog(title, (close) => [
    h("div", { class: "body" }, typeof text === "string" ? h("p", {}, text) : text),
    h("footer", {},
      button("Cancel", { onclick: () => close(false), autofocus: danger }),
      button(ok, { class: danger ? "danger" : "primary", onclick: () => close(true), autofocus: !danger })),
  ]);
  return answer === true;
}

/** Says something in passing. `kind`: good or bad. */
export function toast(text, kind = "good") {
  let shelf = document.querySelector(".toasts");
  if (!shelf) {
    shelf = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(shelf);
  }
  const one = h("div", { class: `toast ${kind}` }, text);
  shelf.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 9000 : 4500);
}

// --- forms -------------------------------------------------------------------------------------------------------

/** A control with its label, a hint and room for what is wrong with it. `element.mistake(text)` says that;
 *  an empty text takes it back. The control is `element.control`. */
export function field({ label, hint, control, name, class: extra = "" }) {
  const id = newId("field");
  const hintId = hint && newId("hint");
  const errorId = newId("error");
  control.id = id;
  const error = h("p", { class: "error", id: errorId, hidden: true });
  const described = () => [hintId, !error.hidden && errorId].filter(Boolean).join(" ");
  const describe = () => {
    const ids = described();
    if (ids) control.setAttribute("aria-describedby", ids);
    else control.removeAttribute("aria-describedby");
  };
  const element = h("div", { class: `field ${extra}`, "data-field": name },
    h("label", { for: id }, label), control, hint && h("p", { class: "hint", id: hintId }, hint), error);
  element.control = control;
  element.mistake = (text) => {
    error.hidden = !text;
    fill(error, text ?? "");
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    describe();
  };
  describe();
  return element;
}

/** A tick box with its label behind it. */
export function tick({ label, hint, checked, name, onchange }) {
  const control = h("input", { type: "checkbox", checked: Boolean(checked), onchange });
  const id = newId("tick");
  control.id = id;
  const hintId = hint && newId("hint");
  if (hintId) control.setAttribute("aria-describedby", hintId);
  const element = h("div", { class: "tick", "data-field": name }, control, h("label", { for: id }, label), hint && h("p", { class: "hint", id: hintId }, hint));
  element.control = control;
  return element;
}

/** Several controls under one heading. The error belongs to all of them. */
export function group({ label, hint, name }, ...children) {
  const hintId = hint && newId("hint");
  const error = h("p", { class: "error", hidden: true, role: "alert" });
  const element = h("fieldset", { class: "field", "data-field": name, "aria-describedby": hintId },
    h("legend", {}, label), hint && h("p", { class: "hint", id: hintId }, hint), children, error);
  element.mistake = (text) => {
    error.hidden = !text;
    fill(error, text ?? "");
  };
  return element;
}

/** A choice: `options` are `[value, text]`. */
export function select(options, value, props = {}) {
  const list = options.map(([id, text]) => h("option", { value: id, selected: id === value }, text));
  return h("select", props, list);
}

/** Rows of key and value. `element.read()` is the object they make; values that are no texts are shown as JSON, and
 *  what is JSON but no text is read as that where `json` is true. */
export function pairs({ label, hint, name, values = {}, keyLabel = "Name", valueLabel = "Value", json = false, oninput = () => {} }) {
  const rows = h("div", { class: "pairs" });
  const row = (key, value) => {
    const text = typeof value === "string" && !(json && isJson(value)) ? value : JSON.stringify(value);
    const line = h("div", { class: "pair" },
      h("input", { type: "text", class: "key mono", value: key, "aria-label": `${label}: ${keyLabel}`, placeholder: keyLabel, autocomplete: "off", oninput }),
      h("input", { type: "text", class: "value mono", value: text, "aria-label": `${label}: ${valueLabel}`, placeholder: valueLabel, autocomplete: "off", oninput }),
      h("button", { type: "button", class: "button bare", "aria-label": `Remove this row of ${label}`, onclick: () => {
        line.remove();
        adder.focus();
        oninput();
      } }, icon("close")));
    rows.append(line);
    return line;
  };
  const adder = button("Add row", { class: "small", onclick: () => row("", "").querySelector("input").focus() });
  for (const [key, value] of Object.entries(values)) row(key, value);
  const element = group({ label, hint, name }, rows, adder);
  element.read = () => {
    const found = {};
    for (const line of rows.children) {
      const [key, value] = [...line.querySelectorAll("input")].map((input) => input.value);
      if (key.trim() === "" && value === "") continue;
      found[key.trim()] = json && isJson(value) ? JSON.parse(value) : value;
    }
    return found;
  };
  return element;
}

/** Whether a text stands for something that is no text: a number, true, a list … */
function isJson(text) {
  try {
    return typeof JSON.parse(text) !== "string" && /^[-\d[{tfn]/.test(text.trim()) && String(JSON.parse(text)) !== "Infinity";
  } catch {
    return false;
  }
}

// --- menus and tabs ----------------------------------------------------------------------------------------------

/** A button that opens a list of things to do: `{text, onpick, danger, disabled}`. Arrow keys, Escape, Home, End. */
export function menu(label, items, props = {}) {
  const id = newId("menu");
  const list = h("div", { class: "menu", role: "menu", id, hidden: true });
  const opener = h("button", { type: "button", ...props, class: `button ${props.class ?? ""}`, "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": id }, label, icon("down"));
  const entries = () => [...list.querySelectorAll("[role=menuitem]:not([disabled])")];
  const close = (back) => {
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", elsewhere, true);
    if (back) opener.focus();
  };
  const open = () => {
    const now = typeof items === "function" ? items() : items;
    fill(list, now.map((item) => h("button", { type: "button", role: "menuitem", tabindex: "-1", class: item.danger ? "danger" : "", disabled: item.disabled, onclick: () => {
      close(true);
      item.onpick();
    } }, item.text)));
    list.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    document.addEventListener("pointerdown", elsewhere, true);
    entries()[0]?.focus();
  };
  const elsewhere = (event) => {
    if (!element.contains(event.target)) close(false);
  };
  const move = (step) => {
    const all = entries();
    const at = all.indexOf(document.activeElement);
    all[(at + step + all.length) % all.length]?.focus();
  };
  opener.addEventListener("click", () => (list.hidden ? open() : close(true)));
  const element = h("div", { class: "menu-holder" }, opener, list);
  element.addEventListener("keydown", (event) => {
    if (list.hidden) {
      if (event.key === "ArrowDown") open();
      else return;
    } else if (event.key === "Escape") close(true);
    else if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Home") entries()[0]?.focus();
    else if (event.key === "End") entries().at(-1)?.focus();
    else if (event.key === "Tab") return close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return element;
}

/** Panels of which one is seen: `[{label, panel}]`. `element.pick(index)` shows another. */
export function tabs(label, pages) {
  const names = pages.map(({ label: text }, index) => h("button", { type: "button", role: "tab", id: newId("tab"), onclick: () => pick(index) }, text));
  const panels = pages.map(({ panel }, index) => h("div", { role: "tabpanel", id: newId("panel"), "aria-labelledby": names[index].id, tabindex: "0" }, panel));
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": label }, names);
  function pick(wanted) {
    names.forEach((name, index) => {
      name.setAttribute("aria-selected", String(index === wanted));
      name.setAttribute("aria-controls", panels[index].id);
      name.tabIndex = index === wanted ? 0 : -1;
      panels[index].hidden = index !== wanted;
    });
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (names.indexOf(document.activeElement) + step + names.length) % names.length;
    pick(next);
    names[next].focus();
    event.preventDefault();
  });
  pick(0);
  const element = h("div", {}, list, panels);
  element.pick = pick;
  return element;
}

// --- tables ------------------------------------------------------------------------------------------------------

/** A table whose pages come from the server. `columns`: `{title, cell(item), class}`; `load(start)` gives
 *  `{items, next}`. Only one page is ever held. `element.refresh()` loads the page that is shown again,
 *  `element.restart()` the first one; `onPage(items)` hears of each page. */
export function table({ label, columns, load, row = () => ({}), none, onPage = () => {} }) {
  // The roles are said: on a narrow screen the rows are cards and no table to the browser any more.
  const body = h("tbody", { role: "rowgroup" });
  const titles = columns.map((column) => h("th", { scope: "col", role: "columnheader", class: column.class }, column.title));
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, titles));
  const sheet = h("table", { role: "table", "aria-label": label }, head, body);
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": label }, sheet);
  const before = button("Previous", { class: "small", onclick: () => step(-1) });
  const after = button("Next", { class: "small", onclick: () => step(1) });
  const where = h("span", { class: "where" });
  const pager = h("nav", { class: "pager", "aria-label": `Pages of ${label}`, hidden: true }, before, where, after);
  const place = h("div", {}, waiting());
  const element = h("div", { class: "listing" }, place, pager);
  // The keys by which the pages so far began.
  let starts = [null];
  let next = null;
  let turn = 0;
  // Whether it goes on by itself where a page has nothing.
  let seeking = false;

  async function show() {
    const mine = ++turn;
    try {
      let page = await load(starts.at(-1));
      while (seeking && mine === turn && page.items.length === 0 && page.next !== null) {
        starts[starts.length - 1] = page.next;
        page = await load(page.next);
      }
      if (mine !== turn) return;
      seeking = false;
      next = page.next;
      draw(page.items);
    } catch (error) {
      if (mine !== turn || error.name === "AbortError") return;
      // The page begins with something that is gone: begin with the first one.
      if (error.status === 404 && starts.length > 1) {
        starts = [null];
        return show();
      }
      fill(place, failure(error, button("Try again", { class: "small", onclick: () => show() })));
    }
  }
  function draw(items) {
    // A page is looked for only for so long: with a filter, what is wanted may come further back.
    if (items.length === 0 && next !== null) fill(place, empty("Nothing so far", "Nothing fits among those that were looked at.", button("Look further back", { onclick: seek })));
    else if (items.length === 0) fill(place, starts.length === 1 ? none() : empty("Nothing more", "That was the last of it."));
    else {
      const cells = (item) => columns.map((column) => h("td", { role: "cell", class: column.class, "data-title": column.title }, column.cell(item)));
      fill(body, items.map((item) => h("tr", { role: "row", ...row(item) }, cells(item))));
      if (place.firstChild !== scroller) fill(place, scroller);
    }
    before.disabled = starts.length === 1;
    after.disabled = next === null;
    pager.hidden = before.disabled && after.disabled;
    where.textContent = `Page ${starts.length}`;
    onPage(items);
  }
  /** Goes back until there is something, or somebody has had enough. */
  function seek() {
    seeking = true;
    const stop = button("Stop", { onclick: () => {
      seeking = false;
    } });
    fill(place, empty("Looking further back …", null, stop));
    stop.focus();
    return step(1);
  }
  function step(by) {
    if (by > 0) starts.push(next);
    else starts.pop();
    return show();
  }
  element.refresh = show;
  element.restart = () => {
    starts = [null];
    seeking = false;
    return show();
  };
  /** Whether the page shown is the first. */
  element.isFirst = () => starts.length === 1;
  show();
  return element;
}
