"""Lists of people imported from a file 名单: who may buy a pass, or buys it for less. Kept as keyed indexes alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.catalog.tables import listed_person, person_list
from sync_server.centre import Centre
from sync_server.crypto import Secrets
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.id_numbers import flaw_of, person_index

MAX_PERSONS = 500_000
MAX_LINE_CHARACTERS = 200
MAX_NAMED = 20
"""Wrong lines that are told one by one."""
MAX_LIST_NAME = 50
HEADINGS = ("证件号", "证件号码", "身份证号", "身份证号码", "id_number")


@dataclass(frozen=True)
class Imported:
    """So many people are on the list now; lines that named one of them again were passed over."""

    persons: int
    repeated: int


@dataclass(frozen=True)
class WrongLines:
    """Nothing was imported: the number of wrong lines, and the first of them with what is wrong."""

    count: int
    first: tuple[tuple[int, str], ...]


def import_list(
    centre: Centre, connection: Connection, name: str, lines: Iterable[str], actor: str
) -> Imported | WrongLines:
    """Make a list of the ID numbers in the first column of a CSV file, all or nothing; one of that name is replaced."""
    if not 0 < len(name) <= MAX_LIST_NAME or not name.isprintable():
        raise NotAllowedError(f"the name of a list has 1 to {MAX_LIST_NAME} printable characters")
    read = _read(centre.secrets, lines)
    if isinstance(read, WrongLines):
        return read
    persons, repeated = read
    if not persons:
        raise NotAllowedError("the file names nobody")
    list_id = _emptied(connection, name, len(persons), centre.now_ms())
    rows = [{"list_id": list_id, "person_index": index} for index in sorted(persons)]
    insert_missing(connection, listed_person, rows)
    record(connection, centre.now_ms(), actor, "person_list.import", f"person_list:{name}", {"persons": len(persons)})
    return Imported(len(persons), repeated)


def list_named(connection: Connection, name: str) -> UUID:
    """The id of a list."""
    found: UUID | None = connection.scalar(sa.select(person_list.c.id).where(person_list.c.name == name))
    if found is None:
        raise NotFoundError(f"there is no list of people named {name!r}: import it first")
    return found


def is_listed(connection: Connection, list_id: UUID, person: bytes) -> bool:
    """Whether the person of this index is on the list."""
    mine = sa.and_(listed_person.c.list_id == list_id, listed_person.c.person_index == person)
    return connection.scalar(sa.select(sa.literal(1)).where(sa.exists().where(mine))) is not None


def _read(secrets: Secrets, lines: Iterable[str]) -> tuple[set[bytes], int] | WrongLines:
    """The indexes of the people named, and how many lines named one again. Empty lines and a heading say nothing."""
    persons: set[bytes] = set()
    wrong: list[tuple[int, str]] = []
    said = wrong_lines = 0
    for number, line in enumerate(lines, 1):
        if number > MAX_PERSONS + 1:
            raise NotAllowedError(f"a list has at most {MAX_PERSONS} people")
        text = line.lstrip("\ufeff").strip()
        if len(text) > MAX_LINE_CHARACTERS:
            flaw: str | None = f"has more than {MAX_LINE_CHARACTERS} characters"
        else:
            cell = "".join(next(csv.reader([text]), [])[:1]).strip()
            if not cell or (number == 1 and cell.lower() in HEADINGS):
                continue
            flaw = flaw_of(cell)
        if flaw is None:
            said += 1
            persons.add(person_index(secrets, cell))
            continue
        wrong_lines += 1
        if len(wrong) < MAX_NAMED:
            wrong.append((number, flaw))
    return WrongLines(wrong_lines, tuple(wrong)) if wrong else (persons, said - len(persons))


def _emptied(connection: Connection, name: str, persons: int, now_ms: int) -> UUID:
    """The list of this name with nobody on it yet."""
    row = {"id": new_id(now_ms), "name": name, "persons": persons, "imported_at_ms": now_ms}
    insert_missing(connection, person_list, [row])
    mine = person_list.c.name == name
    connection.execute(person_list.update().where(mine).values(persons=persons, imported_at_ms=now_ms))
    list_id = list_named(connection, name)
    connection.execute(listed_person.delete().where(listed_person.c.list_id == list_id))
    return list_id
