"""Takes a payment: python pay.py CENTS REFERENCE

Run it again with the same words after whatever happened: the customer pays once.
"""

import json
import os
import sys
import time
import uuid

from koffer import NoAnswer, Refused, call

cents, reference = int(sys.argv[1]), sys.argv[2]
# Whole cents: with 37.80 as a floating-point number sums do not come out.
params = {"amount": {"cents": cents, "currency": "EUR"}, "reference": reference}
path = f"payment-{reference}.json"  # your application has a database for this


def keep(payment):
    """Keeps what is known of the payment, so that it is there after a power cut too."""
    with open(path + ".new", "w") as file:
        json.dump(payment, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


if os.path.exists(path):
    with open(path) as file:
        payment = json.load(file)
    if payment["params"] != params:
        print(f"{path} is about another amount: take another reference", file=sys.stderr)
        sys.exit(2)
else:
    # The call id is kept before anything is sent. It is what the gateway knows the payment by:
    # who has lost it cannot ask what became of the money.
    payment = {"call": str(uuid.uuid4()), "params": params}
    keep(payment)

while "completion" not in payment:
    try:
        payment["completion"] = call(
            "ec-terminal", "pay", params, payment["call"],
            lambda event: print(event.get("text", event["event"]), flush=True),
        )
    except NoAnswer as why:
        # It may have been booked. Under the same call id it is not booked again: the call joins
        # the one that runs, or gets the answer that is already there.
        print(f"{why}; asking again", flush=True)
        time.sleep(2)
    except Refused as why:
        # An attempt before this one may have been booked, so the call id stays in the file.
        print(f"NOT KNOWN: {why}; check user and password, then ask again", file=sys.stderr)
        sys.exit(2)

# `effect` tells what became of the money, whatever the status is; of `ok` it is "done".
completion = payment["completion"]
effect = "done" if completion["status"] == "ok" else completion["effect"]
if effect == "done":
    keep(payment)
    print(f"PAID, receipt {completion.get('result', {}).get('receipt')}")
elif effect == "none":
    # Nothing was booked. Trying again is a new payment with a new call id.
    os.remove(path)
    sys.exit(f"NOT PAID: {completion['message']}")
else:
    # The call id stays in the file: ask again later, and never under a new one. Meanwhile a
    # person looks at the terminal and tells the gateway (gateway/resolve).
    print(f"NOT KNOWN: {completion['message']}", file=sys.stderr)
    sys.exit(3)
