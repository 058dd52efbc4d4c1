"""A machine into which things are plugged: umockdev's sysfs, /dev and udev events.

Run by `umockdev-wrapper python3`. Its first line of output is the folder that stands for the
machine's root; then it obeys one JSON object per line and answers `done` to each:
    {"plug": {"port": "1-1", "vid": "0403", "pid": "6001", "serial": null, "product": "...",
              "class": "ff", "node": "ttyUSB0", "line": "/path/of/a/pty"}}
    {"unplug": "1-1"}
Without `node` it is a USB device that no driver serves.
"""
import json
import os
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

class Real(UMockdev.IoctlBase):
    """Ioctls go to the pseudo-terminals themselves, which are real."""

    def do_handle_ioctl(self, client):
        result, error = client.execute()
        client.complete(result, error)
        return True


BUS = "/devices/pci0000:00/0000:00:14.0/usb1"
bed = UMockdev.Testbed.new()
root = bed.get_root_dir()
real = Real()
# Port -> what was added, parents first; and the address it had, as the kernel counts them.
plugged = {}
address = 1


def descriptors(thing):
    """Device, configuration, one interface, as USB 2.0 chapter 9.6 lays them out."""

    def word(text):
        return bytes.fromhex(text)[::-1]

    device = bytes([18, 1, 0, 2, 0, 0, 0, 64]) + word(thing["vid"]) + word(thing["pid"])
    device += bytes([0, 1, 0, 0, 0, 1])
    configuration = bytes([9, 2, 18, 0, 1, 1, 0, 0x80, 50])
    interface = bytes([9, 4, 0, 0, 0, int(thing["class"], 16), 0, 0, 0])
    return (device + configuration + interface).hex()


def plug(thing):
    global address
    address = address % 127 + 1
    usb = f"{BUS}/{thing['port']}"
    usb_node = f"bus/usb/001/{address:03}"
    serial = f"A: serial={thing['serial']}\\n\n" if thing.get("serial") else ""
    bed.add_from_string(
        f"P: {usb}\nN: {usb_node}\n"
        f"E: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DEVNAME=/dev/{usb_node}\n"
        f"E: BUSNUM=001\nE: DEVNUM={address:03}\n"
        f"A: idVendor={thing['vid']}\\n\nA: idProduct={thing['pid']}\\n\n{serial}"
        f"A: manufacturer=Acme\\n\nA: product={thing['product']}\\n\n"
        f"A: busnum=1\\n\nA: devnum={address}\\n\nA: speed=12\\n\nA: bConfigurationValue=1\\n\n"
        f"H: descriptors={descriptors(thing)}\n"
    )
    parts = [usb]
    bed.uevent(f"/sys{usb}", "add")
    if thing.get("node"):
        interface = f"{usb}/{thing['port']}:1.0"
        line = f"{interface}/{thing['node']}"
        tty = f"{line}/tty/{thing['node']}"
        bed.add_from_string(
            f"P: {interface}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\n"
            "A: bInterfaceNumber=00\\n\n"
        )
        bed.add_from_string(f"P: {line}\nE: SUBSYSTEM=usb-serial\n")
        node = f"{root}/dev/{thing['node']}"
        os.makedirs(os.path.dirname(node), exist_ok=True)
        os.symlink(thing["line"], node)
        bed.attach_ioctl(f"/dev/{thing['node']}", real)
        bed.add_from_string(f"P: {tty}\nE: SUBSYSTEM=tty\nE: DEVNAME=/dev/{thing['node']}\n")
        parts += [interface, line, tty]
        bed.uevent(f"/sys{tty}", "add")
    plugged[thing["port"]] = (parts, [usb_node] + ([thing["node"]] if thing.get("node") else []))


def unplug(port):
    parts, nodes = plugged.pop(port)
    for node in reversed(nodes):
        if node.startswith("tty"):
            bed.detach_ioctl(f"/dev/{node}")
        os.unlink(f"{root}/dev/{node}")
    for part in reversed(parts):
        # Only what somebody listens to: devices and lines.
        if part == parts[0] or "/tty/" in part:
            bed.uevent(f"/sys{part}", "remove")
        bed.remove_device(f"/sys{part}")


print(root, flush=True)
for command in sys.stdin:
    command = json.loads(command)
    if "plug" in command:
        plug(command["plug"])
    else:
        unplug(command["unplug"])
    print("done", flush=True)
