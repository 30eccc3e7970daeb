"""ID numbers of people who do not exist, with good check digits."""

from __future__ import annotations

from stdnum.cn import ric

from sync_server.orders.holders import Holder

KAIFENG = "410203"
BEIJING = "110105"


def id_number(area: str = KAIFENG, born: str = "19800101", nth: int = 1) -> str:
    """The number of the nth person of a district born on a day."""
    body = f"{area}{born}{nth:03d}"
    return body + ric.calc_check_digit(body + "0")


def traveller(nth: int, area: str = KAIFENG, born: str = "19800101") -> Holder:
    """Somebody who may hold a pass."""
    return Holder(f"游客{nth}", id_number(area, born, nth), f"138{nth:08d}")
