// Somebody builds the callflow of the documents by drag and drop, tries it, saves it, and keeps a copy.

import assert from "node:assert/strict";
import { accessible, shot, signIn, story, until } from "./browser.mjs";
import { block, idOf, isTheSeed, parameter, save, stored } from "./callflow.mjs";

await story(async ({ page }) => {
  await signIn(page);
  await page.getByRole("link", { name: "Callflows" }).click();
  await page.getByRole("heading", { name: "No callflows yet" }).waitFor();
  await accessible(page, "no callflows");
  await shot(page, "empty-list");
  await page.getByRole("button", { name: "New callflow" }).first().click();
  const saver = page.getByRole("button", { name: "Save", exact: true });
  await saver.waitFor();
  await until(() => saver.isDisabled(), "there is nothing to save yet");
  await accessible(page, "an empty callflow");
  await shot(page, "empty-flow");

  const action = (name) => page.getByRole("region", { name: "Actions" }).getByRole("button", { name, exact: true });
  await page.getByLabel("Name", { exact: true }).fill("Missed call");
  await page.getByLabel("Add a number").fill("+10005559999");
  await page.getByLabel("Add a number").press("Enter");
  await until(() => saver.isEnabled(), "a change can be saved");

  await action("Device").dragTo(page.getByText("What happens first?"));
  await parameter(page, "Id").fill("1001");
  await action("Voicemail").dragTo(block(page, "Device 1001"));
  await parameter(page, "Id").fill("1001");

  // Between the two.
  await action("Webhook").dragTo(page.getByTitle("Add after Device 1001, No answer"));
  await until(() => parameter(page, "URL").evaluate((field) => field === document.activeElement), "its parameters are open");
  await parameter(page, "URL").fill("http://my.ser.ver/frontdesk/missed_call");
  await page.getByText("GET", { exact: true }).click();
  await page.getByText("Asks the server for instructions, and does what it answers.").waitFor();
  await until(async () => !(await page.getByRole("group", { name: "Format" }).isVisible()), "a GET has no format");
  await page.getByText("POST", { exact: true }).first().click();
  await until(() => page.getByRole("group", { name: "Format" }).isVisible(), "a POST has a format");
  await block(page, "Webhook POST http://my.ser.ver/frontdesk/missed_call").waitFor();
  await shot(page, "seed-by-drag");
  await accessible(page, "the editor");

  // Moved to the front with all below it, and back again.
  await block(page, "Webhook").dragTo(page.getByTitle("Add in front of all"));
  await page.getByRole("status").getByText("moved in front of all").waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Undo" }).click();
  await block(page, "Device 1001").and(page.locator("[aria-level='1']")).waitFor();

  await save(page, "Save changes");
  const id = await idOf(page);
  await isTheSeed(id, "Missed call", ["+10005559999"]);
  await saver.and(page.locator(":disabled")).waitFor();

  await page.getByRole("button", { name: "Try it" }).click();
  const dialog = page.getByRole("dialog", { name: "Try it" });
  await dialog.getByLabel("Domain").fill("pbx.test");
  await dialog.getByRole("button", { name: "Run" }).click();
  await dialog.getByText("POST http://my.ser.ver/frontdesk/missed_call").waitFor();
  await dialog.getByText("voicemail default pbx.test 1001").waitFor();
  await accessible(page, "trying it");
  await shot(page, "try-it");
  await page.keyboard.press("Escape");

  // A change, kept beside a copy of it.
  await block(page, "Device 1001").click();
  await parameter(page, "Timeout").fill("30");
  await save(page, "Save and duplicate");
  await page.getByRole("heading", { name: "Missed call copy" }).waitFor();
  const copy = await stored(await idOf(page));
  assert.deepEqual(copy.numbers, []);
  assert.equal(copy.name, "Missed call copy");
  assert.deepEqual(copy.flow, (await stored(id)).flow);
  assert.equal(copy.flow.data.timeout, 30);

  await page.getByRole("link", { name: "Callflows" }).first().click();
  await page.getByRole("searchbox").fill("copy");
  await page.getByRole("link", { name: "Missed call", exact: true }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Missed call copy" }).waitFor();
  await page.getByRole("button", { name: "Delete Missed call copy" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Nothing found" }).waitFor();
});
