// Which view an address shows. A view is a module with `mount(root, ctx)`, whose answer may hold `unmount()` and
// `mayLeave()`: true, or a promise of it, where nothing is lost by going elsewhere; and `dirty()`, which the browser
// asks before it closes the page.

import { closeDialogs } from "./ui.js";

/** `path`: `:name` becomes `ctx.params.name`. `nav`: the entry of the menu that is lit. */
export const ROUTES = [
  { path: "/webhooks", nav: "webhooks", title: "Webhooks", view: () => import("./views/webhooks.js") },
  { path: "/webhooks/new", nav: "webhooks", title: "Add webhook", view: () => import("./views/webhook.js") },
  { path: "/webhooks/:id", nav: "webhooks", title: "Webhook", view: () => import("./views/webhook.js") },
  { path: "/attempts", nav: "attempts", title: "Attempts", view: () => import("./views/attempts.js") },
  { path: "/live", nav: "live", title: "Live", view: () => import("./views/live.js") },
  { path: "/calls/:id", nav: "live", title: "Call", view: () => import("./views/call.js") },
  { path: "/callflows", nav: "callflows", title: "Callflows", view: () => import("./views/callflows.js") },
  { path: "/callflows/:id", nav: "callflows", title: "Callflow", view: () => import("./views/callflow.js") },
  { path: "/status", nav: "status", title: "Status", view: () => import("./views/status.js") },
];

/** The route of an address (`#/webhooks/ID?x=y`) with what stands in it; null where there is none. */
export function match(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const given = path.split("/");
  for (const route of ROUTES) {
    const wanted = route.path.split("/");
    if (wanted.length !== given.length) continue;
    const params = {};
    const fits = wanted.every((part, index) => {
      if (!part.startsWith(":")) return part === given[index];
      params[part.slice(1)] = decode(given[index]);
      return given[index] !== "";
    });
    if (fits) return { route, params, query: new URLSearchParams(query) };
  }
  return null;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An address, its parts encoded: `to("calls", id)`. */
export const to = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

/** Follows the address. `show(matched)` mounts and gives back the view; `lost()` is for addresses of nothing. */
export function follow(show, lost) {
  let current = null;
  let at = null;
  let turn = 0;

  /** Whether nothing is lost by leaving what is shown; asks where something is. */
  const mayLeave = async () => !current?.mayLeave || current.mayLeave();

  async function arrive() {
    // What was asked or shown belongs to the address before.
    closeDialogs();
    const hash = location.hash;
    if (hash === at) return;
    const mine = ++turn;
    if (!(await mayLeave())) {
      if (mine === turn) history.replaceState(null, "", at);
      return;
    }
    if (mine !== turn) return;
    current?.unmount?.();
    current = null;
    at = hash;
    const matched = match(hash);
    if (!matched) return lost();
    const view = await show(matched);
    // Somebody was quicker: what has just been mounted is not wanted any more.
    if (mine === turn) current = view;
    else view?.unmount?.();
  }

  addEventListener("hashchange", arrive);
  addEventListener("beforeunload", (event) => {
    if (current?.mayLeave && current.dirty?.()) event.preventDefault();
  });
  return {
    arrive,
    mayLeave,
    /** Shows an address anew, as after a change of account; false where the view did not want to go. */
    async again(hash = location.hash) {
      if (!(await mayLeave())) return false;
      current?.unmount?.();
      current = null;
      at = null;
      history.replaceState(null, "", hash);
      await arrive();
      return true;
    },
    /** Takes the view down, as at signing out. */
    leave() {
      turn += 1;
      current?.unmount?.();
      current = null;
      at = null;
    },
  };
}
