// The page: signing in, the frame around the views, and what each view is given.

import { ApiError, api, unreachable } from "./api.js";
import { fill, h } from "./dom.js";
import { hangUp, watch } from "./feed.js";
import { follow } from "./router.js";
import { button, closeDialogs, confirm, empty, failure, icon, link, toast, waiting } from "./ui.js";
import { signIn } from "./views/signin.js";

const ACCOUNT = "switchhook.account";
const THEME = "switchhook.theme";
const MENU = [
  ["webhooks", "Webhooks"],
  ["attempts", "Attempts"],
  ["live", "Live"],
  ["callflows", "Callflows"],
  ["status", "Status"],
];

// What is shown to somebody who is signed in: `{account, main, entries}`.
let house = null;
const router = follow(show, lost);

// --- light and dark ----------------------------------------------------------------------------------------------

function isDark() {
  const chosen = sessionStorage.getItem(THEME);
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function wear(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function themeButton() {
  const turn = h("button", { type: "button", class: "button bare", onclick: () => {
    const theme = isDark() ? "light" : "dark";
    sessionStorage.setItem(THEME, theme);
    wear(theme);
    name();
  } });
  const name = () => {
    turn.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    fill(turn, icon(isDark() ? "sun" : "moon"));
  };
  name();
  return turn;
}

// --- signed out, signed in ---------------------------------------------------------------------------------------

function leave() {
  house = null;
  router.leave();
  hangUp();
  closeDialogs("dialog");
}

function askForToken(message) {
  leave();
  document.title = "Sign in · switchhook";
  fill(document.body, signIn({ message, themeButton, enter: async (token) => {
    api.signIn(token);
    try {
      await enter();
    } catch (error) {
      api.signOut();
      throw error;
    }
  } }));
  document.querySelector("input").focus();
}

/** Enters with the token of the session, which is not thrown away because the daemon has its hands full. */
async function resume() {
  try {
    await enter();
  } catch (error) {
    const turnedAway = { 401: "The token is not valid any more.", 403: error.message }[error.status];
    if (turnedAway) {
      api.signOut();
      askForToken(turnedAway);
    } else {
      const heading = h("h1", { class: "brand" }, h("img", { src: "/assets/icon.svg", alt: "", width: "34", height: "34" }), "switchhook");
      fill(document.body, h("main", { class: "signin" }, heading, failure(error, button("Try again", { class: "small", onclick: resume }))));
    }
  }
}

/** Shows the house, where the token opens it. */
async function enter() {
  const accounts = await reached();
  const kept = sessionStorage.getItem(ACCOUNT);
  const account = accounts.find(({ id }) => id === kept) ?? accounts.find(({ id }) => id === "default") ?? accounts[0];
  if (!account) throw new ApiError(403, "The token is good, but reaches no account");
  frame(accounts, account);
}

/** Every account of the token, a thousand at a time. */
async function reached() {
  const accounts = [];
  let start = null;
  do {
    const page = await api.page("/v2/accounts", { page_size: 1000, start_key: start });
    accounts.push(...page.items);
    start = page.next;
  } while (start);
  return accounts;
}

/** The frame: menu on the left, the view on the right. */
function frame(accounts, account) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const entries = MENU.map(([id, text]) => h("a", { href: `#/${id}`, "data-nav": id }, text));
  const pulse = h("span", { class: "pulse", role: "status" }, "connecting …");
  const stop = watch((kind, data) => {
    if (kind !== "state") return;
    pulse.classList.toggle("on", data.connected);
    pulse.textContent = data.connected ? "live" : "not connected";
  });
  const switcher = accountSwitcher(accounts, account, async (chosen) => {
    const before = house.account;
    house.account = chosen;
    // What an address names belongs to the account before: its list is shown.
    const goes = await router.again(`#/${location.hash.split("/")[1] ?? "webhooks"}`);
    if (!goes) house.account = before;
    sessionStorage.setItem(ACCOUNT, house.account.id);
    return goes;
  });
  const signOut = button("Sign out", { class: "small", onclick: async () => {
    if (!(await router.mayLeave())) return;
    stop();
    api.signOut();
    askForToken();
  } });
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => {
    event.preventDefault();
    main.focus();
  } }, "Skip to the content");
  fill(document.body, skip,
    h("header", { class: "top" },
      h("a", { class: "brand", href: "#/webhooks", "aria-label": "switchhook" }, h("img", { src: "/assets/icon.svg", alt: "", width: "26", height: "26" }), h("span", {}, "switchhook")),
      h("div", { class: "tools" }, pulse, switcher, themeButton(), signOut)),
    h("div", { class: "house" }, h("nav", { class: "side", "aria-label": "Console" }, entries), main));

  house = { account, main, entries };
  router.leave();
  if (!location.hash) history.replaceState(null, "", "#/webhooks");
  router.arrive();
}

async function show({ route, params, query }) {
  if (!house) return null;
  document.title = `${route.title} · switchhook`;
  for (const entry of house.entries) {
    if (entry.dataset.nav === route.nav) {
      entry.setAttribute("aria-current", "page");
      // On a phone the menu may be wider than the screen.
      entry.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else entry.removeAttribute("aria-current");
  }
  const root = h("div", { class: "view" }, waiting());
  const held = house.main.contains(document.activeElement);
  fill(house.main, root);
  // Who followed a link of the view before is told of the new one, and goes on in it.
  if (held) house.main.focus({ preventScroll: true });
  scrollTo(0, 0);
  const go = (path) => {
    location.hash = path.replace(/^#?/, "#");
  };
  try {
    const view = await route.view().catch((error) => {
      console.error(error);
      throw unreachable();
    });
    return await view.mount(root, { api, account: house.account, params, query, toast, confirm, go });
  } catch (error) {
    if (error.status === 401) return null;
    console.error(error);
    fill(root, failure(error, button("Try again", { class: "small", onclick: () => router.again() })));
    return null;
  }
}

function lost() {
  if (!house) return;
  fill(house.main, empty("There is nothing here", "The address names no page of the console.", link("To the webhooks", "#/webhooks", { class: "button primary" })));
}

/** A list of the accounts where the token reaches several; else the name of the one. `choose` says whether the
 *  change took place. */
function accountSwitcher(accounts, current, choose) {
  const name = (account) => account.name ?? account.id;
  if (accounts.length === 1) return h("span", { class: "account" }, name(current));
  let chosen = current;
  const list = h("select", { class: "account", "aria-label": "Account", onchange: async () => {
    const wanted = accounts.find(({ id }) => id === list.value);
    if (await choose(wanted)) chosen = wanted;
    else list.value = chosen.id;
  } }, accounts.map((account) => h("option", { value: account.id, selected: account.id === current.id }, name(account))));
  return list;
}

wear(sessionStorage.getItem(THEME));
api.onSignedOut(() => {
  if (!house) return;
  api.signOut();
  askForToken("The token is not valid any more.");
});
if (api.token) resume();
else askForToken();
