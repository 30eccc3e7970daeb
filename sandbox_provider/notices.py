"""Sending notices: a thread that posts each outcome to the merchant until it says `success`, and ends deferred ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
import requests

from sandbox_provider.provider import Provider
from sandbox_provider.signing import HEADER, sign
from sandbox_provider.tables import Transfer

RETRY_AFTER_MS = (1_000, 2_000, 4_000, 8_000, 15_000, 60_000, 300_000, 900_000)  # then it gives up
TURN_S = 0.1
TIMEOUT_S = 5
PER_TURN = 50
GIVEN_UP = 1 << 62


def told(transfer: Transfer, cashier_url: str | None = None) -> bytes:
    """What the provider says about a transfer, in answers and in notices."""
    return msgspec.json.encode(
        {
            "app_id": transfer.app_id,
            "out_no": transfer.out_no,
            "status": transfer.status,
            "amount_fen": transfer.amount_fen,
            "yield_fen": transfer.yield_fen,
            "provider_ref": transfer.provider_ref,
            "reason": transfer.reason,
            "pay_url": cashier_url,
        }
    )


class Notifier:
    """Runs until `stop`; everything it has to do stands in the books, so a restart forgets nothing."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing is being sent any more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopped.wait(TURN_S):
                for provider in self._providers:
                    turn(provider, session)


def turn(provider: Provider, session: requests.Session) -> None:
    """One look at what is due: what was deferred, what arrives from elsewhere, and notices."""
    book, now_ms = provider.book, provider.now_ms()
    for out_no in book.due_deferred(now_ms):
        if book.settle(out_no, now_ms) is not None:
            book.promise_notice(out_no, now_ms)
    provider.fetch_arrivals()
    for notice_id, out_no, tries in book.due_notices(now_ms, PER_TURN):
        if provider.stopping.is_set():  # each may take TIMEOUT_S
            return
        delivered = _send(provider, session, out_no)
        again = now_ms + RETRY_AFTER_MS[tries] if tries < len(RETRY_AFTER_MS) else GIVEN_UP
        book.mark_notice(notice_id, delivered, again)


def _send(provider: Provider, session: requests.Session, out_no: str) -> bool:
    transfer = provider.book.find(out_no)
    assert transfer is not None
    body = told(transfer)
    headers = {"Content-Type": "application/json", HEADER: sign(provider.key, "notice", out_no, body)}
    try:
        answer = session.post(transfer.notice_url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and answer.text.strip() == "success"
