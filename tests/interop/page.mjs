// Opens VERIFY.html from disc in a real, headless Chromium, gives it a bundle's folder and the published
// key as a person would, waits for its verdict and prints its report as JSON.
// Exit status 0 verified, 1 refused, 2 cannot check.
//
//   node page.mjs BUNDLE [KEY.pem] [--drop] [--play] [--width PX] [--screenshot FILE.png] [--chromium PROGRAM]
//
// Speaks the DevTools protocol over Chromium's pipe (`--remote-debugging-pipe`): no package, no port.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const PAGE = process.env.PAGE || fileURLToPath(new URL("../../proto/verifier/page/VERIFY.html", import.meta.url));
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe"];

/** A running Chromium: `send` a command to it, `close` it. */
export class Browser {
  static async start(program = "chromium") {
    const browser = new Browser();
    browser.profile = await mkdtemp(join(tmpdir(), "page-"));
    browser.child = spawn(program, [...FLAGS, `--user-data-dir=${browser.profile}`, "about:blank"],
      { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    [browser.next, browser.waiting, browser.heard] = [1, new Map(), new Map()];
    let rest = Buffer.alloc(0);
    browser.child.stdio[4].on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        browser.hear(JSON.parse(rest.subarray(0, end).toString("utf8")));
        rest = rest.subarray(end + 1);
      }
    });
    browser.child.on("exit", () => { for (const [, fail] of browser.waiting.values()) fail(new Error("Chromium ended")); });
    return browser;
  }

  hear({ id, result, error, method, params, sessionId }) {
    if (id) {
      const [done, fail] = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) fail(new Error(error.message)); else done(result);
    } else if (this.heard.has(`${sessionId} ${method}`)) this.heard.get(`${sessionId} ${method}`)(params);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.next;
    this.next += 1;
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((done, fail) => { this.waiting.set(id, [done, fail]); });
  }

  /** Opens a page and gives a way to talk to it. */
  async open(url, width = 1100) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = { send: (method, params) => this.send(method, params, sessionId) };
    tab.run = async (expression) => {
      const { result, exceptionDetails } = await tab.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
      return result.value;
    };
    await tab.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
    await tab.send("Page.enable");
    await tab.send("DOM.enable");
    const loaded = new Promise((done) => { this.heard.set(`${sessionId} Page.loadEventFired`, done); });
    await tab.send("Page.navigate", { url });
    await loaded;
    return tab;
  }

  async close() {
    await this.send("Browser.close").catch(() => {});
    await new Promise((done) => { if (this.child.exitCode !== null) done(); else this.child.on("exit", done); });
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const node = async (tab, selector) => {
  const { root } = await tab.send("DOM.getDocument", { depth: 0 });
  return (await tab.send("DOM.querySelector", { nodeId: root.nodeId, selector })).nodeId;
};

/** Gives the page the folder through its file input, or by a real drop. */
async function giveFolder(tab, folder, byDrop) {
  await tab.run(`document.getElementById("folder").value = document.getElementById("folder-says").textContent = ""`);
  if (!byDrop) {
    await tab.send("DOM.setFileInputFiles", { files: [resolve(folder)], nodeId: await node(tab, "#folder") });
  } else {
    const { model } = await tab.send("DOM.getBoxModel", { nodeId: await node(tab, "#drop") });
    const [x, y] = [model.content[0] + 20, model.content[1] + 10];
    const data = { items: [], files: [resolve(folder)], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) await tab.send("Input.dispatchDragEvent", { type, x, y, data });
  }
  // Chromium lists the folder in its own time; the page then says what it was given.
  await tab.run(`new Promise((done) => { const says = document.getElementById("folder-says");
    const told = () => { if (says.textContent) done(); };
    new MutationObserver(told).observe(says, { childList: true }); told(); })`);
}

/** The page's own report of a bundle. */
export async function check(tab, folder, pem, { drop = false, policy, statements } = {}) {
  for (const [id, file] of [["policy", policy], ["statements", statements]]) {
    await tab.run(`document.getElementById("${id}").value = ""`);
    if (file) await tab.send("DOM.setFileInputFiles", { files: [resolve(file)], nodeId: await node(tab, `#${id}`) });
  }
  await tab.run(`(async () => { const key = document.getElementById("key"); key.value = ${JSON.stringify(pem || "")};
    key.dispatchEvent(new Event("input")); delete document.documentElement.dataset.verdict; globalThis.lastReport = null; })()`);
  await giveFolder(tab, folder, drop);
  await tab.run(`new Promise((done) => { new MutationObserver((_, seen) => { if (document.documentElement.dataset.verdict) { seen.disconnect(); done(); } })
    .observe(document.documentElement, { attributes: true }); document.getElementById("check").click(); })`);
  return await tab.run("globalThis.lastReport") || { verdict: await tab.run("document.documentElement.dataset.verdict"), codes: [], says: await tab.run(`document.getElementById("result").innerText`) };
}

/** Plays the first camera that can be played until the picture moves; gives what the player says. */
async function play(tab) {
  return tab.run(`new Promise((done) => {
    const button = document.querySelector(".player button");
    if (!button) { done(document.querySelector(".player").innerText); return; }
    const box = button.parentElement;
    button.click();
    const video = box.querySelector("video");
    video.addEventListener("timeupdate", () => { if (video.currentTime > 1 && video.videoWidth) done(box.innerText + " " + video.videoWidth + "x" + video.videoHeight + " of " + video.duration.toFixed(2) + " s"); });
    video.addEventListener("error", () => done("error: " + video.error.message));
  })`);
}

/** The whole page as a picture, at most 8,000 pixels of it. */
export async function screenshot(tab, file) {
  const { cssContentSize } = await tab.send("Page.getLayoutMetrics");
  const clip = { x: 0, y: 0, width: cssContentSize.width, height: Math.min(cssContentSize.height, 8000), scale: 1 };
  const { data } = await tab.send("Page.captureScreenshot", { captureBeyondViewport: true, clip });
  await writeFile(file, Buffer.from(data, "base64"));
}

async function main(args) {
  const given = [];
  const options = new Map();
  for (let i = 0; i < args.length; i += 1) {
    if (["--drop", "--play"].includes(args[i])) options.set(args[i], true);
    else if (args[i].startsWith("--")) { options.set(args[i], args[i + 1]); i += 1; } else given.push(args[i]);
  }
  const [bundle, key] = given;
  const browser = await Browser.start(options.get("--chromium"));
  try {
    const tab = await browser.open(pathToFileURL(PAGE).href, Number(options.get("--width") || 1100));
    const report = bundle ? await check(tab, bundle, key && await readFile(key, "utf8"), { drop: options.has("--drop") }) : { verdict: "nothing given", codes: [] };
    if (options.has("--play")) report.played = await play(tab);
    if (options.has("--screenshot")) await screenshot(tab, options.get("--screenshot"));
    process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
    return report.codes.length ? 1 : 0;
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => {
    process.stderr.write(`page: ${error.message}\n`);
    process.exitCode = 2;
  });
}
