// Elements, built without markup: text is always text, so nothing that a caller says can become anything else.

const SVG = "http://www.w3.org/2000/svg";

/** Characters that turn the direction of what stands behind them: in a caller's name, of the number behind it. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/** An element. `props`: `class`, `on*` listeners, properties that only exist as such (`value`, `checked` …), all
 *  else attributes; null, undefined and false leave one out, true sets an empty one. Children: nodes, texts,
 *  lists of them; null and false are left out. */
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

const PROPERTIES = new Set(["checked", "disabled", "hidden", "indeterminate", "selected", "value"]);

function build(element, props, children) {
  add(element, children);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(typeof child === "string" ? child.replace(TURNING, "\ufffd") : child);
  }
}

/** Puts these children in place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

let last = 0;

/** An id that no other element of this page has. */
export function newId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

/** Calls `work` once, this long after the last of several calls. `cancel()` forgets it. */
export function debounce(milliseconds, work) {
  let timer;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
