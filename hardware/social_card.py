"""The social-security card as a conversation: commands out, responses in, what it told of itself at the end (pure).

Rules and numbers: design facts.md, social-security card. What a card refuses says more than the version it claims: the
ID number is asked of every card, and a third-generation one answers 6982. So four commands are enough where a card
takes records by short file identifier: select, identification code, card number, ID number. Names, dates and versions
are not asked for: no gate needs them. No command of this file can count towards locking a card: there is no VERIFY.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum

from hardware.card_reader import CardFault, CardRead, CardTrouble

APPLICATION = bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")
"""`sx1.sh.` and 社会保障 in GBK."""
MAX_COMMANDS = 24
"""Of one card. An obliging one needs 4, one that obliges in nothing 16."""
MAX_TURNS = 4
"""How often one command may be repeated or continued because the card says so."""
MAX_RESPONSE_BYTES = 258

Conversation = Generator[bytes, bytes, CardRead | CardFault]

_SELECT, _READ_RECORD, _GET_RESPONSE = 0xA4, 0xB2, 0xC0
_DONE, _DONE_EARLY = 0x9000, 0x6282  # the second: fewer bytes than asked for
_SECURITY, _WRONG_LENGTH = 0x6982, 0x6700
_LOCKED = {0x6283, 0x6A81, 0x9303}
_PADDING = b"\x00\xff "


@dataclass(frozen=True, slots=True)
class Record:
    """Where one number of the card is kept, and how long the whole record is."""

    file: int
    tag: int
    position: int
    length_bytes: int

    @property
    def short_file(self) -> int:
        """The short identifier of its file."""
        return self.file & 0x1F


IDENTIFICATION = Record(0xEF05, 0x01, 1, 2 + 16)
CARD_NUMBER = Record(0xEF05, 0x07, 7, 2 + 9)
ID_NUMBER = Record(0xEF06, 0x08, 1, 2 + 18)


class Way(Enum):
    """How a card lets its records be named: one command each, or a file selected first."""

    SHORT_FILE = "by position in a file named by its short identifier"
    TAG = "by tag in the selected file"
    POSITION = "by position in the selected file"


class Locked(Enum):
    """A record that this reader may not see."""

    LOCKED = "6982"


def converse(transmit: Callable[[bytes], bytes]) -> CardRead | CardFault:
    """Read a card through `transmit`, which sends one command and brings the response, status last."""
    conversation = read_card()
    command = next(conversation)
    for _ in range(MAX_COMMANDS):
        try:
            command = conversation.send(transmit(command))
        except StopIteration as end:
            result: CardRead | CardFault = end.value
            return result
    return _foreign(f"the card was still not read after {MAX_COMMANDS} commands: it is of an unknown kind")


def read_card() -> Conversation:
    """The whole conversation with a card that has just been powered."""
    try:
        status, _ = yield from _ask(bytes([0, _SELECT, 4, 0, len(APPLICATION)]) + APPLICATION)
        if status in _LOCKED:
            return CardFault(
                "the card is locked by who issued it: the visitor asks the social-security service", CardTrouble.LOCKED
            )
        if status != _DONE:
            return _foreign(f"this is no social-security card: it answers {status:04X} when asked to be one")
        card = _Card()
        identification = yield from card.record(IDENTIFICATION)
        number = yield from card.record(CARD_NUMBER)
        id_number = yield from card.record(ID_NUMBER)
        if not isinstance(identification, bytes):
            return _foreign("the card keeps its identification code to itself: it is of an unknown kind")
        return CardRead(
            area=_area(identification),
            number=text(number) if isinstance(number, bytes) else "",
            identification=identification.hex().upper(),
            id_number=(text(id_number) or None) if isinstance(id_number, bytes) else None,
        )
    except _Unreadable as reason:
        return CardFault(str(reason))


def text(value: bytes) -> str:
    """What a field of the card says, without its padding; GBK is read as its superset GB 18030."""
    try:
        return value.strip(_PADDING).decode("gb18030")
    except UnicodeDecodeError as error:
        raise _Unreadable("a field of the card is no text: tap it again, or it is damaged") from error


def _foreign(sentence: str) -> CardFault:
    return CardFault(sentence, CardTrouble.FOREIGN)


class _Unreadable(Exception):
    """The card said something that cannot be; the message is the visitor's card's fault sentence."""


class _Card:
    """What this card has shown of its habits so far."""

    def __init__(self) -> None:
        self._ways = list(Way)
        self._selected: int | None = None

    def record(self, record: Record) -> Generator[bytes, bytes, bytes | Locked | None]:
        """The value of a record; None: the card has none such. What has worked once is used from then on."""
        ways = list(self._ways)
        for way in ways:
            if way is not Way.SHORT_FILE and self._selected != record.file:
                status = yield from self._select(record.file)
                if status == _SECURITY:
                    return Locked.LOCKED
                if status != _DONE:
                    return None
            status, data = yield from _ask(_read_command(record, way))
            if status == _SECURITY:
                return Locked.LOCKED
            if status not in (_DONE, _DONE_EARLY):
                continue
            if data[:1] == bytes([record.tag]):
                self._ways = [way]
                return _value(data)
            if Way.TAG not in ways:  # this card keeps its records in another order
                ways.append(Way.TAG)
        return None

    def _select(self, file: int) -> Generator[bytes, bytes, int]:
        """Select a file by its identifier, below the application or, as some cards want it, anywhere."""
        status = 0
        for how in (0x02, 0x00):
            status, _ = yield from _ask(bytes([0, _SELECT, how, 0, 2]) + file.to_bytes(2, "big"))
            if status in (_DONE, _SECURITY):
                break
        self._selected = file if status == _DONE else None
        return status


def _read_command(record: Record, way: Way) -> bytes:
    first, second = {
        Way.SHORT_FILE: (record.position, record.short_file << 3 | 4),
        Way.TAG: (record.tag, 0),
        Way.POSITION: (record.position, 4),
    }[way]
    return bytes([0, _READ_RECORD, first, second, record.length_bytes])


def _ask(command: bytes) -> Generator[bytes, bytes, tuple[int, bytes]]:
    """One command and what the card wants said after it; the last status and all the data.

    `6Cxx` is the same again with the length the card names, `61xx` fetches what is ready, `6700` asks for anything.
    """
    data = b""
    for _ in range(MAX_TURNS):
        response = yield command
        if not 2 <= len(response) <= MAX_RESPONSE_BYTES:
            raise _Unreadable(f"the card answered {len(response)} bytes: tap it again, or it is damaged")
        data += response[:-2]
        status = int.from_bytes(response[-2:], "big")
        kind, length = response[-2:]
        if kind == 0x61:
            command = bytes([0, _GET_RESPONSE, 0, 0, length])
        elif kind == 0x6C and len(command) == 5:
            command = command[:4] + bytes([length])
        elif status == _WRONG_LENGTH and len(command) == 5 and command[4]:
            command = command[:4] + b"\x00"
        else:
            return status, data
    raise _Unreadable("the card does not come to an end: tap it again, or it is of an unknown kind")


def _value(data: bytes) -> bytes:
    """The value of a record: tag, length, value."""
    if len(data) < 2 or len(data) < 2 + data[1]:
        raise _Unreadable("a record of the card is shorter than it says: tap it again, or it is damaged")
    return data[2 : 2 + data[1]]


def _area(identification: bytes) -> str:
    """The issuing area: the first six digits of the identification code."""
    area = identification[:3].hex()
    if len(area) != 6 or not area.isdecimal():
        raise _Unreadable("the card's identification code does not begin with an area: it is of an unknown kind")
    return area
