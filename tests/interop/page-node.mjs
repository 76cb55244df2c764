// Runs the checks of VERIFY.html in Node, without a screen: the text of its <script id="core"> over a
// bundle's folder. Prints the report as JSON; exit status 0 verified, 1 refused, 2 cannot check.
//
//   node page-node.mjs BUNDLE KEY.pem [--policy FILE] [--statements FILE]

import { open, readFile, readdir, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;

const PAGE = process.env.PAGE || fileURLToPath(new URL("../../proto/verifier/page/VERIFY.html", import.meta.url));
const DEPTH_MAX = 8;

/** The checking core of the page: what part two of it would call. */
export async function core(page = PAGE) {
  const [, text] = /<script id="core">\n([\s\S]*?)\n<\/script>/.exec(await readFile(page, "utf8"));
  return new Function(`${text}\nreturn { verify, keyOfPem, CODES };`)();
}

/** A folder as the core wants it: every regular file with its length and a way to read a slice. */
export async function folderOf(root) {
  const folder = { files: new Map(), odd: [] };
  const walk = async (below, depth) => {
    for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
      const path = below + entry.name;
      if (entry.isDirectory() && depth < DEPTH_MAX) await walk(`${path}/`, depth + 1);
      else if (entry.isFile()) folder.files.set(path, await fileAt(join(root, path)));
      else folder.odd.push(path);
    }
  };
  await walk("", 0);
  return folder;
}

async function fileAt(full) {
  const { size } = await stat(full);
  const read = async (from, to) => {
    const file = await open(full);
    try {
      const bytes = new Uint8Array(to - from);
      for (let at = 0; at < bytes.length;) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, from + at);
        if (!bytesRead) throw new Error("the file has become shorter");
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  };
  return { size, read };
}

async function main([bundle, key, ...rest]) {
  const option = async (name) => {
    const at = rest.indexOf(name);
    return at < 0 ? undefined : new Uint8Array(await readFile(rest[at + 1]));
  };
  const { verify, keyOfPem } = await core();
  const raw = key && key !== "-" ? keyOfPem(await readFile(key, "utf8")) : null;
  if (key && key !== "-" && !raw) throw new Error(`${key} is no public key in PEM form`);
  const report = await verify(await folderOf(bundle), raw && { raw },
    { policy: await option("--policy"), statements: await option("--statements") });
  process.stdout.write(`${JSON.stringify(report.json, null, 1)}\n`);
  return report.refusals.length ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => {
    process.stderr.write(`page-node: ${error.message}\n`);
    process.exitCode = 2;
  });
}
