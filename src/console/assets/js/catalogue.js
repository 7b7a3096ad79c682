// What the API knows by heart and does not change: the triggers and their samples, and the names of webhooks.

import { api } from "./api.js";

const once = (fetching) => {
  let kept = null;
  return () => (kept ??= fetching().catch((error) => {
    kept = null;
    throw error;
  }));
};

/** `[{id, name, description, modifiers}]`. */
export const triggers = once(() => api.get("/v2/webhooks"));

/** The sample payload of each trigger, by its id. */
export const samples = once(() => api.get("/v2/webhooks/samples"));

/** The names of triggers, by id. */
export async function triggerNames() {
  return new Map((await triggers()).map(({ id, name }) => [id, name]));
}

/** What a webhook asks for, in words. */
export function asksFor(hook, names) {
  if (hook === "all") return "Everything";
  const ids = [hook].flat();
  const words = ids.slice(0, 2).map((id) => (id === "all" ? "Everything" : names.get(id) ?? id));
  return ids.length > 2 ? `${words.join(", ")} and ${ids.length - 2} more` : words.join(", ");
}

const MOST_NAMES = 5000;
const names = new Map();

/** The name of each webhook of an account, by id; null for one that is gone or was for one call only. */
export async function hookNames(account, ids) {
  if (names.size > MOST_NAMES) names.clear();
  const key = (id) => `${account.id}/${id}`;
  const unknown = [...new Set(ids)].filter((id) => !names.has(key(id)));
  await Promise.all(unknown.map(async (id) => {
    try {
      names.set(key(id), (await api.get(`/v2/accounts/${encodeURIComponent(account.id)}/webhooks/${encodeURIComponent(id)}`)).name);
    } catch (error) {
      if (error.status !== 404) throw error;
      names.set(key(id), null);
    }
  }));
  return new Map(ids.map((id) => [id, names.get(key(id))]));
}

/** The name that a webhook has from now on. */
export const renamed = (account, hook) => names.set(`${account.id}/${hook.id}`, hook.name);

/** The path of something of an account, its parts encoded. */
export const of = (account, ...parts) => ["/v2/accounts", account.id, ...parts].map((part, index) => (index === 0 ? part : encodeURIComponent(part))).join("/");
