// Makes the calls on standard input, one line of JSON each, and writes one line for each: its
// completion and its progress. Runs beside docs/examples/node/koffer.mjs and its node_modules.

import { createInterface } from "node:readline";
import { call } from "./koffer.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const wanted = JSON.parse(line);
  const progress = [];
  const { device, operation, params } = wanted;
  const show = (event) => progress.push(event);
  const completion = await call(device, operation, params, wanted.call, show);
  console.log(JSON.stringify({ completion, progress }));
}
