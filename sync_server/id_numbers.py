"""What the number of a resident identity card 身份证 tells of its holder, and the index a person is found by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from sync_server.crypto import Secrets, blind_index
from wire.credential import normal_id_number

MAX_ID_NUMBER = 24
RESIDENT_ID = re.compile(r"[0-9]{17}[0-9X]")
AREA = re.compile(r"[1-8][0-9](?:[0-9]{2}){0,2}")
"""A province, a city or a district of GB/T 2260: the first two, four or six digits of its people's numbers."""


def flaw_of(number: str) -> str | None:
    """What is wrong with a document's number, in words, or None. Only resident ID numbers have a check digit."""
    plain = normal_id_number(number)
    if not 0 < len(plain) <= MAX_ID_NUMBER or not plain.isalnum():
        return f"the holder's ID number must have 1 to {MAX_ID_NUMBER} letters and digits"
    if RESIDENT_ID.fullmatch(plain) and not _is_resident(plain):
        return "the holder's ID number is not valid: birth date or check digit is wrong"
    return None


def is_of_area(number: str, areas: Iterable[str]) -> bool:
    """Whether a resident ID number was given out in one of these areas; other documents name none."""
    plain = normal_id_number(number)
    return RESIDENT_ID.fullmatch(plain) is not None and plain.startswith(tuple(areas))


def age_on(number: str, day: date) -> int | None:
    """Full years of age on a day, by the birth date in a resident ID number; other documents tell none."""
    plain = normal_id_number(number)
    if not RESIDENT_ID.fullmatch(plain):
        return None
    born = ric.get_birth_date(plain)
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def person_index(secrets: Secrets, number: str) -> bytes:
    """By which one person is found again over all orders and lists."""
    return blind_index(secrets, "id_number", normal_id_number(number))


def _is_resident(plain: str) -> bool:
    """Check digit and birth date. Not the area code: numbers were given out from 1984 on, under the codes of that day,
    to people of every age, and `ric.is_valid` refuses whoever was born before the code of the area was made."""
    try:
        ric.get_birth_date(plain)
    except ValidationError:
        return False
    return plain[-1] == ric.calc_check_digit(plain)
