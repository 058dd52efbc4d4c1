// Calls a device of a koffer gateway, with MQTT.js 5. The rules are in docs/contract.md.

import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const { KOFFER_BROKER, KOFFER_GATEWAY, KOFFER_USER, KOFFER_PASSWORD_FILE } = process.env;
// mqtt://host:port, or ws://host:port/mqtt for MQTT over WebSocket, as browsers have it.
const broker = (KOFFER_BROKER ?? "127.0.0.1:1883").replace(/^(?!\w+:\/\/)/, "mqtt://");
const gateway = KOFFER_GATEWAY ?? "case-7";
const user = KOFFER_USER ?? "ws-1";
const password = readFileSync(KOFFER_PASSWORD_FILE, "utf8").trim();

/** Nobody knows yet whether the call happened: ask again under the same call id. */
export class NoAnswer extends Error {}

/** The broker let us not in, or not call: this attempt has not reached the gateway. */
export class Refused extends Error {}

/**
 * Makes one call and resolves with its completion. `callId`: 1 to 64 characters, new for each
 * payment, and the same again whenever this payment is asked for again.
 */
export function call(device, operation, params, callId, onProgress = console.log, expiry = 180) {
  const reply = `koffer/1/${gateway}/reply/${user}/koffer-js`;
  return new Promise((resolve, reject) => {
    // No client id of our own: a second program with the same one would throw us out.
    const client = mqtt.connect(broker, {
      protocolVersion: 5,
      username: user,
      password,
      // The broker is asked every 15 s whether it is still there; a dead line shows by that.
      keepalive: 15,
      // Who calls decides when to try again, with the same call id and a new deadline.
      reconnectPeriod: 0,
    });
    const end = (settle, value) => {
      clearTimeout(timer);
      client.end(true);
      settle(value);
    };
    // Only what a broker refused has a number.
    const fail = ({ code, message }) =>
      end(reject, typeof code === "number" ? new Refused(message) : new NoAnswer(message));
    // A call lasts as long as the customer takes, and the gateway may take another minute to find
    // out what became of it.
    const timer = setTimeout(fail, (expiry + 60) * 1000, { message: "no answer in time" });

    client.on("close", () => fail({ message: "the connection is gone" }));
    client.on("error", fail);
    client.on("message", (topic, payload, { properties }) => {
      // Other calls of this workstation may have their answers here too.
      if (properties?.correlationData?.toString() !== callId) return;
      const message = JSON.parse(payload);
      if (topic === reply) end(resolve, message);
      else onProgress(message);
    });
    client.on("connect", () => {
      // Before the call: nobody keeps an answer for who listens later.
      client.subscribe(`${reply}/#`, { qos: 1 }, (why) => {
        if (why) return fail(why);
        const topic = `koffer/1/${gateway}/call/${user}/${device}/${operation}`;
        const properties = {
          responseTopic: reply,
          correlationData: Buffer.from(callId),
          messageExpiryInterval: expiry,
          contentType: "application/json",
        };
        client.publish(topic, JSON.stringify(params), { qos: 1, properties }, (why) => {
          if (why) fail(why);
        });
      });
    });
  });
}
