// Signing in: a token, kept for the session of this tab.

import { h } from "../dom.js";
import { busy, field } from "../ui.js";

/** The form; `enter(token)` shows the house or throws. */
export function signIn({ message, themeButton, enter }) {
  const token = h("input", { type: "password", autocomplete: "current-password", spellcheck: "false", required: true, autofocus: true });
  const entry = field({ label: "Token", control: token, hint: "The admin token, or one of an account. It is kept for this tab only." });
  const go = h("button", { type: "submit", class: "button primary" }, "Sign in");
  const form = h("form", { class: "card", onsubmit: (event) => {
    event.preventDefault();
    entry.mistake("");
    if (!token.value.trim()) return entry.mistake("Type the token in");
    busy(go, () => enter(token.value.trim()), (error) => {
      entry.mistake(error.status === 401 ? "The token is not valid" : error.message);
      token.select();
    });
  } },
  h("h1", {}, "Sign in"), entry, go,
  h("details", {}, h("summary", {}, "Where is my token?"),
    h("p", {}, "On the machine that runs switchhook, the admin token is in the file ", h("code", {}, "admin-token"), " beside the database:"),
    h("pre", {}, "sudo cat /var/lib/switchhook/admin-token"),
    h("p", {}, "A token that reaches one account is made with ", h("code", {}, "switchhook tokens add"), ". The demo prints its own.")));
  if (message) entry.mistake(message);
  return [h("div", { class: "theme-corner" }, themeButton()),
    h("main", { class: "signin" }, h("p", { class: "brand" }, h("img", { src: "/assets/icon.svg", alt: "", width: "34", height: "34" }), "switchhook"), form)];
}
