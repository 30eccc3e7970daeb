"""A card reader on a serial line that reads by itself and tells each tap in one line of ASCII.

    410200|A12345678|410200D15600000500152947B297502C|11010519491231002X|psam
    !card pulled away

A tap is area, card number, identification code (hex) and, where the reader knows them, the ID number and how the card
proved to be genuine (`none`, `psam` or `hsm`; nothing means none). A line that begins with `!` is a tap that gave
nothing, with the reader's own words; it may name the kind of fault first, as in `!two_cards` (see CardTrouble).
Lines end as a scanner's do.
"""

from __future__ import annotations

from pathlib import Path

from hardware.card_reader import CardAuth, CardFault, CardRead, card_of, fault_of
from hardware.serial_scanner import DEFAULT_BAUD, SerialScanner

FEWEST_FIELDS, MOST_FIELDS = 3, 5
MAX_WORDS_CHARS = 120  # of the reader's own words that are handed on

NO_CARD_LINE = "the reader sent a line that is no card: look at its settings (area|number|identification|…)"


class SerialCardReader:
    """The taps of a reader at `path`; opened for this process alone and again after it was away."""

    def __init__(self, path: Path, baud: int = DEFAULT_BAUD) -> None:
        self._lines = SerialScanner(path, baud, called="card reader")

    @property
    def fault(self) -> str | None:
        return self._lines.fault

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap, waiting as a scanner does."""
        line = self._lines.next_line(timeout_s)
        return None if line is None else tap_of(line)

    def close(self) -> None:
        self._lines.close()


def tap_of(line: str) -> CardRead | CardFault:
    """What one line says (pure)."""
    if line.startswith("!"):
        return fault_of(line[1:].strip()[:MAX_WORDS_CHARS])
    fields = line.split("|")
    if not FEWEST_FIELDS <= len(fields) <= MOST_FIELDS:
        return CardFault(NO_CARD_LINE)
    area, number, identification, id_number, auth = (*fields, "", "")[:MOST_FIELDS]
    proof = auth.strip().lower() or CardAuth.NONE
    if proof not in list(CardAuth):
        return CardFault(NO_CARD_LINE)
    return card_of(area, number, identification, id_number, CardAuth(proof))
