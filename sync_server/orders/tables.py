"""Orders, their tickets, the holders' data, one item per ticket and venue, and the claim that ends an item.

Who writes what: `orders` writes all of it. `issuance` makes one `pass` row per ticket of a paid order (also for single
tickets: one token per ticket) and calls `orders.progress.mark_issued`. `redemptions` ends items with
`orders.claims.claim_items`. What people see as an item's status is derived (`settlement.item_status`), never stored.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.catalog.tables import DISCOUNT_KINDS, INVEST_BASES
from sync_server.db import (
    append_only,
    fen_column,
    id_column,
    link,
    metadata,
    ms_column,
    partial_index,
    partial_unique,
    word_column,
)
from sync_server.orders.states import APPLICATION, MACHINES
from sync_server.parties.tables import FUNDINGS

# TICKET: single and combo tickets bought by a distributor (money.md §2.4). PASS: one annual pass for one holder (§2.5).
ORDER_KINDS = ("TICKET", "PASS")
ORDER_STATES = tuple(dict.fromkeys(state for machine in MACHINES.values() for state in machine.words))
CLAIM_KINDS = ("REDEEM", "REFUND", "FORFEIT")
ON_EXPIRY = ("REFUND", "FORFEIT")
HOLD_ENDS = ("CONFIRMED", "REFUSED")
"""The item is the buyer's money again, or it had been used or had ended before."""

order = sa.Table(
    "order",
    metadata,
    id_column(),
    sa.Column("number", sa.String(32), nullable=False, unique=True),  # 订单号
    word_column("kind", ORDER_KINDS),
    link("product_id", "product.id"),
    link("distributor_id", "party.id", nullable=True),  # null: a visitor at the cashier
    # Orders that are reserved, paid, cancelled and timed out together: the id of the first of them. Alone: its own.
    sa.Column("payment_group", sa.Uuid(), nullable=False, index=True),
    word_column("state", ORDER_STATES),
    word_column("funding", FUNDINGS, nullable=True),  # how its distributor pays, frozen with the first pay command
    word_column("hold", ("INSUFFICIENT",), nullable=True),  # why a pending payment waits for a person
    ms_column("pay_deadline_ms"),
    sa.Column("hold_deadline_h", sa.Integer(), nullable=False, server_default="24"),  # as its product said
    ms_column("hold_deadline_ms", nullable=True),
    sa.Column("count", sa.Integer(), nullable=False),
    fen_column("list_fen"),  # before discounts
    fen_column("discount_fen"),
    word_column("discount_reason", DISCOUNT_KINDS, nullable=True),
    fen_column("dist_price_fen"),  # of all tickets together, after discounts
    fen_column("charge_fee_fen"),
    fen_column("paid_fen"),  # 0 until paid, then dist_price_fen + charge_fee_fen
    sa.Column("channel", sa.String(32), nullable=False),  # catalog.channels
    sa.Column("sub_channel", sa.String(32)),  # where in the channel: the other side's own word
    sa.Column("buyer_phone_sealed", sa.LargeBinary()),
    sa.Column("buyer_phone_index", sa.LargeBinary(16), index=True),
    sa.Column("buyer_phone_masked", sa.String(32)),
    ms_column("starts_at_ms", nullable=True),  # of a renewal: the end of the pass held when it was bought
    ms_column("placed_at_ms"),
    ms_column("paid_at_ms", nullable=True),
    ms_column("issued_at_ms", nullable=True),
    ms_column("cancelled_at_ms", nullable=True),  # when somebody asked for it; the state follows the payment
    sa.Column("product_version", sa.Integer(), nullable=False, server_default="1"),  # whose prices it has
    # A combo: what of its money is invested, when that was asked for, and when the fund was closed (settlement.funds).
    word_column("invest_basis", INVEST_BASES, nullable=True),
    ms_column("invested_at_ms", nullable=True),
    ms_column("fund_closed_at_ms", nullable=True),
    sa.Column("breakage", sa.Boolean(), nullable=False, server_default="0"),  # completed, and nobody came
    # The earliest end of its items (minutes, see below), while one of them may still expire.
    sa.Column("first_end", sa.Integer()),
    sa.CheckConstraint("list_fen - discount_fen = dist_price_fen AND discount_fen >= 0", name="price"),
    sa.CheckConstraint("(discount_fen > 0) = (discount_reason IS NOT NULL)", name="discount"),
    sa.CheckConstraint("charge_fee_fen >= 0 AND paid_fen IN (0, dist_price_fen + charge_fee_fen)", name="paid"),
    sa.CheckConstraint("kind <> 'PASS' OR count = 1", name="one_holder"),
    sa.Index("ix_order_state", "state", "placed_at_ms", "id"),
    sa.Index("ix_order_placed", "placed_at_ms", "id"),
    sa.CheckConstraint("kind <> 'PASS' OR invest_basis IS NULL", name="invested"),
    partial_index(
        "ix_order_to_invest",
        "id",
        where="issued_at_ms IS NOT NULL AND invest_basis IS NOT NULL AND invested_at_ms IS NULL",
    ),
    partial_index(
        "ix_order_fund_ended",
        "id",
        where="invested_at_ms IS NOT NULL AND fund_closed_at_ms IS NULL AND first_end IS NULL",
    ),
    partial_index("ix_order_first_end", "first_end", where="first_end IS NOT NULL"),
    partial_index(
        "ix_order_all_ended",
        "id",
        where="state IN ('ISSUED', 'ISSUE_FAILED') AND kind = 'TICKET' AND first_end IS NULL",
    ),  # and not closed: it waits for its refunds
)

