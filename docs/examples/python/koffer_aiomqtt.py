"""The same as koffer.py for asyncio, with aiomqtt 2."""

import asyncio
import json

from aiomqtt import Client, MqttError, ProtocolVersion
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from koffer import GATEWAY, HOST, PASSWORD, PORT, USER, NoAnswer, Refused


async def call(device, operation, params, call_id, on_progress=print, expiry=180):
    """Makes one call and returns its completion."""
    reply = f"koffer/1/{GATEWAY}/reply/{USER}/koffer-aio"
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = reply
    properties.CorrelationData = call_id.encode()
    properties.MessageExpiryInterval = expiry
    properties.ContentType = "application/json"
    try:
        async with asyncio.timeout(expiry + 60), Client(
            HOST, int(PORT), username=USER, password=PASSWORD,
            protocol=ProtocolVersion.V5, keepalive=15,
        ) as client:
            codes = await client.subscribe(reply + "/#", qos=1)
            if codes[0].is_failure:
                raise Refused(f"not subscribed: {codes[0]}")
            topic = f"koffer/1/{GATEWAY}/call/{USER}/{device}/{operation}"
            # aiomqtt does not say that a broker refused the message; no answer comes then.
            await client.publish(topic, json.dumps(params), qos=1, properties=properties)
            async for message in client.messages:
                if message.properties.CorrelationData != call_id.encode():
                    continue
                if message.topic.value == reply:
                    return json.loads(message.payload)
                on_progress(json.loads(message.payload))
    except MqttConnectError as why:
        raise Refused(f"not connected: {why}") from None
    except (MqttError, TimeoutError) as why:
        raise NoAnswer(f"no answer: {why!r}") from None
