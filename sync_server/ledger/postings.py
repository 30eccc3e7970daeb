"""Which accounts a transaction may touch (money.md §3), by the first word of its key: what is not here is not booked.

The clearing accounts are the platform's at Alipay (1010) and Huijinbao (1020). What was paid by bank is on 1030
instead, what moved after it was given up, and was accepted, on 1310.
"""

from __future__ import annotations

from typing import NamedTuple

from sync_server.ledger.accounts import CHART


class Posting(NamedTuple):
    """`key` as its transactions have it, `{…}` what it is for; the codes that may be debited and credited."""

    name: str
    key: str
    about: str
    debit: tuple[str, ...]
    credit: tuple[str, ...]

    @property
    def word(self) -> str:
        """What the key begins with."""
        return self.key.partition(":")[0]


CLEARING = ("1010", "1020")
MOVED = (*CLEARING, "1030", "1310")
HELD = ("2110", "2120")
REFUNDS = ("2310", "2320")
ALL = tuple(CHART)

POSTINGS = (
    Posting("P1", "topup:{top-up}", "a distributor pays in", MOVED, ("2010",)),
    Posting("P1", "paidback:{top-up}", "what it does not need goes back", ("2010",), ("1030",)),
    Posting("P2", "charge:{order}", "orders are paid", (*MOVED, "2010"), (*HELD, "4010")),
    Posting("P3", "fundbuy:{order}", "a combo's money is invested", ("1110",), ("1020", "1310")),
    Posting("P4", "redeem:{item}", "a venue was visited", ("2110",), ("2210", "4020")),
    Posting("P5", "fundsell:{item}", "its price is taken out of the fund", ("1020", "1310"), ("1110",)),
    Posting("P6", "payout:{payout}", "the venue is paid", ("2210",), MOVED),
    Posting("P7", "expire:{item}", "an item is to be given back", (*HELD, "4010"), REFUNDS),
    Posting("P8", "refund:{item}", "it is given back", REFUNDS, (*MOVED, "2010")),
    Posting("P9", "fundclose:{order}", "a fund is closed", (*MOVED, "5030"), (*MOVED, "1110", "4040")),
    Posting("P10", "margin:{order}", "what is left of the margin is earned", ("2120",), ("4030",)),
    Posting("P11", "forfeit:{item}", "an item is kept", HELD, ("4050",)),
    Posting("P12", "sweep:{sweep}:out", "money leaves one provider for the other", ("1090",), (*CLEARING, "1310")),
    Posting("P12", "sweep:{sweep}:in", "it arrives, or is `returned`", (*MOVED, "5010"), ("1090",)),
    Posting("P13", "stmt:{line}:fee", "a provider's fee", ("5010", *CLEARING), ("5010", *CLEARING)),
    Posting("P14", "stmt:{line}", "a line that is not ours", (*CLEARING, "1310"), (*CLEARING, "1310")),
    Posting("P14", "double:{attempt}", "money moved beside a transfer", MOVED, MOVED),
    Posting(
        "",
        "case:{case}",
        "a case is written off, or given back",
        (*MOVED, "1220", "5010", "5090"),
        (*MOVED, *REFUNDS, "5010", "5090"),
    ),
    Posting("P15", "honour:{redemption}", "an entry that lost its item is paid", ("5020",), ("2210", "4020")),
    Posting("P15", "chargeback:{redemption}", "its distributor bears it", (*MOVED, "2010"), ("5020",)),
    Posting("P16", "clawback:{item}", "a visit is refunded", ("1220", "2120", "4010", "4020", "4030"), REFUNDS),
    Posting("P16", "clawback:{item}:refund", "its refund", REFUNDS, (*MOVED, "2010")),
    Posting("P16", "netting:{payout}", "a payout keeps back what the venue owes", ("2210",), ("1220",)),
    Posting("P16", "repaid:{debt}", "the venue paid it by bank", ("1030",), ("1220", "2210")),
    Posting("P16", "writeoff:{debt}", "it is given up", ("5090",), ("1220",)),
    Posting("P17", "pass:{order}:charge", "annual passes are paid", (*MOVED, "2010"), ("2510", "4010")),
    Posting("P17", "income:{order}:{month}", "a pass earned its days", ("2510",), ("4060",)),
    Posting("P17", "pass:{order}:refund", "a pass is to be given back", ("2510", "4010", "4060"), (*REFUNDS, "4050")),
    Posting("P17", "pass:{order}:refunded", "it is given back", REFUNDS, (*MOVED, "2010")),
    Posting("P18", "late:{order}", "a closed order was paid", CLEARING, REFUNDS),
    Posting("P19", "profit:{month}:{partner}", "partners' shares of the profit", ("3010",), ("2410",)),
    Posting("P19", "profit:{month}:{partner}:paid", "a share was paid", ("2410",), (*CLEARING, "1030")),
    Posting("P20", "visit:{redemption}", "a visit with a pass", ("5040",), ("2210", "4020")),
    Posting("P20", "returned:{redemption}", "staff gave it back later on", ("1220", "4020"), ("5040",)),
    Posting("P21", "pool:{month}:{venue}", "a venue's part of a month's pool", ("5040",), ("2210", "4020")),
    Posting("", "reverse:{key}", "a correction undoes what it names", ALL, ALL),
)