order_history = append_only(
    sa.Table(
        "order_history",
        metadata,
        link("order_id", "order.id", primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),  # the state after the event
        ms_column("at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(200)),
    )
)

ticket = sa.Table(
    "ticket",
    metadata,
    id_column(),
    sa.Column("number", sa.String(32), nullable=False, unique=True),  # 票务编号 / 票号
    link("order_id", "order.id"),
    sa.Column("seq", sa.Integer(), nullable=False),  # from 1 within the order
    link("stock_id", "stock.id"),
    fen_column("dist_price_fen"),  # frozen when the order was placed
    sa.UniqueConstraint("order_id", "seq"),
    sa.CheckConstraint("dist_price_fen > 0", name="dist_price"),
)

# 人工出票申请: its distributor asks that a held order goes on after a top-up.
issue_application = sa.Table(
    "issue_application",
    metadata,
    id_column(),
    link("order_id", "order.id"),
    word_column("state", tuple(APPLICATION.words)),
    ms_column("applied_at_ms"),
    sa.Column("applied_by", sa.String(64), nullable=False),
    ms_column("decided_at_ms", nullable=True),
    sa.Column("decided_by", sa.String(64)),
    sa.Column("reason", sa.String(200)),  # why it was refused
    sa.CheckConstraint("(state = 'APPLIED') = (decided_at_ms IS NULL)", name="decided"),
    sa.CheckConstraint("state <> 'REFUSED' OR reason IS NOT NULL", name="reason"),
    partial_unique("uq_issue_application_open", "order_id", where="state = 'APPLIED'"),
    sa.Index("ix_issue_application_state", "state", "applied_at_ms", "id"),
)

# The holder of a ticket; sealed fields are bound to "holder.<column>" and the ticket's id (`orders.holders`).
holder = sa.Table(
    "holder",
    metadata,
    link("ticket_id", "ticket.id", primary_key=True),
    sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
    sa.Column("name_index", sa.LargeBinary(16), nullable=False, index=True),
    sa.Column("name_masked", sa.String(64), nullable=False),
    sa.Column("id_number_sealed", sa.LargeBinary()),
    sa.Column("id_number_index", sa.LargeBinary(16), index=True),
    sa.Column("id_number_masked", sa.String(32)),
    sa.Column("phone_sealed", sa.LargeBinary()),
    sa.Column("phone_index", sa.LargeBinary(16), index=True),
    sa.Column("phone_masked", sa.String(32)),
)

order_item = sa.Table(
    "order_item",
    metadata,
    id_column(),
    link("ticket_id", "ticket.id"),
    link("venue_id", "venue.id", index=True),
    fen_column("venue_price_fen"),
    fen_column("share_fen"),  # its part of the ticket's dist_price_fen (money.md Q12)
    fen_column("payout_fee_fen"),
    # Its part of the order's charge fee, where that goes back with it: with all items of the order, or with none.
    fen_column("fee_back_fen", server_default="0"),
    # Minutes since 2020-01-01T00:00Z (wire.md), half-open; null until issued.
    sa.Column("valid_from", sa.Integer()),
    sa.Column("valid_to", sa.Integer()),
    # What was promised when it was sold (catalog.tables.product).
    word_column("on_expiry", ON_EXPIRY, server_default="REFUND"),
    sa.Column("refundable", sa.Boolean(), nullable=False, server_default="1"),
    sa.UniqueConstraint("ticket_id", "venue_id"),
    sa.CheckConstraint("venue_price_fen > 0 AND share_fen >= venue_price_fen", name="venue_price"),
    sa.CheckConstraint("fee_back_fen >= 0", name="fee_back"),
    sa.CheckConstraint("payout_fee_fen BETWEEN 0 AND venue_price_fen", name="payout_fee"),
    sa.CheckConstraint("valid_from < valid_to", name="validity"),
)

# One open order or live pass per person and product (money.md §2.5), and beside it one renewal, which begins when the
# pass ends (`orders.persons`). The person is the blind index of the ID number.
person_product = sa.Table(
    "person_product",
    metadata,
    link("product_id", "product.id", primary_key=True),
    sa.Column("person_index", sa.LargeBinary(16), primary_key=True),
    link("order_id", "order.id"),
    ms_column("until_ms", nullable=True),  # the pass's end; null while the order is not issued
)

person_renewal = sa.Table(
    "person_renewal",
    metadata,
    link("product_id", "product.id", primary_key=True),
    sa.Column("person_index", sa.LargeBinary(16), primary_key=True),
    link("order_id", "order.id", index=True),
    ms_column("until_ms", nullable=True),
)

# An item ends once: the primary key is the rule (money.md §0.2b).
item_claim = append_only(
    sa.Table(
        "item_claim",
        metadata,
        link("item_id", "order_item.id", primary_key=True),
        word_column("kind", CLAIM_KINDS),
        # REDEEM: the redemption's id in hex. REFUND: orders.claims.EXPIRED, REQUESTED or UNISSUED. FORFEIT: EXPIRED.
        sa.Column("ref", sa.String(64), nullable=False),
        sa.CheckConstraint(  # so that every item has a state of settlement.item_states
            "kind = 'REDEEM' OR ref = 'expired' OR (kind = 'REFUND' AND ref IN ('requested', 'unissued'))", name="ref"
        ),
        ms_column("at_ms"),
        ms_column("recorded_at_ms", index=True),
        partial_index("ix_item_claim_unused", "item_id", where="kind <> 'REDEEM'"),  # few, and `check` asks often
        sqlite_with_rowid=False,  # whoever finds a claim by its item has it: no second look, from an index to the table
    )
)

# Somebody asked for an item's money back: until every gate of its venue knows, an entry may still be on its way.
refund_hold = sa.Table(
    "refund_hold",
    metadata,
    link("item_id", "order_item.id", primary_key=True),
    ms_column("requested_at_ms"),
    sa.Column("requested_by", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    ms_column("deadline_ms"),  # from then on nobody waits for a gate that has not answered
    # The first list of the venue that says it; null while none does.
    sa.Column("list_epoch", sa.Integer()),
    sa.Column("list_version", sa.BigInteger()),
    word_column("ended_as", HOLD_ENDS, nullable=True),
    ms_column("ended_at_ms", nullable=True),
    sa.CheckConstraint("(ended_as IS NULL) = (ended_at_ms IS NULL)", name="ended"),
    sa.CheckConstraint("(list_epoch IS NULL) = (list_version IS NULL)", name="list"),
    partial_index("ix_refund_hold_open", "requested_at_ms", where="ended_as IS NULL"),
)

# Honoured entries that came after a refund and that the distributor bears (late_liability): what it is charged. Written
# by `settlement.charging_back`; it stands here because orders are paid from what this leaves of a balance (`owing`).
charge_back = sa.Table(
    "charge_back",
    metadata,
    sa.Column("redemption_id", sa.LargeBinary(16), sa.ForeignKey("redemption.id"), primary_key=True),
    link("distributor_id", "party.id"),
    fen_column("amount_fen"),
    ms_column("honoured_at_ms"),
    ms_column("charged_at_ms", nullable=True),
    ms_column("given_up_at_ms", nullable=True),  # by two persons; what was charged is given up as a transfer
    sa.CheckConstraint("amount_fen > 0", name="amount"),
    sa.CheckConstraint("charged_at_ms IS NULL OR given_up_at_ms IS NULL", name="ended"),
    partial_index(
        "ix_charge_back_due",
        *("distributor_id", "honoured_at_ms"),
        where="charged_at_ms IS NULL AND given_up_at_ms IS NULL",
    ),
)
