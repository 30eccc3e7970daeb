"""`POST /device/v1/electronic-card`: a gate asks whose code it was shown; the answer is sealed for this question."""

from __future__ import annotations

from sync_server.centre import Centre
from sync_server.device_api.callers import Caller, spend
from sync_server.electronic_cards.resolving import resolve, takes_electronic_cards
from sync_server.electronic_cards.verifier import EssCardVerifier
from sync_server.keys.pairs import SigningKey
from wire.electronic_card import Answer, Question, digest_of, sign_answer


def may_ask(centre: Centre, caller: Caller) -> tuple[bool, bool]:
    """Whether the request was not made before, and whether the venue takes electronic cards; spends the nonce."""
    with centre.write() as connection:
        return (
            spend(connection, caller, centre.now_ms()),
            takes_electronic_cards(connection, centre, caller.device),
        )


def answer_card(
    centre: Centre, verifier: EssCardVerifier, caller: Caller, question: Question, body: bytes, signer: SigningKey
) -> bytes:
    """The sealed answer to a question that may be asked; takes as long as the platform, and no longer than allowed."""
    finding, hashes = resolve(centre, verifier, caller.device, question.code)
    answer = Answer(caller.device.id, digest_of(body), finding, hashes)
    return sign_answer(answer, signer.id, signer.private)
