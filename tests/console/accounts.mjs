// A reseller looks after two accounts: one has many webhooks, which come page by page, the other has none yet.

import { BASE, TOKEN, accessible, check, shot, signIn, story, until } from "./browser.mjs";

const HOOKS = 120;

async function put(path, data) {
  const answer = await fetch(new URL(path, BASE), {
    method: "PUT",
    headers: { "X-Auth-Token": TOKEN, "Content-Type": "application/json" },
    body: JSON.stringify({ data }),
  });
  check(answer.status === 201, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return (await answer.json()).data;
}

const big = await put("/v2/accounts", { name: "Big & Sons", numbers: ["+15557770000"] });
await put("/v2/accounts", { name: "Just begun" });
for (let index = 0; index < HOOKS; index += 1) {
  await put(`/v2/accounts/${big.id}/webhooks`, { name: `hook ${index}`, hook: "call_hangup", uri: `http://127.0.0.1:9/${index}` });
}

await story(async ({ page }) => {
  await signIn(page);
  const account = page.getByRole("combobox", { name: "Account" });
  await account.selectOption("Just begun");
  await page.getByText("No webhooks yet").waitFor();
  await accessible(page, "an account without webhooks");
  await shot(page, "empty");

  await account.selectOption("Big & Sons");
  await page.getByRole("link", { name: "hook 0", exact: true }).waitFor();
  await until(async () => (await page.getByRole("row").count()) === 51, "a page has 50");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("link", { name: "hook 50", exact: true }).waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("link", { name: "hook 119", exact: true }).waitFor();
  await until(() => page.getByRole("button", { name: "Next" }).isDisabled(), "that was the last page");
  await accessible(page, "the last page");
  await page.getByRole("button", { name: "Previous" }).click();
  await page.getByRole("link", { name: "hook 50", exact: true }).waitFor();

  await page.getByLabel("Search").fill("HOOK 11");
  await until(async () => (await page.getByRole("row").count()) === 12, "11 and 110 to 119 are found");
  await page.getByLabel("Search").fill("nobody");
  await page.getByText("None is like that").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByRole("link", { name: "hook 0", exact: true }).waitFor();

  // A form with changes holds the account, too.
  await page.getByRole("link", { name: "Add webhook" }).click();
  await page.getByLabel("Name", { exact: true }).fill("not saved");
  await page.getByText("Which calls").click();
  await page.getByRole("button", { name: "+15557770000" }).click();
  await until(async () => (await page.getByLabel("My numbers").inputValue()) === "+15557770000", "the account's number is put in");
  // What is asked goes with the address that it was asked for.
  await page.goBack();
  const question = page.getByRole("dialog").getByText("The changes in the form are lost");
  await question.waitFor();
  await page.goForward();
  await question.waitFor({ state: "detached" });
  check((await page.getByLabel("Name", { exact: true }).inputValue()) === "not saved", "the form is as it was");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await account.selectOption("default");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await until(async () => (await account.inputValue()) === big.id, "the account is the same");
  await account.selectOption("default");
  await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
  await page.getByRole("link", { name: "demo", exact: true }).waitFor();

  // The account is remembered with the session.
  await account.selectOption("Big & Sons");
  await page.getByRole("link", { name: "hook 0", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("link", { name: "hook 0", exact: true }).waitFor();
});
