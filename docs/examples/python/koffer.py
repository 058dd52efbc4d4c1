"""Calls a device of a koffer gateway, with paho-mqtt 2. The rules are in docs/contract.md."""

import json
import os
import queue
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = os.environ.get("KOFFER_BROKER", "127.0.0.1:1883").split(":")
GATEWAY = os.environ.get("KOFFER_GATEWAY", "case-7")
USER = os.environ.get("KOFFER_USER", "ws-1")
PASSWORD = open(os.environ["KOFFER_PASSWORD_FILE"]).read().strip()


class NoAnswer(Exception):
    """Nobody knows yet whether the call happened: ask again under the same call id."""


class Refused(Exception):
    """The broker let us not in, or not call: this attempt has not reached the gateway."""


def call(device, operation, params, call_id, on_progress=print, expiry=180):
    """Makes one call and returns its completion. `call_id`: 1 to 64 characters, new for each
    payment, and the same again whenever this payment is asked for again."""
    reply = f"koffer/1/{GATEWAY}/reply/{USER}/koffer-py"
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = reply
    properties.CorrelationData = call_id.encode()
    properties.MessageExpiryInterval = expiry
    properties.ContentType = "application/json"

    events = queue.Queue()
    # No client id of our own: a second program with the same one would throw us out.
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(USER, PASSWORD)
    client.on_connect = lambda _c, _u, _flags, code, _p: events.put(("connected", code))
    client.on_subscribe = lambda _c, _u, _mid, codes, _p: events.put(("subscribed", codes[0]))
    client.on_publish = lambda _c, _u, _mid, code, _p: events.put(("published", code))
    client.on_disconnect = lambda _c, _u, _flags, code, _p: events.put(("lost", code))
    client.on_message = lambda _c, _u, message: events.put(("message", message))
    # A call lasts as long as the customer takes, and the gateway may take another minute to find
    # out what became of it.
    deadline = time.monotonic() + expiry + 60
    try:
        # The broker is asked every 15 s whether it is still there; a dead line shows by that.
        client.connect(HOST, int(PORT), keepalive=15)
        client.loop_start()
        while True:
            what, value = events.get(timeout=max(0, deadline - time.monotonic()))
            if what == "lost":
                raise NoAnswer(f"the connection is gone: {value}")
            if what == "message":
                # Other calls of this workstation may have their answers here too.
                if value.properties.CorrelationData != call_id.encode():
                    continue
                if value.topic == reply:
                    return json.loads(value.payload)
                on_progress(json.loads(value.payload))
            elif value.is_failure:
                raise Refused(f"not {what}: {value}")
            elif what == "connected":
                # Before the call: nobody keeps an answer for who listens later.
                client.subscribe(reply + "/#", qos=1)
            elif what == "subscribed":
                topic = f"koffer/1/{GATEWAY}/call/{USER}/{device}/{operation}"
                client.publish(topic, json.dumps(params), qos=1, properties=properties)
    except (OSError, queue.Empty) as why:
        raise NoAnswer(f"no answer: {why!r}") from None
    finally:
        client.disconnect()
        client.loop_stop()
