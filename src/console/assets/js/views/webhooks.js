// In the making.

import { fill, h } from "../dom.js";

export async function mount(root) {
  fill(root, h("h1", {}, "webhooks"));
}
