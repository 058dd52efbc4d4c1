"""Power supplies in umockdev's sysfs.

Run by `umockdev-wrapper python3`. Its first line of output is the folder that stands for the
machine's root; then it obeys one JSON object per line and answers `done` to each:
    {"add": "BAT0", "files": {"type": "Battery", "capacity": "80"}}
    {"set": "BAT0", "files": {"status": "Discharging"}}
    {"remove": "BAT0"}
"""
import json
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

bed = UMockdev.Testbed.new()
supplies = {}
print(bed.get_root_dir(), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    files = order.get("files", {})
    if "add" in order:
        name = order["add"]
        flat = [part for file, text in files.items() for part in (file, text + "\n")]
        supplies[name] = bed.add_device("power_supply", name, None, flat, [])
    elif "set" in order:
        for file, text in files.items():
            bed.set_attribute(supplies[order["set"]], file, text + "\n")
    else:
        bed.remove_device(supplies.pop(order["remove"]))
    print("done", flush=True)
