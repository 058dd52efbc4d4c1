// Takes a payment: node pay.mjs CENTS REFERENCE
//
// Run it again with the same words after whatever happened: the customer pays once.

import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { call, NoAnswer, Refused } from "./koffer.mjs";

const [cents, reference] = [Number(process.argv[2]), process.argv[3]];
// Whole cents: with 37.80 as a floating-point number sums do not come out.
const params = { amount: { cents, currency: "EUR" }, reference };
const path = `payment-${reference}.json`; // your application has a database for this

/** Keeps what is known of the payment, so that it is there after a power cut too. */
function keep(payment) {
  const file = fs.openSync(`${path}.new`, "w");
  fs.writeSync(file, JSON.stringify(payment));
  fs.fsyncSync(file);
  fs.closeSync(file);
  fs.renameSync(`${path}.new`, path);
}

let payment;
if (fs.existsSync(path)) {
  payment = JSON.parse(fs.readFileSync(path));
  if (JSON.stringify(payment.params) !== JSON.stringify(params)) {
    console.error(`${path} is about another amount: take another reference`);
    process.exit(2);
  }
} else {
  // The call id is kept before anything is sent. It is what the gateway knows the payment by:
  // who has lost it cannot ask what became of the money.
  payment = { call: randomUUID(), params };
  keep(payment);
}

while (!payment.completion) {
  try {
    const show = (event) => console.log(event.text ?? event.event);
    payment.completion = await call("ec-terminal", "pay", params, payment.call, show);
  } catch (why) {
    if (why instanceof Refused) {
      // An attempt before this one may have been booked, so the call id stays in the file.
      console.error(`NOT KNOWN: ${why.message}; check user and password, then ask again`);
      process.exit(2);
    }
    if (!(why instanceof NoAnswer)) throw why;
    // It may have been booked. Under the same call id it is not booked again: the call joins the
    // one that runs, or gets the answer that is already there.
    console.log(`${why.message}; asking again`);
    await pause(2000);
  }
}

// `effect` tells what became of the money, whatever the status is; of `ok` it is "done".
const { status, result, message, ...rest } = payment.completion;
const effect = status === "ok" ? "done" : rest.effect;
if (effect === "done") {
  keep(payment);
  console.log(`PAID, receipt ${result?.receipt}`);
} else if (effect === "none") {
  // Nothing was booked. Trying again is a new payment with a new call id.
  fs.rmSync(path);
  console.error(`NOT PAID: ${message}`);
  process.exitCode = 1;
} else {
  // The call id stays in the file: ask again later, and never under a new one. Meanwhile a person
  // looks at the terminal and tells the gateway (gateway/resolve).
  console.error(`NOT KNOWN: ${message}`);
  process.exitCode = 3;
}
