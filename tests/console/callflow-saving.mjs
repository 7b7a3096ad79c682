// The ways out of the editor: what is saved, what is asked before it is thrown away, and what the server refuses.

import assert from "node:assert/strict";
import { accessible, go, shot, signIn, story, until } from "./browser.mjs";
import { SEED, block, change, idOf, listed, parameter, remove, save, store, stored } from "./callflow.mjs";

await story(async ({ page }) => {
  const id = await store({ name: "Missed call", numbers: ["1001"], flow: SEED, ui_metadata: { color: "blue" } });
  await signIn(page);
  await go(page, `#/callflows/${id}`);
  const name = page.getByLabel("Name", { exact: true });
  const saver = page.getByRole("button", { name: "Save", exact: true });
  const question = page.getByRole("dialog", { name: "Throw the changes away?" });
  await block(page, "Voicemail 1001").waitFor();
  await until(() => saver.isDisabled(), "nothing is changed");

  // Leaving with changes asks, and stays where that is wanted.
  await name.fill("Missed");
  await page.getByRole("link", { name: "Webhooks" }).click();
  await question.getByRole("button", { name: "Cancel" }).click();
  await page.waitForURL(new RegExp(`#/callflows/${id}$`));
  assert.equal(await name.inputValue(), "Missed");
  const asked = page.waitForEvent("dialog");
  await page.close({ runBeforeUnload: true });
  const prompt = await asked;
  assert.equal(prompt.type(), "beforeunload");
  await prompt.dismiss();
  assert.equal(await name.inputValue(), "Missed");

  // A change that is taken back is none.
  await name.fill("Missed call");
  await until(() => saver.isDisabled(), "what is as it was stored is no change");

  // Cancel asks, too.
  await name.fill("Gone");
  await save(page, "Cancel");
  await question.getByRole("button", { name: "Throw away" }).click();
  await page.getByRole("heading", { name: "Callflows", level: 1 }).waitFor();
  assert.equal((await stored(id)).name, "Missed call");

  // What the server refuses is said at the block and at the field; the rest of the document stays as it was.
  await store({ name: "Other", numbers: ["2002"], flow: { module: "hangup" } });
  await page.getByRole("link", { name: "Missed call" }).click();
  await page.getByLabel("Add a number").fill("2002");
  await page.getByLabel("Add a number").press("Enter");
  await block(page, "Webhook").click();
  await parameter(page, "URL").fill("ftp://my.ser.ver/");
  await block(page, "Device").click();
  await parameter(page, "Timeout").fill("9000");
  await save(page, "Save changes");
  const region = page.getByRole("region", { name: "Parameters" });
  await region.getByText("Value must be less than or equal to 600").waitFor();
  await until(() => block(page, "Device").evaluate((at) => at === document.activeElement), "the first block that is wrong is chosen");
  await block(page, "Webhook").getByText("URL: Value must be an http, https or nats URI, not ftp").waitFor();
  await block(page, "Webhook").click();
  await region.getByText("Value must be an http, https or nats URI, not ftp").waitFor();
  assert.equal(await parameter(page, "URL").getAttribute("aria-invalid"), "true");
  await accessible(page, "mistakes");
  await shot(page, "mistakes");
  // What is mended is no mistake any more.
  await parameter(page, "URL").fill(SEED.children._.data.uri);
  assert.equal(await parameter(page, "URL").getAttribute("aria-invalid"), null);
  await block(page, "Device").click();
  await parameter(page, "Timeout").fill("");
  await save(page, "Save changes");
  await page.getByText("The number 2002 belongs to callflow").waitFor();
  await shot(page, "number-taken");
  await page.getByRole("button", { name: "Remove the number 2002" }).click();
  await page.getByText("The number 2002 belongs to callflow").waitFor({ state: "hidden" });
  await until(() => saver.isDisabled(), "all is as it was stored");

  // Somebody else was here: nobody's work is replaced unasked. A number that is still being typed is saved, too.
  await change(id, { name: "Changed elsewhere" });
  await page.getByLabel("Add a number").fill("3003");
  await page.keyboard.press("Control+s");
  const replace = page.getByRole("dialog", { name: "Replace what somebody else has saved?" });
  await replace.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await stored(id)).name, "Changed elsewhere");
  await page.keyboard.press("Control+s");
  await replace.getByRole("button", { name: "Replace" }).click();
  await saver.and(page.locator(":disabled")).waitFor();
  assert.deepEqual((await stored(id)).numbers, ["1001", "3003"]);
  await page.getByRole("button", { name: "Remove the number 3003" }).click();

  // The menu of a block is not cut off by the edge of the flow.
  await block(page, "Voicemail").getByRole("button", { name: "Actions for" }).click();
  await shot(page, "block-menu");
  await page.keyboard.press("Escape");

  // Saved, and on to the next.
  await block(page, "Voicemail").click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Delete");
  await save(page, "Save and create");
  await page.getByRole("heading", { name: "New callflow" }).waitFor();
  const { flow, ui_metadata: kept, numbers } = await stored(id);
  assert.equal(flow.children._.children, undefined);
  assert.deepEqual([kept, numbers], [{ color: "blue" }, ["1001"]]);
  await name.fill("Next");
  await page.getByRole("button", { name: "Menu", exact: true }).click();
  await parameter(page, "File").fill("ivr/welcome.wav");
  await page.keyboard.press("Escape");
  // The digits of a menu are given out in turn, and can be changed.
  for (const [action, field, value, words] of [["Transfer", "Extension", "1000", "1 Transfer 1000"], ["Webhook", "URL", "http://my.ser.ver/menu", "2 Webhook POST http://my.ser.ver/menu"]]) {
    await block(page, "Menu").click();
    await page.getByRole("region", { name: "Actions" }).getByRole("button", { name: action, exact: true }).click();
    await parameter(page, field).fill(value);
    await block(page, words).waitFor();
  }
  await parameter(page, "After Menu, at").selectOption("Nothing pressed");
  await block(page, "Nothing pressed Webhook").click();
  await parameter(page, "After Menu, at").selectOption("Other digits …");
  await parameter(page, "Digits").fill("42x");
  await parameter(page, "Digits").press("Tab");
  await region.getByText("1 to 16 of the digits").waitFor();
  await parameter(page, "Digits").fill("42");
  await parameter(page, "Digits").press("Tab");
  await block(page, "42 Webhook").waitFor();
  await save(page, "Save and create");
  await page.getByRole("heading", { name: "New callflow" }).waitFor();
  assert.equal(await name.inputValue(), "");
  const next = (await listed()).find((one) => one.name === "Next");
  const built = await stored(next.id);
  assert.deepEqual(built.flow, {
    module: "menu", data: { file: "ivr/welcome.wav" }, children: {
      1: { module: "transfer", data: { extension: "1000" } },
      42: { module: "webhook", data: { uri: "http://my.ser.ver/menu" } },
    },
  });

  // What was deleted elsewhere while it was open here is not lost.
  await go(page, `#/callflows/${next.id}`);
  await block(page, "Menu ivr").waitFor();
  await name.fill("Next but one");
  await remove(next.id);
  await page.keyboard.press("Control+s");
  await page.getByRole("dialog", { name: "Save it as a new one?" }).getByRole("button", { name: "Save as new" }).click();
  await page.waitForURL((address) => /#\/callflows\/[0-9a-f]{32}$/.test(address.href) && !address.href.includes(next.id));
  const again = await stored(await idOf(page));
  assert.deepEqual([again.name, again.flow], ["Next but one", built.flow]);
});
