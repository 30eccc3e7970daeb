"""The card reader on a serial line: its lines, and a line that is pulled."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardware.card_reader import ONE_CARD_ONLY, CardAuth, CardFault, CardRead, CardTrouble
from hardware.pty_scanner import PtyScanner
from hardware.serial_card_reader import MAX_WORDS_CHARS, NO_CARD_LINE, SerialCardReader, tap_of
from tests.hardware.social_security_card import AREA, ID_NUMBER, IDENTIFICATION, NUMBER
from tests.waiting import until

WAIT_S = 5.0
SHORT = f"{AREA}|{NUMBER}|{IDENTIFICATION}"
PLAIN = CardRead(AREA, NUMBER, IDENTIFICATION)


@pytest.mark.parametrize(
    ("line", "tap"),
    [
        (SHORT, PLAIN),
        (SHORT + "|", PLAIN),
        (SHORT + "||", PLAIN),
        (SHORT + "||none", PLAIN),
        (SHORT.lower(), PLAIN),
        (f" {AREA} | {NUMBER} | {IDENTIFICATION} ", PLAIN),
        (f"{AREA}||{IDENTIFICATION}", CardRead(AREA, "", IDENTIFICATION)),
        (f"{SHORT}|{ID_NUMBER}", CardRead(AREA, NUMBER, IDENTIFICATION, ID_NUMBER)),
        (f"{SHORT}|{ID_NUMBER.lower()}|psam", CardRead(AREA, NUMBER, IDENTIFICATION, ID_NUMBER, CardAuth.PSAM)),
        (f"{SHORT}||HSM", CardRead(AREA, NUMBER, IDENTIFICATION, None, CardAuth.HSM)),
        ("!card pulled away", CardFault("card pulled away")),
        ("!two_cards", ONE_CARD_ONLY),
        ("!pulled 卡片过早移开 too early", CardFault("卡片过早移开 too early", CardTrouble.PULLED)),
        ("!" + "x" * 999, CardFault("x" * MAX_WORDS_CHARS)),
        ("!", CardFault("the card could not be read: tap it again")),
        ("GATE:ABC", CardFault(NO_CARD_LINE)),
        (f"{SHORT}|{ID_NUMBER}|psam|more", CardFault(NO_CARD_LINE)),
        (f"{SHORT}||proven", CardFault(NO_CARD_LINE)),
    ],
)
def test_a_line(line: str, tap: CardRead | CardFault) -> None:
    assert tap_of(line) == tap


@pytest.mark.parametrize(
    "line", [SHORT.replace(AREA, "41"), "||", f"{AREA}|{NUMBER}|zz", f"{AREA}|a b|{IDENTIFICATION}"]
)
def test_what_no_card_has(line: str) -> None:
    tap = tap_of(line)
    assert isinstance(tap, CardFault)
    assert "no card has" in tap.sentence


def test_a_reader_that_is_unplugged_mid_line_and_comes_back(tmp_path: Path) -> None:
    name = tmp_path / "card-reader"
    far_end = PtyScanner(link=name)
    reader = SerialCardReader(name)
    far_end.send(SHORT[:20].encode())
    assert reader.next_read(0) is None
    far_end.close()
    until(lambda: (reader.next_read(0), reader.fault)[1], what="the loss is noticed")
    assert str(reader.fault).startswith(f"card reader {name} is not there: plug it in")
    again = PtyScanner(link=name)
    until(lambda: reader.next_read(0) is None and reader.fault is None, what="it is found again")
    again.type(SHORT)
    assert reader.next_read(WAIT_S) == PLAIN
    reader.close()
    assert "closed" in str(reader.fault)
    again.close()
