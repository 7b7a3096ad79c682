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

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  check(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes(TOKEN), "the token outlives signing out");
});
