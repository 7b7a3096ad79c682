// Every view in both colour schemes, on a phone and on a wide screen: axe finds nothing, nothing sticks out at the
// side, and there is a picture of it.

import { BASE, TOKEN, accessible, check, go, shot, signIn, story, until } from "./browser.mjs";

const added = await fetch(new URL("/v2/accounts/default/webhooks", BASE), {
  method: "PUT",
  headers: { "X-Auth-Token": TOKEN, "Content-Type": "application/json" },
  body: JSON.stringify({ data: { name: "A".repeat(120), uri: `http://127.0.0.1:9/${"x".repeat(2000)}`, hook: "webhook_disabled", enabled: false } }),
});
const endless = (await added.json()).data.id;

for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1600]) {
    await story(({ page }) => look(page, `${colorScheme}-${width}`), { colorScheme, viewport: { width, height: 900 } });
  }
}

async function look(page, kind) {
  const seen = async (name) => {
    await accessible(page, `${name} (${kind})`);
    await fits(name);
  };
  const fits = async (name) => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(wide <= 0, `${name} (${kind}) is ${wide} px too wide`);
    await shot(page, `${name}-${kind}`);
  };
  await signIn(page);
  await page.getByText("Delivered").first().waitFor();
  await page.getByText("the receiver answered 410 Gone").waitFor();
  await seen("webhooks");

  const menu = page.getByRole("button", { name: "More for CRM" });
  await menu.focus();
  await page.keyboard.press("ArrowDown");
  await page.getByRole("menuitem", { name: "Edit" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await until(() => page.getByRole("menuitem", { name: "Test" }).evaluate((one) => one === document.activeElement), "the arrow goes down");
  await seen("menu");
  await page.keyboard.press("Escape");
  await until(() => menu.evaluate((one) => one === document.activeElement), "the focus is where it was");

  await page.getByRole("link", { name: "CRM", exact: true }).click();
  await page.getByText("95 % within").waitFor();
  await seen("webhook");

  // A name without a space and an address of the greatest length have room.
  await go(page, `#/webhooks/${endless}`);
  await page.getByRole("heading", { name: "AAAA" }).waitFor();
  await fits("endless");

  await go(page, "#/webhooks/new");
  await page.getByRole("heading", { name: "Add webhook" }).waitFor();
  for (const title of ["Which calls", "What goes along", "When it fails, and how fast"]) await page.getByText(title).click();
  await seen("form");

  await go(page, "#/attempts");
  await page.getByRole("button", { name: /Look at attempt/ }).first().waitFor();
  await seen("attempts");
  await page.getByRole("button", { name: "Live" }).click();
  await page.getByRole("button", { name: /Look at attempt/ }).first().click();
  await page.getByRole("dialog").waitFor();
  await seen("attempt");
  await page.keyboard.press("Escape");

  await go(page, await page.locator("a[href^='#/calls/']").first().getAttribute("href"));
  await page.getByText("Channel create").first().waitFor();
  await seen("call");
  await page.getByRole("button", { name: "Show every event" }).click();
  await page.getByText("CHANNEL_EXECUTE").first().waitFor();

  await go(page, "#/live");
  await page.getByRole("region", { name: "Calls now" }).getByRole("link").first().waitFor();
  await page.getByRole("list", { name: "Events as they come" }).getByRole("listitem").first().waitFor();
  await seen("live");

  await go(page, "#/status");
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByRole("table", { name: "Endpoints" }).waitFor();
  await seen("status");

  // The other colours, by hand, and they stay.
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await ground();
  await page.getByRole("button", { name: /^(Light|Dark) colours$/ }).click();
  await until(async () => (await ground()) !== before, "the colours change");
  await page.reload();
  await page.getByRole("heading", { name: "Status", level: 1 }).waitFor();
  await until(async () => (await ground()) !== before, "the colours stay");
  await until(async () => (await page.getByText("live", { exact: true }).count()) > 0, "the feed is connected again");
}
