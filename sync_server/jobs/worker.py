"""The worker: turns all steps again and again. Each step finds its own work in the tables and says how much it did.

A step is a plain function `(centre) -> int`: safe to run twice, beside itself in another process, and to be killed. New
work of later folders is one more line in STEPS, in the order in which an order lives. The lists have a thread of their
own: a slow provider or two hundred orders must not keep a suspension from the gates (wire.md §5: ≤ 5 s). So have
messages, whose gateway may be slow while a code is waited for, and what is done by the calendar (`jobs.ticking`).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence

import structlog

from sync_server.centre import Centre
from sync_server.electronic_cards.resolving import forget_old_reads
from sync_server.feed.photos import prepare_photos
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.rotating import rotate_venue_keys
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.issuance.holder_keys import bind_phones
from sync_server.issuance.issuing import issue_paid_orders
from sync_server.issuance.photos import forget_ended_photos
from sync_server.issuance.reissuing import reissue_revoked
from sync_server.jobs.messages import address_notices, send_messages, summarise
from sync_server.jobs.silent_gates import watch_silent_gates
from sync_server.jobs.ticking import Ticker, turn_jobs
from sync_server.orders.applying import go_on_after_top_up
from sync_server.orders.closing import close_unpaid, give_back_late_payments
from sync_server.orders.progress import take_payments
from sync_server.payments.providers import clients_of
from sync_server.payments.sweeps import follow_sweeps
from sync_server.payments.top_ups import close_top_ups
from sync_server.payments.transfers import move_due
from sync_server.redemptions.uses import count_uses
from sync_server.settlement.charging_back import charge_back_late
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from sync_server.settlement.funds import buy_funds, close_funds, sell_from_funds
from sync_server.settlement.pass_refunds import follow_pass_refunds, refund_failed_issues
from sync_server.settlement.paying_back import free_pay_backs
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.refunding import confirm_refunds
from sync_server.settlement.sealing import seal_payouts
from sync_server.settlement.visits import clear_visits

IDLE_S = 0.5  # pause after a turn that found nothing; also how long a stop may take
LISTS_IDLE_S = 0.25
FAILED_S = 5.0  # pause after a turn in which a step failed

Step = Callable[[Centre], int]


def move_transfers(centre: Centre) -> int:
    """`payments.transfers.move_due` with the providers of the settings; without any nothing moves."""
    with clients_of(centre) as clients:
        return move_due(centre, clients)


STEPS: tuple[Step, ...] = (
    move_transfers,
    follow_sweeps,
    take_payments,
    close_top_ups,
    free_pay_backs,
    charge_back_late,  # what is owed comes before what is held
    go_on_after_top_up,
    close_unpaid,
    give_back_late_payments,
    issue_paid_orders,
    buy_funds,
    bind_id_numbers,
    bind_phones,
    reissue_revoked,
    forget_ended_photos,
    prepare_photos,
    count_uses,
    seal_payouts,
    clear_redemptions,
    clear_visits,
    confirm_refunds,
    expire_items,
    sell_from_funds,
    close_funds,
    refund_failed_issues,
    follow_transfers,
    follow_pass_refunds,
    close_refunded,
    forget_old_reads,
    watch_silent_gates,
)

LIST_STEPS: tuple[Step, ...] = (rotate_venue_keys, publish_feeds)
MESSAGE_STEPS: tuple[Step, ...] = (address_notices, summarise, send_messages)

_log = structlog.get_logger("worker")


def collect_seldom() -> None:
    """For a process of its own: a batch makes hundreds of thousands of short-lived objects, and looking through all of
    them for circles, of which there are none, took a third of the time of clearing.
    """
    gc.freeze()
    gc.set_threshold(400_000, 50, 100)  # more than a step of clearing makes


def turn(centre: Centre) -> int:
    """Every step once; how much was done in all."""
    return sum(step(centre) for step in (*STEPS, *LIST_STEPS, *MESSAGE_STEPS))


def run_dry(centre: Centre) -> int:
    """Turn, with the jobs that are due, until a turn finds nothing; how much was done. What a step raises ends it."""
    done = 0
    while part := turn(centre) + turn_jobs(centre):
        done += part
    return done


def run(centre: Centre, stopped: threading.Event) -> None:
    """Turn until stopped. A step that fails is logged and tried again with the next turn; the others go on."""
    lists = threading.Thread(target=_turn_on, args=(centre, stopped, LIST_STEPS, LISTS_IDLE_S), name="lists")
    messages = threading.Thread(target=_turn_on, args=(centre, stopped, MESSAGE_STEPS, IDLE_S), name="messages")
    ticker = Ticker(centre)
    for each in (lists, messages, ticker):
        each.start()
    _turn_on(centre, stopped, STEPS, IDLE_S)
    lists.join()
    messages.join()
    ticker.stop()


def _turn_on(centre: Centre, stopped: threading.Event, steps: Sequence[Step], idle_s: float) -> None:
    while not stopped.is_set():
        done, failed = 0, False
        for step in steps:
            try:
                done += step(centre)
            except Exception:  # one step's failure must not hold up the others' money; it is logged
                failed = True
                _log.exception("step failed", step=f"{step.__module__}.{step.__name__}")
        if failed:
            stopped.wait(FAILED_S)
        elif done == 0:
            stopped.wait(idle_s)
