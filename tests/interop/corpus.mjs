// Runs VERIFY.html over every bundle of the mutation corpus, in Node and (with --chromium) in a real
// Chromium, and compares the codes with those that the corpus says must be found. Prints one line for each
// difference and the counts; exit status 1 if there is any difference.
//
//   node corpus.mjs CORPUS [--chromium] [--only NAME] [--screenshots FOLDER]
//
// CORPUS is what the program `corpus` writes: `expected.json`, a folder for each bundle, and beside them
// what a verifier may be given: `authority.pem`, `policy`, `statements.jsonl`.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { core, folderOf } from "./page-node.mjs";
import { Browser, check, screenshot } from "./page.mjs";

const REFUSALS = fileURLToPath(new URL("../../proto/custody/src/refusal.rs", import.meta.url));
const PAGE = process.env.PAGE || fileURLToPath(new URL("../../proto/verifier/page/VERIFY.html", import.meta.url));

/** The page's closed list is custody's, in its order. */
async function sameCodes(codes) {
  const rust = [...(await readFile(REFUSALS, "utf8")).matchAll(/^ {4}\w+ = "([a-z-]+)",$/gm)].map(([, code]) => code);
  return JSON.stringify(rust) === JSON.stringify(codes);
}

async function main(args) {
  const [corpus] = args;
  const option = (name) => args.includes(name) ? args[args.indexOf(name) + 1] : null;
  const expected = JSON.parse(await readFile(join(corpus, "expected.json"), "utf8"));
  const pem = await readFile(join(corpus, "authority.pem"), "utf8");
  const { verify, keyOfPem, CODES } = await core(PAGE);
  let wrong = 0, right = 0;
  const compare = (where, due, found) => {
    if (JSON.stringify(due) === JSON.stringify(found)) { right += 1; return; }
    wrong += 1;
    process.stdout.write(`${where}: due ${due.join(" ") || "verified"}; found ${found.join(" ") || "verified"}\n`);
  };
  if (!await sameCodes(CODES)) compare("the closed list of codes", ["as in refusal.rs"], ["another"]);
  const browser = args.includes("--chromium") ? await Browser.start() : null;
  try {
    const tab = browser && await browser.open(pathToFileURL(PAGE).href);
    for (const one of expected) {
      if (option("--only") && option("--only") !== one.name) continue;
      const folder = join(corpus, one.name);
      const policy = one.given === "policy" ? join(corpus, "policy") : undefined;
      const statements = one.given === "statements" ? join(corpus, "statements.jsonl") : undefined;
      const read = async (path) => path && new Uint8Array(await readFile(path));
      const report = await verify(await folderOf(folder), { raw: keyOfPem(pem) }, { policy: await read(policy), statements: await read(statements) });
      compare(`${one.name} in Node`, one.codes, report.codes);
      if (!tab) continue;
      const shown = await check(tab, folder, pem, { policy, statements });
      compare(`${one.name} in Chromium`, one.codes, shown.codes);
      if (option("--screenshots")) await screenshot(tab, join(option("--screenshots"), `${one.name}.png`));
    }
  } finally {
    if (browser) await browser.close();
  }
  process.stdout.write(`${right} as expected, ${wrong} not\n`);
  return wrong ? 1 : 0;
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => {
  process.stderr.write(`corpus: ${error.stack}\n`);
  process.exitCode = 2;
});
