"""A scanner's own beep and lamp as a lane's indicator, for scanners that take commands on their line."""

from __future__ import annotations

from collections.abc import Mapping

from hardware.indicator import Signal
from hardware.serial_scanner import SerialScanner


class ScannerSignals:
    """Sends the scanner its command for each signal; a signal without one leaves it as it is."""

    def __init__(self, scanner: SerialScanner, commands: Mapping[Signal, bytes]) -> None:
        self._scanner = scanner
        self._commands = commands

    @property
    def fault(self) -> str | None:
        return self._scanner.deaf

    def show(self, signal: Signal) -> None:
        command = self._commands.get(signal)
        if command is not None:
            self._scanner.tell(command)

    def close(self) -> None:
        """The scanner is closed for itself."""
