// How the daemon is: the switch, the queue, the endpoints, the store, the version.

import { of } from "../catalogue.js";
import { fill, h } from "../dom.js";
import { ago, bytes, duration, instant, number } from "../format.js";
import { badge, empty, notice, table } from "../ui.js";

export async function mount(root, ctx) {
  const { account, api } = ctx;
  const tiles = h("dl", { class: "tiles" });
  const trouble = h("div", { class: "stack tight" });
  const version = h("p");

  const tile = (name, figure, ...notes) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", { class: "figure" }, figure), notes.filter(Boolean).map((note) => h("dd", { class: "note" }, note)));
  async function look() {
    const [state, live] = await Promise.all([api.get("/health/ready"), api.get("/health")]);
    const { switch: pbx, store, delivery } = state;
    version.textContent = `switchhook ${live.version}`;
    const since = pbx.since && new Date(pbx.since);
    fill(tiles,
      tile("Switch", pbx.connected ? badge("Connected", "good") : badge("Not connected", "bad"), since && h("span", { title: instant(since) }, `since ${ago(since)}`)),
      tile("Legs up", number(pbx.channels)),
      tile("Events shed", number(pbx.shed_events), pbx.shed_events > 0 ? "the store was too slow for them" : "none was lost"),
      tile("Queue", number(delivery.in_memory), "deliveries in memory or under way"),
      tile("Requests under way", number(delivery.in_flight)),
      tile("Circuits open", number(delivery.circuits_open), delivery.circuits_open > 0 ? "endpoints that cannot be reached" : "every endpoint can be reached"),
      tile("Store", store.working ? badge("Working", "good") : badge("Stalled", "bad"), `${number(store.queued)} waiting to be written`),
      tile("Database", bytes(store.database_bytes), store.lost > 0 ? `${number(store.lost)} writes were lost` : null));
    fill(trouble,
      !pbx.connected && notice("bad", h("div", {}, h("strong", {}, "The switch is not connected. "), pbx.last_error ?? "It has not answered yet.", " switchhook goes on trying.")),
      !store.working && notice("bad", h("div", {}, h("strong", {}, "The database takes no writes. "), store.last_error ?? "", " Look at the disk it is on.")));
  }

  const endpoints = table({
    label: "Endpoints",
    columns: [
      { title: "Endpoint", class: "wide mono", cell: (one) => one.endpoint },
      { title: "State", cell: (one) => (one.circuit_open ? h("div", {}, badge("Cannot be reached", "bad"), h("span", { class: "under" }, one.pause_ms === null ? "being probed now" : `next probe in ${duration(one.pause_ms)}`)) : one.pause_ms ? badge(`Overloaded: pause of ${duration(one.pause_ms)}`, "warn") : badge("Fine", "good")) },
      { title: "Webhooks", class: "right", cell: (one) => number(one.webhooks) },
      { title: "Under way", class: "right", cell: (one) => number(one.in_flight) },
    ],
    load: (start) => api.page(of(account, "endpoints"), { start_key: start }),
    none: () => empty("No endpoints", "They appear when the account has webhooks."),
  });

  fill(root,
    h("div", { class: "headline" }, h("div", {}, h("h1", {}, "Status"), version)),
    trouble, tiles, h("h2", {}, "Where this account's webhooks go"), endpoints);
  await look();
  const ticking = setInterval(() => {
    if (document.hidden) return;
    look().catch((error) => error.status !== 401 && fill(trouble, notice("bad", error.message)));
    endpoints.refresh();
  }, 3000);
  return { unmount: () => clearInterval(ticking) };
}
