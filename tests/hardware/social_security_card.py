"""A social-security card for tests: answers commands byte by byte as facts.md says, with the habits of many makers."""

from __future__ import annotations

from dataclasses import dataclass, field

AREA, NUMBER, ID_NUMBER = "410200", "A12345678", "11010519491231002X"
IDENTIFICATION = "410200D15600000500152947B297502C"
DONE, NO_FILE, NO_RECORD, SECURITY = "9000", "6A82", "6A83", "6982"
WRONG_PLACE, NOT_SELECTED, UNKNOWN = "6B00", "6985", "6D00"


def record(tag: int, value: bytes) -> bytes:
    """Tag, length, value."""
    return bytes([tag, len(value)]) + value


def files(number: bytes = b"A12345678", id_number: bytes = ID_NUMBER.encode()) -> dict[int, list[bytes]]:
    """The records of a card, in the order of their positions."""
    return {
        0xEF05: [
            record(0x01, bytes.fromhex(IDENTIFICATION)),
            record(0x02, b"3"),
            record(0x03, b"3.00"),
            record(0x04, bytes(12)),
            record(0x05, bytes.fromhex("20240126")),
            record(0x06, bytes.fromhex("20340126")),
            record(0x07, number),
        ],
        0xEF06: [record(0x08, id_number), record(0x09, "李小花".encode("gbk").ljust(30, b"\0"))],
    }


@dataclass
class SocialSecurityCard:
    """One card. `heard` is every command it was sent, in hex."""

    version: int = 2
    content: dict[int, list[bytes]] = field(default_factory=files)
    by_short_file: bool = True
    by_tag: bool = True
    select_how: int = 0x02  # the first parameter that it wants of a file's selection
    exact_length: bool = False  # else it takes any length
    fetches: bool = False  # 61xx, as a contact card does
    heard: list[str] = field(default_factory=list)
    _file: int | None = None
    _open: bool = False
    _ready: bytes = b""

    def reset(self) -> None:
        """The card is powered anew."""
        self._file, self._open, self._ready = None, False, b""

    def answer(self, command: bytes) -> bytes:
        """The response to one command, status last."""
        self.heard.append(command.hex().upper())
        data, status = self._answer(command)
        if status == DONE and data and self.fetches and command[1] != 0xC0:
            self._ready = data
            return bytes([0x61, len(data)])
        return data + bytes.fromhex(status)

    def _answer(self, command: bytes) -> tuple[bytes, str]:
        _, instruction, first, second = command[:4]
        if instruction == 0xA4 and first == 4:
            self._open = command[5:] == bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")
            return (bytes.fromhex("6F00"), DONE) if self._open else (b"", NO_FILE)
        if not self._open:
            return b"", NOT_SELECTED
        if instruction == 0xA4:
            return b"", self._select(first, int.from_bytes(command[5:], "big"))
        if instruction == 0xB2:
            return self._record(first, second, command[4])
        if instruction == 0xC0:
            return self._ready[: command[4]], DONE
        return b"", UNKNOWN

    def _select(self, how: int, file: int) -> str:
        if how != self.select_how:
            return "6A86"
        self._file = file if file in self.content else None
        return DONE if self._file else NO_FILE

    def _record(self, first: int, second: int, length: int) -> tuple[bytes, str]:
        named = second >> 3
        if named and not self.by_short_file:
            return b"", WRONG_PLACE
        file = 0xEF00 | named if named else self._file
        if file is None or file not in self.content:
            return b"", NO_FILE
        if file == 0xEF06 and self.version >= 3:
            return b"", SECURITY
        if second & 7 == 4:
            found = self.content[file][first - 1 : first]
        elif self.by_tag:
            found = [one for one in self.content[file] if one[0] == first]
        else:
            return b"", WRONG_PLACE
        if not found:
            return b"", NO_RECORD
        if self.exact_length and length != len(found[0]):
            return b"", f"6C{len(found[0]):02X}"
        return found[0], DONE
