// An operator opens the console, types a wrong token, then the right one, and signs out again.

import { BASE, TOKEN, accessible, check, shot, signIn, story } from "./browser.mjs";

await story(async ({ page }) => {
  await page.goto(BASE);
  await accessible(page, "sign in");
  await shot(page, "sign-in");
  await page.getByLabel("Token").fill("not the token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("The token is not valid").waitFor();
  await accessible(page, "sign in refused");

  await signIn(page);
  check(!(await page.evaluate(() => JSON.stringify(localStorage))).includes(TOKEN), "the token outlives the session");

  await page.reload();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();

  // A daemon that has its hands full does not end the session.
  const busy = { status: 503, contentType: "application/json", body: '{"status": "error", "message": "datastore_fault", "data": {"message": "The store is busy"}}' };
  await page.route("**/v2/accounts?*", (route) => route.fulfill(busy));
  await page.reload();
  await page.getByText("The store is busy").waitFor();
  await accessible(page, "a console that cannot begin");
  await page.unroute("**/v2/accounts?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  check(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes(TOKEN), "the token outlives signing out");
});
