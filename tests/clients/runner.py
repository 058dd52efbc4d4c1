"""Makes the calls on standard input, one line of JSON each, with the module of docs/examples/python
that is named, and writes one line for each: its completion and its progress."""

import asyncio
import importlib
import inspect
import json
import sys

call = importlib.import_module(sys.argv[1]).call

for line in sys.stdin:
    wanted = json.loads(line)
    progress = []
    answer = call(
        wanted["device"], wanted["operation"], wanted["params"], wanted["call"], progress.append
    )
    if inspect.isawaitable(answer):
        answer = asyncio.run(answer)
    print(json.dumps({"completion": answer, "progress": progress}), flush=True)
