// The same callflow built without a pointer: every step by a key, the focus never lost.

import { accessible, check, go, signIn, story } from "./browser.mjs";
import { block, idOf, isTheSeed } from "./callflow.mjs";

await story(async ({ page }) => {
  await signIn(page);
  await go(page, "#/callflows/new");
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const type = (text) => page.keyboard.type(text);
  /** What has the focus, by role and label, as it is read out. */
  const focus = () => page.evaluate(() => {
    const at = document.activeElement;
    const named = at.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id).innerText.replace(/\s+/g, " ")).join(" ");
    return `${at.getAttribute("role") ?? at.tagName.toLowerCase()} ${named ?? at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent}`;
  });
  const at = async (wanted) => {
    const found = await focus();
    check(found === wanted, `the focus is at “${found}”, not at “${wanted}”`);
  };
  const said = (text) => page.getByRole("status").getByText(text).waitFor({ state: "attached" });

  await page.getByLabel("Name", { exact: true }).focus();
  await type("Missed call");
  await press("Tab");
  await at("input Add a number");
  await type("+10005559999");
  await press("Enter");

  await page.getByRole("searchbox", { name: "Find an action" }).focus();
  await type("device");
  await press("Enter");
  await said("Device added as the first.");
  await at("input Id");
  await type("1001");
  await press("Escape");
  await at("treeitem Device 1001");

  // The menu of the block: after it comes the voicemail.
  await press("Enter");
  await at("menuitem Add after …");
  await press("Enter");
  await at("input Find an action");
  await type("voicem");
  await press("ArrowDown");
  await at("button Voicemail");
  await press("Enter");
  await at("input Id");
  await type("1001");
  await press("Escape");
  await at("treeitem No answer Voicemail 1001");

  // Between them the webhook, by one key.
  await press("ArrowUp");
  await at("treeitem Device 1001");
  await press("a");
  await type("web");
  await press("Enter");
  await said("Webhook added after Device 1001, No answer.");
  await at("input URL");
  await type("http://my.ser.ver/frontdesk/missed_call");
  await press("Escape");
  const webhook = "treeitem No answer Webhook POST http://my.ser.ver/frontdesk/missed_call";
  await at(webhook);

  // Moved there and back, picked up and put down, taken away and brought back.
  await press("Alt+ArrowDown");
  await said("moved down, after Voicemail 1001");
  await at(webhook.replace("No answer ", ""));
  await press("Alt+ArrowUp");
  await at(webhook);
  await press("End", "Control+x", "Home", "Control+v");
  await said("Voicemail 1001 moved after Device 1001, No answer.");
  await at("treeitem No answer Voicemail 1001");
  await press("Alt+ArrowDown");
  await at("treeitem Voicemail 1001");
  await press("Delete");
  await said("Voicemail 1001 removed.");
  await at(webhook);
  await press("Control+z");
  await said("Undone.");
  await press("End");
  await at("treeitem Voicemail 1001");
  await accessible(page, "the editor by keyboard");

  // Where nothing is left the next thing to do is to choose an action.
  await press("Home", "Enter", "End");
  await at("menuitem Remove with all below");
  await press("Enter");
  await said("Device 1001 and all below it removed.");
  await at("input Find an action");
  const [undo, redo] = ["Undo", "Redo"].map((name) => page.getByRole("button", { name }));
  await undo.focus();
  await press("Enter");
  await block(page, "Voicemail 1001").waitFor();
  await redo.focus();
  await press("Enter");
  await at("button Undo");
  await press("Enter");
  await page.getByRole("button", { name: "Keys" }).click();
  await accessible(page, "the keys");
  await press("Escape");

  await press("Control+s");
  await isTheSeed(await idOf(page), "Missed call", ["+10005559999"]);
  await block(page, "Device 1001").waitFor();
});
