// The public REST API: Kazoo's envelope opened, its errors made readable. The token lives in the session storage of
// this tab and in a header, never in an address.

const TOKEN = "switchhook.token";

/** What the API refused. `status` 0: it could not be reached. */
export class ApiError extends Error {
  constructor(status, message, data) {
    super(message);
    this.status = status;
    this.data = data;
  }

  /** What is wrong with each field: `{"uri": "…", "rate_limit.burst": "…"}`; empty where it is about no field. */
  get fields() {
    const found = {};
    if (this.status !== 400 && this.status !== 409) return found;
    for (const [field, rules] of Object.entries(this.data ?? {})) {
      if (rules === null || typeof rules !== "object") continue;
      const messages = Object.values(rules).map((rule) => rule?.message).filter(Boolean);
      if (messages.length) found[field] = messages.join("; ");
    }
    return found;
  }
}

/** Nobody answers. */
export const unreachable = () => new ApiError(0, "switchhook cannot be reached. Is it running?");

let whenSignedOut = () => {};

export const api = {
  /** Called where the token is not taken any more. */
  onSignedOut(call) {
    whenSignedOut = call;
  },

  get token() {
    return sessionStorage.getItem(TOKEN);
  },

  signIn(token) {
    sessionStorage.setItem(TOKEN, token);
  },

  signOut() {
    sessionStorage.removeItem(TOKEN);
  },

  /** `data` of the answer. */
  get: async (path, options) => (await request("GET", path, undefined, options)).data,
  put: async (path, data = {}) => (await request("PUT", path, data)).data,
  post: async (path, data = {}) => (await request("POST", path, data)).data,
  patch: async (path, data = {}) => (await request("PATCH", path, data)).data,
  del: async (path) => (await request("DELETE", path)).data,

  /** A page of a listing: `{items, next}`, where `next` is the `start_key` of the page after it. */
  async page(path, query = {}, options) {
    const answer = await request("GET", withQuery(path, query), undefined, options);
    return { items: answer.data, next: answer.next_start_key ?? null };
  },

  /** The live feed, as a Response whose body goes on; `after` is the id of the last event that was seen. */
  async stream(signal, after) {
    const headers = { Accept: "text/event-stream", ...authorization() };
    if (after) headers["Last-Event-ID"] = after;
    const response = await fetch("/v2/events", { headers, signal, cache: "no-store" });
    if (!response.ok) throw await problem(response);
    return response;
  },
};

/** A path with those of the query's values that say something. */
export function withQuery(path, query) {
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(said).toString();
  return text ? `${path}?${text}` : path;
}

function authorization() {
  return api.token ? { "X-Auth-Token": api.token } : {};
}

async function request(method, path, data, { signal } = {}) {
  const headers = authorization();
  const init = { method, headers, signal, cache: "no-store" };
  if (data !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify({ data });
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok && !(response.status === 503 && path === "/health/ready")) throw await problem(response);
  return response.json();
}

async function problem(response) {
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    // Somebody between us and the daemon answered: the status says what there is to know.
  }
  if (response.status === 401) whenSignedOut();
  const inWords = typeof answer.data?.message === "string" ? answer.data.message : answer.message;
  const text = answer.message === "bad_identifier" && answer.data?.cause ? "There is nothing with this id (any more)" : inWords;
  return new ApiError(response.status, text ?? `The API answered with status ${response.status}`, answer.data);
}
