"""Where a device is plugged in, as the kernel tells it: the USB socket, and which product is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")
CLASSES = ("class/tty", "class/video4linux", "bus/gpio/devices")


@dataclass(frozen=True, slots=True)
class UsbPlace:
    """A socket as the kernel numbers it (`1-1.2`: bus, then port by port) and what is in it (`1a86:7523`, VID:PID)."""

    socket: str
    product: str

    def __str__(self) -> str:
        return f"{self.product} in USB socket {self.socket}"


def usb_place(device: Path, sysfs: Path = SYSFS) -> UsbPlace | None:
    """Of a device file (`/dev/ttyUSB0`, any link to it); None: it is away, or not on USB."""
    if not device.exists():
        return None
    name = device.resolve().name
    for kind in CLASSES:
        node = (sysfs / kind / name).resolve()
        for folder in (node, *node.parents):
            vendor, product = folder / "idVendor", folder / "idProduct"
            if vendor.is_file() and product.is_file():
                words = [path.read_text(encoding="ascii", errors="replace").strip() for path in (vendor, product)]
                return UsbPlace(folder.name, ":".join(words))
    return None
