// What the stories about callflows share: the callflow of the documents, and the API beside the page.

import assert from "node:assert/strict";
import { BASE, TOKEN, until } from "./browser.mjs";

/** The example of the documents: ring somebody; if nobody answers tell a server, and go to voicemail. */
export const SEED = {
  module: "device", data: { id: "1001" },
  children: { _: { module: "webhook", data: { uri: "http://my.ser.ver/frontdesk/missed_call" },
    children: { _: { module: "voicemail", data: { id: "1001" } } } } },
};

const ALL = "v2/accounts/default/callflows";

async function request(method, path, data) {
  const response = await fetch(new URL(path, BASE), {
    method,
    headers: { "X-Auth-Token": TOKEN, "Content-Type": "application/json" },
    body: data && JSON.stringify({ data }),
  });
  return (await response.json()).data;
}

/** Stores a callflow as somebody else would, and returns its id. */
export const store = async (callflow) => (await request("PUT", ALL, callflow)).id;

/** A stored callflow. */
export const stored = (id) => request("GET", `${ALL}/${id}`);

/** Changes some fields of a callflow as somebody else would, later than in the second in which it was last saved. */
export async function change(id, fields) {
  const { modified } = await stored(id);
  await until(async () => (await request("PATCH", `${ALL}/${id}`, fields)).modified > modified, "a later second");
}

/** Deletes a callflow as somebody else would. */
export const remove = (id) => request("DELETE", `${ALL}/${id}`);

/** Every stored callflow, without its flow. */
export const listed = () => request("GET", `${ALL}?paginate=false`);

/** The id in the address of the page, once it has one. */
export async function idOf(page) {
  await page.waitForURL(/#\/callflows\/[0-9a-f]{32}$/);
  return page.url().split("/").at(-1);
}

/** Fails unless the stored callflow is the one of the documents. */
export async function isTheSeed(id, name, numbers) {
  const { name: itsName, numbers: itsNumbers, flow } = await stored(id);
  assert.deepEqual({ name: itsName, numbers: itsNumbers, flow }, { name, numbers, flow: SEED });
}

/** A block of the flow, by words it is announced with. */
export const block = (page, words) => page.getByRole("treeitem", { name: words });

/** The field of the parameters with this label. */
export const parameter = (page, label) => page.getByRole("region", { name: "Parameters" }).getByLabel(label, { exact: true });

/** Opens the menu of Save and picks an entry. */
export async function save(page, entry) {
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("menuitem", { name: entry }).click();
}
