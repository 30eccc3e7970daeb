"""A presentation at an on-line check once it is judged: its entries, what proves it, and the answer (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync_server.redemptions.deciding import Standing, decide
from sync_server.redemptions.judge import KnownPass
from sync_server.redemptions.rulebook import VenueRules
from sync_server.redemptions.shown import Phone, Shown, unproven
from wire import entitlement
from wire.messages import ClockTrust, Entry, EntryKind, Presentation
from wire.reasons import Reason
from wire.redeem import Redeem, RedeemAnswer, ShownCard


@dataclass(frozen=True)
class Case:
    """A presentation with what is known of it, and the verdict: `reason` None admits.

    `standing` None: no pass, or nothing that shows that it was this one.
    """

    shown: Shown
    standing: Standing | None
    phone: Phone | None
    reason: Reason | None


def judge_shown(
    asked: str | ShownCard, shown: Shown, passes: Sequence[Standing], rules: VenueRules, now_ms: int
) -> Case:
    """The verdict; of several passes of one card the first that is admitted, else the first.

    A card is a number that anybody may read off or guess: of passes of other venues it says nothing here.
    """
    if shown.card is not None:
        passes = [standing for standing in passes if standing.admits_here]
    cases = [_judge(asked, shown, standing, rules, now_ms) for standing in passes or (None,)]
    return next((case for case in cases if case.reason is None), cases[0])


def entries_of(case: Case, asked: Redeem, rules: VenueRules, seq: int, now_ms: int) -> list[Entry]:
    """An intent and that somebody passed on it, or a refusal; from number `seq` on."""
    shown, standing = case.shown, case.standing
    admitted = case.reason is None
    epoch, version = rules.list_version
    pass_id = (shown.pass_id if standing is None else standing.pass_id) or None
    first = Entry(
        seq=seq,
        kind=EntryKind.INTENT if admitted else EntryKind.REFUSED,
        device_at_ms=now_ms,
        trust=ClockTrust.TRUSTED,
        monotonic_ms=0,
        list_epoch=epoch,
        list_version=version,
        lane=asked.lane,
        presentation=shown.how,
        pass_id=pass_id,
        evidence=shown.evidence if shown.card is None or standing is None else standing.card_evidence,
        reason=case.reason,
        who=asked.who,
    )
    if not admitted:
        return [first]
    passed = Entry(
        seq=seq + 1,
        kind=EntryKind.PASSED_ASSUMED,
        device_at_ms=now_ms,
        trust=ClockTrust.TRUSTED,
        monotonic_ms=0,
        list_epoch=epoch,
        list_version=version,
        lane=asked.lane,
        pass_id=pass_id,
        ref_seq=seq,
    )
    return [first, passed]


def known_of(case: Case, intent: Entry) -> KnownPass | None:
    """The pass as a batch would know it: what proved it to the check proves the entry."""
    standing, evidence = case.standing, intent.evidence or b""
    if standing is None:
        return None
    return KnownPass(
        ticket_id=standing.ticket_id,
        admits_here=standing.admits_here,
        item_id=None if standing.item is None else standing.item.id,
        not_before=standing.right.not_before,
        not_after=standing.right.not_after,
        pass_id=standing.pass_id,
        token_evidence=frozenset([evidence]) if standing.knows_token else frozenset(),
        phones=() if case.phone is None else (case.phone[:2],),
        card_hashes=frozenset() if standing.card_evidence is None else frozenset([standing.card_evidence[1:]]),
    )


def answer_of(case: Case, rules: VenueRules, device: bytes, digest: bytes, seq: int, now_ms: int) -> RedeemAnswer:
    """What the caller is told; of a pass only where it was really shown."""
    standing = case.standing
    if standing is None:
        return RedeemAnswer(device, digest, seq, now_ms, case.reason)
    product, admitted = rules.products.get(standing.product), case.reason is None
    left = None if product is None else entitlement.remaining(product.rule, standing.uses)
    return RedeemAnswer(
        device,
        digest,
        seq,
        now_ms,
        case.reason,
        persons=product.rule.party if admitted and product is not None else 0,
        remaining=None if left is None else max(0, left - admitted),
        pass_id=standing.pass_id,
        product=standing.product,
        name=standing.name,
    )


def _judge(asked: str | ShownCard, shown: Shown, standing: Standing | None, rules: VenueRules, now_ms: int) -> Case:
    phone = None if standing is None else shown.drawn_by(standing.phones)
    reason = decide(shown, standing, phone, rules, now_ms)
    if shown.how is Presentation.SHORT and phone is None:
        assert isinstance(asked, str), "a short code is a text"
        return Case(unproven(shown.how, asked, rules), None, None, reason)
    return Case(shown, standing, phone, reason)
