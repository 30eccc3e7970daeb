"""How a pass stands at one venue at this moment, all of it by one statement, for the on-line check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.gates.registry import Device
from sync_server.gates.tables import incarnation
from sync_server.issuance.credentials import credential_hash, index_of, open_credential
from sync_server.issuance.tables import credential, entitlement, holder_key, issued_pass, pass_token
from sync_server.orders.tables import holder, item_claim, refund_hold
from sync_server.redemptions.deciding import OnItem, Standing
from sync_server.redemptions.rulebook import VenueRules
from sync_server.redemptions.shown import Phone, Shown
from sync_server.redemptions.tables import ON_AN_ITEM, entry, is_given_back, redeem_answer, redemption
from sync_server.redemptions.uses import NO_USE
from wire.entitlement import PassStatus, Right, Uses
from wire.messages import EntryKind, Presentation
from wire.redeem import ShownCard

EXIT = "exit"
"""The reason of the event by which a gate says that a pass left."""
STILL_INSIDE = ("exit_annulled", "exit_unresolved")
"""After one of these no exit before it counts: whoever is not known to have left is inside (docs/journal.md)."""


@dataclass(frozen=True)
class Found:
    """The end of the journal, the answer this request was given before, and the passes that were meant.

    Several passes only where a person's card opens several.
    """

    head: bytes | None
    answer: bytes | None
    answered_digest: bytes | None
    passes: tuple[Standing, ...]


def meant(centre: Centre, shown: Shown) -> dict[str, object]:
    """What finds the pass of a presentation: the parameters of `is_meant` and of the statement here."""
    if shown.card is None:
        return {"pass_id": shown.pass_id}
    index = index_of(centre.secrets, shown.card.kind, shown.card.number, shown.card.area)
    return {"card_kind": shown.card.kind.name, "card_index": index}


def is_meant(by_card: bool) -> sa.ColumnElement[bool]:
    """The condition on table `pass`."""
    if not by_card:
        return issued_pass.c.id == bindparam("pass_id")
    return issued_pass.c.id.in_(sa.select(credential.c.pass_id).where(_is_card()))


def find(
    connection: Connection,
    centre: Centre,
    device: Device,
    journal: tuple[bytes, int],
    request_id: bytes,
    shown: Shown,
    rules: VenueRules,
    now_ms: int,
) -> Found:
    """Everything the tables say; `journal` is the device's incarnation and its last entry so far."""
    day_ms, month_ms, year_ms = _began_ms(now_ms, rules.zone)
    parameters = {
        "device_id": device.id,
        "incarnation": journal[0],
        "head_seq": journal[1],
        "request_id": request_id,
        "venue_id": device.venue_id,
        "evidence": shown.evidence,
        "shown_step": None if shown.rotating is None else shown.rotating.step,
        "day_ms": day_ms,
        "month_ms": month_ms,
        "year_ms": year_ms,
        **meant(centre, shown),
    }
    rows = connection.execute(_statement(shown.how, rules.asks_who_left), parameters).all()
    by_pass: dict[bytes, list[sa.Row[Any]]] = {}
    for row in rows:
        if row.id is not None:
            by_pass.setdefault(row.id, []).append(row)
    passes = tuple(_standing(centre, found, shown, rules, now_ms, day_ms) for found in by_pass.values())
    return Found(rows[0].head, rows[0].answer, rows[0].request_digest, passes)


def _began_ms(now_ms: int, zone: ZoneInfo) -> tuple[int, int, int]:
    """When the venue's day, month and year began."""
    day = datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    began = day, month, month.replace(month=1)
    return tuple(round(at.timestamp() * 1000) for at in began)  # type: ignore[return-value]


def _is_card() -> sa.ColumnElement[bool]:
    return sa.and_(
        credential.c.kind == bindparam("card_kind"),
        credential.c.value_index == bindparam("card_index"),
        credential.c.removed_at_ms.is_(None),
    )


@lru_cache
def _statement(how: Presentation, asks_who_left: bool) -> sa.Select[Any]:
    """Begins with the journal, so that there is always a row; a pass with several phones gives several."""
    by_card = how is Presentation.CARD
    request, of_request = _request()
    passes, of_pass = _passes_meant(request, by_card)
    shown, of_shown = _what_was_shown(passes, how)
    left = [_last_exit().label("left_ms")] if asks_who_left else []
    mine = sa.and_(
        incarnation.c.device_id == bindparam("device_id"), incarnation.c.incarnation == bindparam("incarnation")
    )
    query = sa.select(*of_request, *of_pass, *of_shown, *left).select_from(shown)
    return query.where(mine).order_by(issued_pass.c.id)


