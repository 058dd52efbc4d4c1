// Checks the generated contract with tools that koffer did not write: AsyncAPI's own parser, and
// ajv for JSON Schema 2020-12. Any error or warning fails.
//
// Node 18 will do: package.json holds jsep back to the last version that says so.
//
//   npm ci --ignore-scripts --no-audit --no-fund && node validate.mjs

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Parser } from "@asyncapi/parser";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const contract = join(dirname(fileURLToPath(import.meta.url)), "..");
const SEVERITIES = ["error", "warning", "information", "hint"];

// Diagnostics that are no failure, and why. Only information and hints may stand here.
const TOLERATED = new Map([
  ["asyncapi-latest-version", "3.0 is what most tools read; nothing of 3.1 is used"],
]);

let failures = 0;
function fail(what) {
  failures += 1;
  console.error(`FAIL ${what}`);
}

function filesBelow(folder, prefix = "") {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? filesBelow(join(folder, entry.name), `${prefix}${entry.name}/`)
      : [`${prefix}${entry.name}`],
  ).sort();
}

const json = (path) => JSON.parse(readFileSync(join(contract, path), "utf8"));

// 1. The AsyncAPI document.
const { document, diagnostics } = await new Parser().parse(
  readFileSync(join(contract, "asyncapi.json"), "utf8"),
);
for (const { severity, code, path, message } of diagnostics) {
  const told = `${SEVERITIES[severity]} ${code} at ${path.join("/")}: ${message}`;
  if (severity <= 1 || !TOLERATED.has(String(code))) {
    fail(`asyncapi.json: ${told}`);
  } else {
    console.log(`tolerated: ${told} (${TOLERATED.get(String(code))})`);
  }
}
if (!document) fail("asyncapi.json: the parser gave no document");

// 2. Every JSON Schema compiles, in strict mode.
const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormats(ajv);
ajv.addVocabulary(["x-koffer-effect", "x-koffer-max-duration-ms", "x-koffer-confidential"]);
const schemas = new Map();
for (const path of filesBelow(join(contract, "schema"))) {
  try {
    schemas.set(path, ajv.compile(json(`schema/${path}`)));
  } catch (error) {
    fail(`schema/${path}: ${error.message}`);
  }
}
if (schemas.size === 0) fail("there are no schemas");

// 3. Every example is what its schema says, and every schema has an example.
const withExample = new Set();
for (const [path, example] of Object.entries(json("examples.json"))) {
  const [group, name, kind] = path.split(".");
  const schema = group === "envelope" ? `envelope/${name}.json` : `${group}/${name}.${kind}.json`;
  const validate = schemas.get(schema);
  if (!validate) {
    fail(`example ${path}: there is no schema/${schema}`);
  } else if (!validate(example)) {
    fail(`example ${path}: ${ajv.errorsText(validate.errors)}`);
  }
  withExample.add(schema);
}
for (const path of schemas.keys()) {
  if (!withExample.has(path)) fail(`schema/${path}: no example`);
}

// 4. The schemas refuse what the contract refuses: a sample, so that they are not empty promises.
const refused = [
  ["payment/pay.params.json", { amount: { cents: 0, currency: "EUR" } }],
  ["payment/pay.params.json", {}],
  ["fingerprint/capture.params.json", { fingers: [] }],
  ["envelope/completion.json", { status: "busy", effect: "done", message: "" }],
  ["envelope/completion.json", { status: "ok" }],
];
for (const [path, value] of refused) {
  if (schemas.get(path)?.(value) !== false) fail(`schema/${path} accepts ${JSON.stringify(value)}`);
}

console.log(
  `asyncapi.json: ${document?.allOperations().all().length ?? 0} operations; ` +
    `${schemas.size} schemas, ${withExample.size} with examples; ${failures} failures`,
);
process.exitCode = failures === 0 ? 0 : 1;
