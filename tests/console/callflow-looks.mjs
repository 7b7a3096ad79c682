// A large callflow with hostile words in it, light and dark, narrow and wide.

import { accessible, check, go, shot, signIn, story } from "./browser.mjs";
import { block, parameter, store } from "./callflow.mjs";

const EVIL = '<img src=x onerror="document.title=\'pwned\'"><script>document.title="pwned"</script>${system(x)}';

const flow = {
  module: "menu", data: { file: "ivr/ivr-welcome.wav", tries: 2 },
  children: {
    1: { module: "webhook", data: { uri: "https://crm.example.com/lookup", http_verb: "get", custom_data: { choice: EVIL, nested: { a: [1] } } },
      children: {
        success: { module: "ring_group", data: { endpoints: [{ id: "1001" }, { id: "1002", delay: 10 }] },
          children: { _: { module: "voicemail", data: { id: "1001" } } } },
        failure: { module: "play", data: { file: "sorry.wav", skip_module: true }, children: { _: { module: "hangup" } } } } },
    2: { module: "set_variables", data: { variables: { crm_name: "<b>bold</b>" } },
      children: { _: { module: "queue", data: { id: "support@default" } } } },
    timeout: { module: "say", data: { text: "<script>alert(1)</script> & good bye" } },
    _: { module: "transfer", data: { extension: "1000" } },
  },
};

await story(async ({ page }) => {
  const id = await store({ name: EVIL, numbers: ["5000", "+49 30 1234567", "no_match"], flow });
  await store({ name: "Without blocks to speak of", numbers: [], flow: { module: "hangup" } });
  await signIn(page);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1600, 1024, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 1000 });
      const at = `${colorScheme}-${width}`;
      await go(page, "#/callflows");
      await page.getByRole("link", { name: "Without blocks to speak of" }).waitFor();
      await accessible(page, `the list, ${at}`);
      await shot(page, `list-${at}`);
      await go(page, `#/callflows/${id}`);
      await block(page, "Transfer 1000").waitFor();
      await accessible(page, `the tree, ${at}`);
      await shot(page, `tree-${at}`);
      await block(page, "Webhook GET").first().click();
      await parameter(page, "URL").waitFor();
      await accessible(page, `the webhook, ${at}`);
      await shot(page, `webhook-${at}`);
      if (width === 360) {
        const back = page.getByRole("button", { name: "Back to the flow" });
        await back.click();
        await page.getByTitle("Add after Webhook").first().click();
        await page.getByRole("searchbox", { name: "Find an action" }).waitFor();
        await accessible(page, `the catalogue, ${at}`);
        await shot(page, `catalogue-${at}`);
        await back.click();
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(overflow <= 0, `the page is ${overflow} px too wide`);
      }
    }
  }
  check((await page.title()) !== "pwned", "a name became markup");
  check((await page.locator("main img, main script, main b").count()) === 0, "a name became elements");
});
