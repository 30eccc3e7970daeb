"""What a person asked a list for: the arguments of the address, checked, and the dates among them in the city's zone.

Exact searches for personal data arrive by POST, are logged, and go on as a keyed index in the address: nothing there
can be read, and the list can still be paged, reloaded and come back to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from sync_server.admin.access import who
from sync_server.admin.shown import centre, zone
from sync_server.audit import log
from sync_server.crypto import blind_index

MAX_SEARCH_CHARACTERS = 100
INDEX_BYTES = 16


def asked(*names: str) -> dict[str, str]:
    """The named arguments that are there, trimmed."""
    found = {name: request.args.get(name, "").strip()[:MAX_SEARCH_CHARACTERS] for name in names}
    return {name: text for name, text in found.items() if text}


def one_of(wanted: str | None, allowed: Collection[str]) -> str | None:
    """A choice only if it is one of those offered."""
    return wanted if wanted in allowed else None


def day_span_ms(arguments: dict[str, str]) -> tuple[int | None, int | None]:
    """From the start of the day `from` to the end of the day `to`; a malformed date counts as not given."""
    return _midnight_ms(arguments.get("from"), 0), _midnight_ms(arguments.get("to"), 1)


def _midnight_ms(text: str | None, days_after: int) -> int | None:
    try:
        day = date.fromisoformat(text or "") + timedelta(days=days_after)
        return int(datetime.combine(day, time(), zone()).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def index_of(text: str | None) -> bytes | None:
    """A keyed index as the address carries it."""
    try:
        raw = bytes.fromhex(text or "")
    except ValueError:
        return None
    return raw if len(raw) == INDEX_BYTES else None


def search_by_post(endpoint: str, plain: tuple[str, ...], personal: Mapping[str, Callable[[str], str]]) -> Response:
    """Turn a posted search into an address. `personal`: kind of keyed index -> how its values are normalised.

    Each search for a person is logged: who asked, by which kinds of data; never the data.
    """
    arguments = {name: request.form.get(name, "").strip()[:MAX_SEARCH_CHARACTERS] for name in plain}
    looked_for = []
    for kind, normal in personal.items():
        if text := request.form.get(kind, "").strip()[:MAX_SEARCH_CHARACTERS]:
            arguments[kind] = blind_index(centre().secrets, kind, normal(text)).hex()
            looked_for.append(kind)
    if looked_for:
        with centre().write() as connection:
            log.record(connection, centre().now_ms(), who().actor, "person.searched", endpoint, {"by": looked_for})
    given: dict[str, Any] = {name: text for name, text in arguments.items() if text}
    return redirect(url_for(endpoint, **given))