Part = tuple[sa.Join, list[sa.ColumnElement[Any]]]
"""The tables joined so far, and the columns that the last of them give."""


def _request() -> Part:
    """The caller's journal, the entry at its end, and what this request was answered before."""
    head = entry.alias("head")
    its_journal = sa.and_(*(head.c[name] == incarnation.c[name] for name in ("device_id", "incarnation")))
    its_head = sa.and_(its_journal, head.c.seq == bindparam("head_seq"))
    answered = sa.and_(
        redeem_answer.c.device_id == incarnation.c.device_id, redeem_answer.c.request_id == bindparam("request_id")
    )
    joined = incarnation.outerjoin(head, its_head).outerjoin(redeem_answer, answered)
    return joined, [head.c.hash.label("head"), redeem_answer.c.body.label("answer"), redeem_answer.c.request_digest]


def _passes_meant(joined: sa.Join, by_card: bool) -> Part:
    """Each pass with what it opens here, whom it belongs to, and how often it was used here."""
    here = sa.and_(entitlement.c.pass_id == issued_pass.c.id, entitlement.c.venue_id == bindparam("venue_id"))
    used = _used(by_card).subquery("used")
    joined = (
        joined.outerjoin(issued_pass, is_meant(by_card))
        .outerjoin(product, product.c.id == issued_pass.c.product_id)
        .outerjoin(entitlement, here)
        .outerjoin(item_claim, item_claim.c.item_id == entitlement.c.item_id)
        .outerjoin(refund_hold, refund_hold.c.item_id == entitlement.c.item_id)
        .outerjoin(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
        .outerjoin(used, used.c.pass_id == issued_pass.c.id)
    )
    return joined, [
        *(issued_pass.c[name] for name in ("id", "ticket_id", "status", "not_before", "not_after", "issue")),
        product.c.number.label("product"),
        entitlement.c.pass_id.label("admitted_by"),
        entitlement.c.item_id,
        item_claim.c.kind.label("claim_kind"),
        refund_hold.c.item_id.is_not(None).label("refund_asked"),
        holder.c.name_masked,
        *(column for column in used.c if column.name != "pass_id"),
    ]


def _what_was_shown(joined: sa.Join, how: Presentation) -> Part:
    """What tells whether the code or the card is the pass's own: its tokens, its phones, its cards."""
    if how is Presentation.STATIC:
        issued = sa.exists().where(
            pass_token.c.pass_id == issued_pass.c.id, pass_token.c.evidence == bindparam("evidence")
        )
        live = sa.exists().where(holder_key.c.pass_id == issued_pass.c.id, holder_key.c.retired_at_ms.is_(None))
        return joined, [issued.label("knows_token"), live.label("has_phone")]
    if how in (Presentation.SHORT, Presentation.FULL):
        elsewhere = redemption.alias("elsewhere")
        same_code = sa.exists().where(
            elsewhere.c.pass_id == issued_pass.c.id, elsewhere.c.step == bindparam("shown_step")
        )
        phones = joined.outerjoin(holder_key, holder_key.c.pass_id == issued_pass.c.id)
        of_phone = [holder_key.c[name] for name in ("generation", "public", "retired_at_ms")]
        return phones, [*of_phone, same_code.label("shown_elsewhere")]
    if how is Presentation.CARD:
        cards = joined.outerjoin(credential, sa.and_(credential.c.pass_id == issued_pass.c.id, _is_card()))
        return cards, [credential.c.id.label("card_id"), credential.c.value_sealed]
    return joined, []


def _used(by_card: bool) -> sa.Select[Any]:
    """Uses of the passes meant, as `redemptions.uses` counts them, and the entries on their item."""
    meant_here = redemption.c.pass_id == bindparam("pass_id")
    if by_card:
        meant_here = redemption.c.pass_id.in_(sa.select(credential.c.pass_id).where(_is_card()))
    each = (
        sa.select(
            *(redemption.c[name] for name in ("pass_id", "outcome", "occurred_at_ms", "step")),
            is_given_back().label("given_back"),
        )
        .where(
            meant_here, redemption.c.venue_id == bindparam("venue_id"), redemption.c.outcome.not_in(_written(NO_USE))
        )
        .subquery("each_use")
    )
    counts = ~each.c.given_back

    def number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, sa.literal_column("1")), else_=sa.literal_column("0")))

    return sa.select(
        each.c.pass_id,
        number_of(counts).label("total"),
        number_of(sa.and_(counts, each.c.occurred_at_ms >= bindparam("day_ms"))).label("today"),
        number_of(sa.and_(counts, each.c.occurred_at_ms >= bindparam("month_ms"))).label("this_month"),
        number_of(sa.and_(counts, each.c.occurred_at_ms >= bindparam("year_ms"))).label("this_year"),
        sa.func.max(sa.case((counts, each.c.occurred_at_ms))).label("last_ms"),
        sa.func.max(each.c.step).label("last_step"),
        number_of(each.c.outcome == "REPEAT").label("repeats"),
        number_of(each.c.outcome == "RETURNED").label("returned"),
        number_of(sa.and_(each.c.given_back, each.c.outcome.in_(_written(ON_AN_ITEM)))).label("given_back"),
    ).group_by(each.c.pass_id)


