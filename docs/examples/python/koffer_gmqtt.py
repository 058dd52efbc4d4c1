"""The same as koffer.py for asyncio, with gmqtt."""

import asyncio
import json

import gmqtt
from gmqtt.mqtt.handler import MQTTConnectError

from koffer import GATEWAY, HOST, PASSWORD, PORT, USER, NoAnswer, Refused


async def call(device, operation, params, call_id, on_progress=print, expiry=180):
    """Makes one call and returns its completion."""
    reply = f"koffer/1/{GATEWAY}/reply/{USER}/koffer-gmqtt"
    answered = asyncio.get_running_loop().create_future()

    def on_connect(client, _flags, _code, _properties):
        client.subscribe(reply + "/#", qos=1)

    def on_subscribe(client, _mid, codes, _properties):
        if codes[0] >= 128:
            answered.set_exception(Refused(f"not subscribed: {codes[0]}"))
            return
        # gmqtt connects again by itself, and comes here again. The call is then made again under
        # the same call id, which is what it takes: it is not done twice.
        # gmqtt does not say that a broker refused the message; no answer comes then.
        client.publish(
            f"koffer/1/{GATEWAY}/call/{USER}/{device}/{operation}", params, qos=1,
            response_topic=reply, correlation_data=call_id.encode(),
            message_expiry_interval=expiry, content_type="application/json",
        )

    def on_message(_client, topic, payload, _qos, properties):
        if properties.get("correlation_data") != [call_id.encode()]:
            return
        if topic != reply:
            on_progress(json.loads(payload))
        elif not answered.done():
            answered.set_result(json.loads(payload))

    client = gmqtt.Client(client_id=None)
    client.set_auth_credentials(USER, PASSWORD)
    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_message = on_message
    try:
        await client.connect(HOST, int(PORT), keepalive=15)
        return await asyncio.wait_for(answered, expiry + 60)
    except MQTTConnectError as why:
        raise Refused(f"not connected: {why}") from None
    except (OSError, TimeoutError) as why:
        raise NoAnswer(f"no answer: {why!r}") from None
    finally:
        await client.disconnect()
