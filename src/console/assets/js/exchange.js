// An attempt for people: how it ended, and the request beside its answer.

import { h } from "./dom.js";
import { duration, formLines, fromGregorian, instant, pretty } from "./format.js";
import { badge } from "./ui.js";

const KINDS = { success: "good", failure: "bad", skipped: "warn", expired: "warn" };
const WORDS = { success: "Delivered", failure: "Failed", skipped: "Skipped", expired: "Expired" };

/** How an attempt ended, in a word. */
export const resultBadge = (result) => badge(WORDS[result] ?? result, KINDS[result]);

/** How it ended, in more words: the status, or why there is none. */
export function outcome(attempt) {
  const said = [attempt.resp_status_code && `status ${attempt.resp_status_code}`, attempt.result !== "success" && attempt.reason, attempt.client_error];
  return said.filter(Boolean).join(", ") || "–";
}

/** Request and answer side by side. */
export function exchange(attempt) {
  const at = fromGregorian(attempt.timestamp);
  return h("div", { class: "stack" },
    h("p", { class: "outcome" }, resultBadge(attempt.result), " ", outcome(attempt),
      h("span", { class: "soft" }, ` · ${instant(at)} · took ${duration(attempt.duration_ms)} · try ${attempt.attempt}, ${attempt.retries_left} left`)),
    h("div", { class: "two" }, request(attempt), answer(attempt)));
}

function request(attempt) {
  const heading = h("h3", {}, "Request");
  if (!attempt.uri) return h("section", { class: "stack" }, heading, h("p", { class: "soft" }, "None was made."));
  const isGet = attempt.method === "GET";
  const type = attempt.req_headers?.["content-type"] ?? "";
  const sent = attempt.req_body ?? "";
  const isForm = isGet || type.includes("urlencoded");
  return h("section", { class: "stack tight" }, heading,
    h("pre", { tabindex: "0", "aria-label": "Request line" }, `${attempt.method} ${attempt.uri}`),
    headers("Request headers", attempt.req_headers),
    h("pre", { class: "body", tabindex: "0", "aria-label": "Request body" }, sent === "" ? "(no body)" : isForm ? formLines(sent) : pretty(sent)));
}

function answer(attempt) {
  const heading = h("h3", {}, "Answer");
  if (!attempt.resp_status_code) return h("section", { class: "stack tight" }, heading, h("p", { class: "soft" }, "None came."));
  return h("section", { class: "stack tight" }, heading,
    h("pre", { tabindex: "0", "aria-label": "Status" }, `HTTP ${attempt.resp_status_code}`),
    headers("Answer headers", attempt.resp_headers),
    h("pre", { class: "body", tabindex: "0", "aria-label": "Answer body" }, attempt.resp_body ? pretty(attempt.resp_body) : "(no body)"));
}

function headers(label, all = {}) {
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return h("pre", { tabindex: "0", "aria-label": label }, lines.length ? lines.join("\n") : "(no headers)");
}
