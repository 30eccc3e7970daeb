"""Phones that draw rotating codes for a pass: their keys registered, bound to it, retired (wire.md §3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.issuance.passes import find_pass, relist, token_of
from sync_server.issuance.tables import holder_key
from sync_server.issuance.versions import next_listed
from sync_server.keys.pairs import open_pass_key
from sync_server.keys.tables import signing_key
from wire import holder_proof
from wire.keyset import KeyState
from wire.presentation import bind_holder
from wire.token import unverified_claims

LIVE_KEYS = 2
"""A pass is often opened in two of the sales channels' web views, which share no storage."""
REGISTRATIONS_LIMIT = 10
REGISTRATIONS_WITHIN_MS = 30 * 86_400_000
MAX_GENERATION = 65_535
MAX_BOUND_PER_STEP = 500

_LIVE = holder_key.c.retired_at_ms.is_(None)


@dataclass(frozen=True)
class Phone:
    """A key that draws codes for a pass. `binding`: the centre's part of a full code; None until the worker signed."""

    generation: int
    public: bytes
    binding: bytes | None


def register(connection: Connection, number: str, public: bytes, now_ms: int, actor: str) -> int:
    """Let a phone draw codes for the pass with this number 票号; gives the generation of its key.

    The same key again is the same registration. One more than LIVE_KEYS retires the least recently used.
    NotAllowedError: no usable P-256 key, no holder named yet, or more than REGISTRATIONS_LIMIT in 30 days.
    """
    if not holder_proof.is_public_key(public):
        raise NotAllowedError("this is no compressed P-256 public key (33 bytes)")
    row = find_pass(connection, number)
    if row.status == "NOT_BOUND":
        raise NotAllowedError(f"the pass {row.number} has no holder yet: name one first")
    mine = holder_key.c.pass_id == row.id
    live = connection.execute(
        sa.select(holder_key).where(mine, _LIVE).order_by(holder_key.c.used_at_ms, holder_key.c.generation)
    ).all()
    for known in live:
        if known.public == public:
            touched = holder_key.update().where(mine, holder_key.c.generation == known.generation)
            connection.execute(touched.values(used_at_ms=now_ms))
            return int(known.generation)
    recent = sa.select(sa.func.count()).where(mine, holder_key.c.registered_at_ms > now_ms - REGISTRATIONS_WITHIN_MS)
    newest: int = connection.scalar(sa.select(sa.func.max(holder_key.c.generation)).where(mine)) or 0
    if (connection.scalar(recent) or 0) >= REGISTRATIONS_LIMIT or newest >= MAX_GENERATION:
        raise NotAllowedError(f"the pass {row.number} had {REGISTRATIONS_LIMIT} phones within 30 days: come back later")
    spare = live[: max(0, len(live) + 1 - LIVE_KEYS)]
    _retire(connection, row.id, [one.generation for one in spare], now_ms)
    connection.execute(
        holder_key.insert().values(
            pass_id=row.id,
            generation=newest + 1,
            public=public,
            registered_by=actor,
            registered_at_ms=now_ms,
            used_at_ms=now_ms,
        )
    )
    relist(connection, [row.id])
    detail = {"generation": newest + 1, "retired": [one.generation for one in spare]}
    record(connection, now_ms, actor, "pass.phone", f"pass:{row.number}", detail)
    return newest + 1


def retire_all(connection: Connection, number: str, reason: str, now_ms: int, actor: str) -> int:
    """The phones of a pass draw no codes any more (a lost phone 手机丢失); how many there were."""
    row = find_pass(connection, number)
    live = sa.select(holder_key.c.generation).where(holder_key.c.pass_id == row.id, _LIVE)
    generations = list(connection.scalars(live.order_by(holder_key.c.generation)))
    _retire(connection, row.id, generations, now_ms)
    relist(connection, [row.id])
    record(connection, now_ms, actor, "pass.phones_retired", f"pass:{row.number}", {"reason": reason})
    return len(generations)


def phones_of(connection: Connection, number: str) -> list[Phone]:
    """The live keys of a pass, oldest generation first."""
    row = find_pass(connection, number)
    found = sa.select(holder_key).where(holder_key.c.pass_id == row.id, _LIVE).order_by(holder_key.c.generation)
    return [Phone(one.generation, one.public, one.binding) for one in connection.execute(found)]


def bind_phones(centre: Centre) -> int:
    """Worker step: sign what a phone needs for the full form of its codes; how many were signed.

    What a key signed that is revoked is signed anew, also where the pass's own code is by another key.
    """
    revoked = sa.select(signing_key.c.id).where(signing_key.c.state == KeyState.REVOKED)
    unsigned, lost = holder_key.c.binding.is_(None), holder_key.c.bound_by.in_(revoked)
    if not any(centre.finds(sa.select(holder_key.c.pass_id).where(each, _LIVE)) for each in (unsigned, lost)):
        return 0
    with centre.write() as connection:
        key = open_pass_key(connection, centre.secrets)
        listed_by = next_listed(connection)  # a list as new as this has the key (presentation.bind_holder)
        waiting = sa.select(holder_key).where(sa.or_(unsigned, lost), _LIVE)
        due = waiting.order_by(holder_key.c.registered_at_ms).limit(MAX_BOUND_PER_STEP).with_for_update()
        rows = connection.execute(due).all()
        for row in rows:
            claims = replace(unverified_claims(token_of(connection, row.pass_id)), issued_version=listed_by)
            binding = bind_holder(claims, key.id, key.private, row.generation, row.public)
            this = sa.and_(holder_key.c.pass_id == row.pass_id, holder_key.c.generation == row.generation)
            connection.execute(holder_key.update().where(this).values(binding=binding, bound_by=key.id))
    return len(rows)


def _retire(connection: Connection, pass_id: bytes, generations: list[int], now_ms: int) -> None:
    these = sa.and_(holder_key.c.pass_id == pass_id, holder_key.c.generation.in_(generations))
    connection.execute(holder_key.update().where(these, _LIVE).values(retired_at_ms=now_ms))