def _written(words: Sequence[str]) -> list[sa.ColumnElement[str]]:
    """Words of ours in the text of the statement: a list of parameters would be put together anew for each check."""
    return [sa.literal_column(f"'{word}'") for word in words]


def _last_exit() -> sa.ScalarSelect[Any]:
    later = entry.alias("later")
    undone = sa.exists().where(_is_event_here(later, *STILL_INSIDE), later.c.occurred_at_ms >= entry.c.occurred_at_ms)
    newest = sa.select(sa.func.max(entry.c.occurred_at_ms)).where(_is_event_here(entry, EXIT), ~undone)
    return newest.correlate(issued_pass).scalar_subquery()


def _is_event_here(of: sa.FromClause, *words: str) -> sa.ColumnElement[bool]:
    """An event of the pass at the caller's venue, by one of these words."""
    return sa.and_(
        of.c.pass_id == issued_pass.c.id,
        of.c.venue_id == bindparam("venue_id"),
        of.c.kind == int(EntryKind.EVENT),
        of.c.reason.in_(_written(words)),
    )


def _standing(
    centre: Centre, rows: Sequence[sa.Row[Any]], shown: Shown, rules: VenueRules, now_ms: int, day_ms: int
) -> Standing:
    row = rows[0]
    item = None
    if row.item_id is not None:
        counts = (row.repeats or 0, row.returned or 0, row.given_back or 0)
        item = OnItem(row.item_id, row.claim_kind, *counts, refund_asked=row.refund_asked)
    phones: tuple[Phone, ...] = ()
    if shown.rotating is not None:
        phones = tuple(Phone(each.generation, each.public, each.retired_at_ms is None) for each in rows if each.public)
    is_static = shown.how is Presentation.STATIC
    return Standing(
        pass_id=row.id,
        ticket_id=row.ticket_id,
        right=Right(PassStatus[row.status], row.not_before, row.not_after, row.issue),
        product=row.product,
        admits_here=row.admitted_by is not None,
        item=item,
        uses=_uses(row, rules, now_ms, day_ms),
        name=row.name_masked or "",
        last_step=row.last_step,
        phones=phones,
        shown_elsewhere=shown.rotating is not None and row.shown_elsewhere,
        has_phone=is_static and row.has_phone,
        knows_token=is_static and row.knows_token,
        card_evidence=None if shown.card is None else _card_evidence(centre.secrets, shown.card, row, rules),
    )


def _uses(row: sa.Row[Any], rules: VenueRules, now_ms: int, day_ms: int) -> Uses:
    last_ms = row.last_ms
    left_ms = row.left_ms if rules.asks_who_left else None
    return Uses(
        total=int(row.total or 0),
        today=int(row.today or 0),
        this_month=int(row.this_month or 0),
        this_year=int(row.this_year or 0),
        since_last_ms=None if last_ms is None else max(0, now_ms - last_ms),
        inside=last_ms is not None and last_ms >= day_ms and (left_ms is None or left_ms < last_ms),
    )


def _card_evidence(secrets: crypto.Secrets, card: ShownCard, row: sa.Row[Any], rules: VenueRules) -> bytes:
    """What a gate of the venue would have written down of this card."""
    bound = open_credential(secrets, row.id, card.kind, row.card_id, row.value_sealed)
    return bytes([card.auth, card.kind]) + credential_hash(bound, rules.credential_key)
