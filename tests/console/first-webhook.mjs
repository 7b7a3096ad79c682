// An operator's first hour: a webhook is added, tested, seen at work, its receiver breaks and comes back, and what was
// missed is sent again.

import { BASE, TOKEN, accessible, check, go, shot, signIn, story, until } from "./browser.mjs";
import { Receiver } from "./receiver.mjs";

const receiver = await Receiver.listen();

await story(async ({ page }) => {
  await signIn(page);
  await page.getByRole("link", { name: "Add webhook" }).click();
  await page.getByRole("heading", { name: "Add webhook" }).waitFor();

  // Nothing is filled in: each field says so, and the first one waits to be.
  const mistake = (field) => page.locator(`[data-field="${field}"] .error`);
  await page.getByRole("button", { name: "Add webhook" }).click();
  await mistake("name").getByText("Field is required but missing").waitFor();
  await mistake("uri").getByText("Field is required but missing").waitFor();
  await until(() => page.getByLabel("Name", { exact: true }).evaluate((one) => one === document.activeElement), "the name has the focus");
  await accessible(page, "a form with mistakes");

  // The server has the last word, and it is shown at the field.
  await page.getByLabel("Name", { exact: true }).fill("Shop");
  await page.getByLabel("URL", { exact: true }).fill("ftp://shop.example.com/");
  await page.getByText("When it fails, and how fast").click();
  await page.getByLabel("Failover URL").fill("http://user:secret@shop.example.com/");
  await page.getByText("Which calls").click();
  await page.getByLabel("My numbers").fill("+15557770000\nnobody");
  await page.getByRole("button", { name: "Add webhook" }).click();
  await mistake("uri").getByText("http, https or nats").waitFor();
  await mistake("failover_uri").getByText("user name").waitFor();
  await mistake("numbers").getByText("“nobody”: Value must be a number").waitFor();
  await until(async () => !(await mistake("name").isVisible()), "the name is fine");
  await shot(page, "mistakes");

  // The sample changes with what is chosen.
  const sample = page.getByLabel("Sample payload");
  await until(async () => (await sample.textContent()).includes('"hook_event": "call_hangup"'), "the sample is the trigger's");
  await page.getByLabel("Content type").selectOption("form-data");
  await until(async () => (await sample.textContent()).startsWith("hook_event=call_hangup"), "the sample is form data");
  await page.getByLabel("Content type").selectOption("json");
  await page.getByLabel("Call hangup").uncheck();
  await page.getByRole("checkbox", { name: /^DTMF/ }).check();
  await until(async () => (await sample.textContent()).includes('"digits": "12"'), "the sample follows the trigger");
  await page.getByLabel("Everything (but raw switch events)").check();
  await page.getByLabel("Sample of").selectOption("call_received");
  await until(async () => (await sample.textContent()).includes('"hook_event": "call_received"'), "one of several can be looked at");

  await page.getByLabel("URL", { exact: true }).fill(receiver.uri);
  await page.getByLabel("Failover URL").fill("");
  await page.getByLabel("My numbers").fill("");
  await page.getByLabel("Retries").selectOption("0");
  await page.getByText("What goes along").click();
  const extra = page.locator('[data-field="custom_data"]');
  await extra.getByRole("button", { name: "Add row" }).click();
  await extra.getByLabel("Extra values: Key").fill("shop");
  await extra.getByLabel("Extra values: Value").fill("42");
  await page.getByLabel("Signature").selectOption("generate");
  await page.getByRole("button", { name: "Add webhook" }).click();

  // The secret is shown, this once.
  const secret = await page.getByRole("dialog").getByLabel("Secret").inputValue();
  check(secret.startsWith("whsec_"), `${secret} is no secret`);
  await accessible(page, "the secret");
  await page.getByRole("button", { name: "I have kept it" }).click();
  await page.getByRole("heading", { name: "Shop" }).waitFor();
  check(!(await page.content()).includes(secret), "the secret is still in the page");
  const id = (await page.evaluate(() => location.hash)).split("/").pop();

  // The test shows what was sent and what came back.
  await page.getByRole("button", { name: "Test" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("HTTP 204").waitFor();
  await until(async () => (await dialog.getByLabel("Request body").textContent()).includes('"shop": 42'), "the extra value goes along");
  await accessible(page, "the test");
  await shot(page, "test");
  await dialog.getByRole("button", { name: "Close" }).click();
  const tested = await receiver.got(() => true, "the test");
  check(tested.headers["webhook-signature"]?.startsWith("v1,"), "the test is signed");

  // Another secret, while the old one still signs.
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Rotate the secret" }).click();
  await page.getByRole("button", { name: "Rotate" }).click();
  const second = await page.getByRole("dialog").getByLabel("Secret").inputValue();
  check(second.startsWith("whsec_") && second !== secret, "the new secret is another one");
  await page.keyboard.press("Escape");
  await receiver.got(({ headers }) => headers["webhook-signature"]?.split(" ").length === 2, "a request with both signatures");

  // A call of the demo arrives, live.
  await page.getByRole("link", { name: "Live" }).click();
  await page.getByRole("region", { name: "Calls now" }).getByRole("link").first().waitFor();
  await page.getByRole("listitem").filter({ hasText: "Call received on server" }).first().waitFor();
  await accessible(page, "live");
  await shot(page, "live");
  await page.getByRole("button", { name: "Pause" }).click();
  const seen = () => page.getByRole("list", { name: "Events as they come" }).getByRole("listitem").count();
  const before = await seen();
  await page.getByRole("button", { name: /Go on \(\d+\)/ }).waitFor();
  check((await seen()) === before, "it goes on although it is paused");
  await page.getByRole("button", { name: /Go on/ }).click();
  await until(async () => (await seen()) > before, "what came meanwhile is shown");

  // The receiver breaks, and the webhook is switched off for it.
  receiver.status = 503;
  await page.getByRole("link", { name: "Webhooks" }).click();
  const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "Shop" }) });
  await row.getByText("Switched off").waitFor();
  await until(async () => /failed attempts/.test(await row.textContent()), "the row says why");
  await page.getByText("switched off because of what was answered").waitFor();
  await accessible(page, "a webhook that was switched off");
  await shot(page, "switched-off");

  // It comes back, and so does the webhook, with one click.
  receiver.status = 204;
  await row.getByRole("button", { name: "Enable Shop" }).click();
  await row.getByText("On", { exact: true }).waitFor();

  // One that failed is sent again, with the id that it had.
  const failed = receiver.requests.findLast(({ status }) => status === 503);
  await go(page, `#/attempts?webhook=${id}&result=failure`);
  await page.getByRole("button", { name: /Look at attempt/ }).first().click();
  await page.getByRole("dialog").getByText("this is status 503").waitFor();
  await accessible(page, "an attempt");
  const sentAgain = JSON.parse(await page.getByRole("dialog").getByLabel("Request body").textContent()).webhook_id;
  await page.getByRole("button", { name: "Send again" }).click();
  await receiver.got(({ status, headers }) => status === 204 && headers["webhook-id"] === sentAgain, "the resent one");
  check(receiver.requests.some(({ status, headers }) => status === 503 && headers["webhook-id"] === sentAgain), "it keeps its id");

  // All the others are counted first, then recovered.
  await page.getByRole("button", { name: "Recover" }).click();
  await page.getByRole("button", { name: "Count" }).click();
  await page.getByText(/\d+ deliver(y|ies) would be sent again/).waitFor();
  await accessible(page, "recover");
  await shot(page, "recover");
  await page.getByRole("dialog").getByRole("button", { name: "Send again" }).click();
  await page.getByText("queued again", { exact: false }).first().waitFor();
  if (failed.headers["webhook-id"] !== sentAgain) {
    await receiver.got(({ status, headers }) => status === 204 && headers["webhook-id"] === failed.headers["webhook-id"], "what failed");
  }

  // Leaving with changes asks; what is changed is saved and stays.
  await go(page, `#/webhooks/${id}`);
  const save = page.getByRole("button", { name: "Save changes" });
  await save.waitFor();
  await until(() => save.isDisabled(), "nothing is changed yet");
  await page.getByLabel("Description").fill("The shop's orders");
  await go(page, "#/status");
  await page.getByRole("dialog").getByText("The changes in the form are lost").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await until(async () => (await page.evaluate(() => location.hash)) === `#/webhooks/${id}`, "the address is the form's again");

  // Switched off meanwhile, it is not switched on by saving; and what somebody else has saved is not lost unasked.
  const elsewhere = (data) => fetch(new URL(`/v2/accounts/default/webhooks/${id}`, BASE), {
    method: "PATCH",
    headers: { "X-Auth-Token": TOKEN, "Content-Type": "application/json" },
    body: JSON.stringify({ data }),
  });
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Switch off" }).click();
  await until(async () => !(await page.getByLabel("On", { exact: true }).isChecked()), "the form follows");
  await elsewhere({ name: "Shop 2" });
  await save.click();
  await page.getByRole("dialog").getByText("changed elsewhere").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Replace" }).click();
  await page.getByText("Saved.").waitFor();
  await page.reload();
  await until(async () => (await page.getByLabel("Description").inputValue()) === "The shop's orders", "the change is there");
  await page.getByRole("heading", { name: "Shop Off" }).waitFor();

  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();
  await row.waitFor({ state: "detached" });
});
receiver.close();
