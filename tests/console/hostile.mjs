// Somebody calls whose phone says that his name is markup; a webhook is called so, too. Both are text, wherever they
// are shown.

import { BASE, TOKEN, check, go, shot, signIn, story, until } from "./browser.mjs";
import { Receiver } from "./receiver.mjs";

// With a mark that would turn round all that stands behind it: a number read from the other end is another one.
const NAME = '"><script>alert(2)</script><b>bold</b>\u202e';
const SHOWN = NAME.replace("\u202e", "\ufffd");
const receiver = await Receiver.listen();

await story(async ({ page }) => {
  let asked = null;
  page.on("dialog", (dialog) => {
    asked = dialog.message();
    dialog.dismiss();
  });
  const harmless = async (where) => {
    check(asked === null, `${where}: the page said ${asked}`);
    const foreign = await page.evaluate(() => [...document.querySelectorAll("script:not([src]), b, img:not([src='/assets/icon.svg']), [onerror]")].map((one) => one.outerHTML));
    check(foreign.length === 0, `${where}: ${foreign}`);
    check(!(await page.evaluate(() => document.body.innerText)).includes("\u202e"), `${where}: text is turned round`);
  };
  const added = await fetch(new URL("/v2/accounts/default/webhooks", BASE), {
    method: "PUT",
    headers: { "X-Auth-Token": TOKEN, "Content-Type": "application/json" },
    body: JSON.stringify({ data: { name: NAME, description: NAME, uri: receiver.uri, hook: "all", format: "json", custom_data: { [NAME]: NAME } } }),
  });
  check(added.status === 201, `the webhook is added: ${added.status}`);
  const { id } = (await added.json()).data;

  await signIn(page);
  await page.getByText(SHOWN).first().waitFor();
  await harmless("webhooks");

  await go(page, "#/live");
  const call = page.getByRole("region", { name: "Calls now" }).getByRole("link").filter({ hasText: "<img src=x onerror=alert(1)> Mallory" });
  await call.waitFor();
  await page.getByRole("listitem").filter({ hasText: "<img src=x onerror=alert(1)> Mallory" }).first().waitFor();
  await harmless("live");
  await shot(page, "live");
  await go(page, await call.getAttribute("href"));
  await page.getByText("Channel create").first().waitFor();
  await page.getByText(SHOWN).first().waitFor();
  await harmless("call");
  await shot(page, "call");

  await receiver.got(({ body }) => body.includes("Mallory") && body.includes("call_hangup"), "Mallory's call");
  await go(page, `#/attempts?webhook=${id}`);
  await until(async () => {
    await page.getByRole("button", { name: /Look at attempt/ }).first().click();
    const body = await page.getByRole("dialog").getByLabel("Request body").textContent();
    if (body.includes("Mallory")) return true;
    await page.keyboard.press("Escape");
    return false;
  }, "an attempt with Mallory's name");
  await harmless("attempt");
  await page.keyboard.press("Escape");

  await go(page, `#/webhooks/${id}`);
  await until(async () => (await page.getByLabel("Name", { exact: true }).inputValue()) === NAME, "the form has the name");
  await harmless("form");

  // An address is somebody else's text, too.
  await go(page, `#/calls/${encodeURIComponent(NAME)}`);
  await page.getByText("Nothing is known of this call").waitFor();
  await go(page, `#/${NAME}`);
  await page.getByText("There is nothing here").waitFor();
  await harmless("addresses");
});
receiver.close();
