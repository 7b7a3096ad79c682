// A real browser for the stories: Debian's chromium, driven by playwright-core. What a story leaves in the page's
// console, an exception, a broken rule of the Content-Security-Policy, fails it.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const AXE = require.resolve("axe-core/axe.min.js");
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** How long a story waits for what has to come. Never slept through when all is well. */
export const PATIENCE = 60_000;

export const BASE = process.env.CONSOLE_BASE;
export const TOKEN = process.env.CONSOLE_TOKEN;
const SHOTS = process.env.CONSOLE_SHOTS;

/** Tells a story: `tell({page, context})`, in a window of 1280 × 900 unless `options` (of a browser context) say
 *  otherwise. The process ends with it. */
export async function story(tell, options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "switchhook-console-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CONSOLE_CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    viewport: { width: 1280, height: 900 },
    ...options,
  });
  const complaints = [];
  try {
    context.setDefaultTimeout(PATIENCE);
    const page = context.pages()[0] ?? (await context.newPage());
    page.on("pageerror", (error) => complaints.push(`exception: ${error.stack ?? error}`));
    page.on("console", (message) => {
      // The browser's own line about a request that was refused: the story looks at what the page makes of it.
      if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (request.url().includes(TOKEN)) complaints.push(`the token is in the address ${request.url()}`);
      if (!request.url().startsWith(BASE) && !/^(data|blob|about):/.test(request.url())) complaints.push(`it asked ${request.url()}`);
    });
    try {
      await tell({ page, context });
    } catch (error) {
      await shot(page, "where-it-failed").catch(() => {});
      complaints.push(error.stack ?? String(error));
    }
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
  if (complaints.length) {
    console.error(complaints.join("\n\n"));
    process.exit(1);
  }
}

/** Signs in and waits for the list of webhooks. */
export async function signIn(page) {
  await page.goto(BASE);
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();
}

/** Goes where a link of the console would. */
export async function go(page, hash) {
  await page.evaluate((where) => {
    location.hash = where;
  }, hash);
}

/** Keeps a picture of the whole page. */
export async function shot(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** Fails where axe finds a violation in the page as it is. */
export async function accessible(page, where) {
  if (!(await page.evaluate(() => Boolean(globalThis.axe)))) await page.evaluate(axeSource());
  const violations = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations);
  if (violations.length === 0) return;
  const lines = violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}\n    ${node.html}\n    ${node.failureSummary}`));
  throw new Error(`axe on ${where}:\n${lines.join("\n")}`);
}

let source;

// Evaluated, not put in as a script: the page's policy would rightly refuse that.
function axeSource() {
  source ??= require("node:fs").readFileSync(AXE, "utf8");
  return source;
}

/** Fails unless it is so. */
export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Waits until `look` gives something true, which it then returns. */
export async function until(look, what) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`it never came to pass: ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}
