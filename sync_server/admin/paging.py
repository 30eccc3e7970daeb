"""Keyset paging: one page of a list, newest first, where the newer and the older page begin, and sums of a column.

No page numbers and no totals, so that page one and page ten thousand cost the same (guide.md §4). A place in a list is
the sort columns of a row, written into the address with dots between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

PAGE_ROWS = 20


@dataclass(frozen=True)
class Page:
    """`newer` and `older` are arguments for the address, one to set and one to drop; None where the list ends."""

    rows: list[Row[Any]]
    newer: dict[str, str | None] | None
    older: dict[str, str | None] | None


def keyset_page(
    connection: Connection,
    query: sa.Select[Any],
    columns: Sequence[sa.Column[Any]],
    arguments: Mapping[str, str | None],
) -> Page:
    """The rows by these columns (together unique) falling; a malformed place in the arguments is page one."""
    query = query.add_columns(*(column.label(f"place_{i}") for i, column in enumerate(columns)))
    place = sa.tuple_(*columns)
    after, before = _place(arguments.get("after"), columns), _place(arguments.get("before"), columns)
    if after is not None:  # the page just newer: walk up from there, then turn round
        query = query.where(place > after).order_by(*(column.asc() for column in columns))
    else:
        query = query.order_by(*(column.desc() for column in columns))
        if before is not None:
            query = query.where(place < before)
    rows = list(connection.execute(query.limit(PAGE_ROWS + 1)))
    more = len(rows) > PAGE_ROWS
    rows = rows[:PAGE_ROWS]
    if after is not None:
        rows.reverse()
    has_newer = more if after is not None else before is not None
    has_older = more if after is None else True
    newer: dict[str, str | None] | None = None
    older: dict[str, str | None] | None = None
    if rows and has_newer:
        newer = {"after": _written(rows[0], len(columns)), "before": None}
    if rows and has_older:
        older = {"before": _written(rows[-1], len(columns)), "after": None}
    return Page(rows, newer, older)


def whole_sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """The sum as an integer: 0 of no rows, and not PostgreSQL's decimal number."""
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)


def _place(text: str | None, columns: Sequence[sa.Column[Any]]) -> sa.Tuple | None:
    parts = (text or "").split(".")
    if len(parts) != len(columns):
        return None
    try:
        values = [_read(part, column) for part, column in zip(parts, columns, strict=True)]
    except ValueError:
        return None
    return sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(values, columns, strict=True)))


def _read(text: str, column: sa.Column[Any]) -> object:
    if isinstance(column.type, sa.Integer):
        number = int(text)
        if abs(number) >= 1 << 63:
            raise ValueError(text)
        return number
    raw = bytes.fromhex(text)
    return UUID(bytes=raw) if isinstance(column.type, sa.Uuid) else raw


def _written(row: Row[Any], columns: int) -> str:
    def one(value: Any) -> str:
        return str(value) if isinstance(value, int) else (value.bytes if isinstance(value, UUID) else value).hex()

    return ".".join(one(getattr(row, f"place_{i}")) for i in range(columns))
