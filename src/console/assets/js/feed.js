// The live feed, read once for all that watch. Fetch and not EventSource, which cannot send a token in a header.

import { api } from "./api.js";

/** The daemon gives a sign of life every 15 seconds: after this long without one the connection is dead. */
const QUIET = 40_000;

const watchers = new Set();
let stopped = null;
let lastId = null;

/** Calls `on(kind, data)` for what happens from now on, and `on("state", {connected})`; the answer ends that. What
 *  happened while it was not connected was missed. */
export function watch(on) {
  watchers.add(on);
  if (!stopped) {
    stopped = new AbortController();
    read(stopped.signal);
  }
  return () => {
    watchers.delete(on);
    if (watchers.size === 0) hangUp();
  };
}

/** Ends the stream, as at signing out. */
export function hangUp() {
  stopped?.abort();
  stopped = null;
  lastId = null;
}

function tell(kind, data) {
  for (const on of [...watchers]) on(kind, data);
}

async function read(signal) {
  let pause = 500;
  while (!signal.aborted) {
    try {
      const response = await api.stream(signal, lastId);
      tell("state", { connected: true });
      pause = 500;
      await frames(response.body.getReader());
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
    }
    if (signal.aborted) return;
    tell("state", { connected: false });
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 10000);
  }
}

async function frames(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await alive(reader);
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = parts.pop();
    for (const part of parts) take(part);
  }
}

/** What is read next; where nothing comes for too long, the connection is given up. */
async function alive(reader) {
  const timer = setTimeout(() => reader.cancel(), QUIET);
  try {
    return await reader.read();
  } finally {
    clearTimeout(timer);
  }
}

function take(frame) {
  const fields = {};
  for (const line of frame.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (!fields.event) return;
  lastId = fields.id;
  tell(fields.event, JSON.parse(fields.data));
}
