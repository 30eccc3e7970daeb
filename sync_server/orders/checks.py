"""The orders' invariants (money.md I6, I16)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.orders.states import CLOSED_BEFORE_PAYMENT, UNPAID

WAITING = ", ".join(f"'{state}'" for state in UNPAID)
NEVER_PAID = ", ".join(f"'{state}'" for state in (*UNPAID, *CLOSED_BEFORE_PAYMENT))
UNISSUED = "({0}.state IN ('ISSUE_FAILED', 'CLOSED_REFUNDED') AND {0}.kind = 'TICKET' AND {0}.issued_at_ms IS NULL)"
"""Tickets that were paid and never issued: their stock is free again."""
GIVEN_BACK = "'REFUNDING', 'REFUND_FAILED', 'REFUNDED'"
"""Of these a pass frees its stock or not, as its product says."""
ID_HEX = "REPLACE(CAST(o.id AS VARCHAR(36)), '-', '')"
"""An order's id as ledger keys name it."""

CHECKS = (
    Invariant(
        "I6",
        "a ticket's items share its whole price, and none is owed more than its share",
        """
        SELECT 'ticket ' || t.number FROM ticket t
        WHERE (SELECT SUM(i.share_fen) <> t.dist_price_fen OR SUM(i.venue_price_fen) > t.dist_price_fen
               FROM order_item i WHERE i.ticket_id = t.id)
        """,
    ),
    Invariant(
        "I6",
        "of an order's charge fee all goes back with its items, or nothing does; all where it could not be issued",
        f"""
        SELECT 'order ' || o.number, SUM(i.fee_back_fen) FROM order_item i CROSS JOIN ticket t CROSS JOIN "order" o
        WHERE i.fee_back_fen > 0 AND t.id = i.ticket_id AND o.id = t.order_id
        GROUP BY o.number, o.charge_fee_fen HAVING SUM(i.fee_back_fen) <> o.charge_fee_fen
        UNION ALL
        SELECT 'order ' || o.number, SUM(i.fee_back_fen) FROM "order" o CROSS JOIN ticket t CROSS JOIN order_item i
        WHERE t.order_id = o.id AND i.ticket_id = t.id AND {UNISSUED.format("o")}
        GROUP BY o.number, o.charge_fee_fen HAVING SUM(i.fee_back_fen) <> o.charge_fee_fen
        """,  # noqa: S608  the states above; from the items that give a fee back, as SQLite takes a CROSS JOIN
    ),
    Invariant(
        "I6",
        "an order's price is the sum of its tickets, and it is paid exactly when its charge is",
        f"""
        SELECT 'order ' || o.number FROM "order" o
        LEFT JOIN (SELECT order_id, SUM(dist_price_fen) AS price_fen, COUNT(*) AS tickets
                   FROM ticket GROUP BY order_id) t ON t.order_id = o.id
        LEFT JOIN external_transfer x ON x.subject_id = o.payment_group AND x.kind IN ('CHARGE', 'COLLECT')
        WHERE COALESCE(t.price_fen, 0) <> o.dist_price_fen OR COALESCE(t.tickets, 0) <> o.count
           OR (o.state NOT IN ({NEVER_PAID}) AND COALESCE(o.funding, '') <> 'PREPAID'
               AND (x.state IS NULL OR x.state <> 'SUCCEEDED'))
           OR (o.paid_fen > 0) <> (o.state NOT IN ({NEVER_PAID}))
        """,  # noqa: S608  the states above
    ),
    Invariant(
        "I6",
        "a prepaid order was taken from its distributor's account whole, and exactly when it is paid",
        f"""
        SELECT 'order ' || o.number FROM "order" o
        LEFT JOIN ledger_txn l ON l.txn_key = CASE o.kind
            WHEN 'PASS' THEN 'pass\\:' || {ID_HEX} || '\\:charge' ELSE 'charge\\:' || {ID_HEX} END
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = o.distributor_id
        LEFT JOIN posting p ON p.txn_id = l.id AND p.account_id = a.id AND p.layer = 'posted'
        WHERE o.funding = 'PREPAID' AND (COALESCE(p.amount_fen, 0) <> o.paid_fen
            OR EXISTS (SELECT 1 FROM external_transfer x
                       WHERE x.subject_id = o.id AND x.kind IN ('CHARGE', 'COLLECT')))
        """,  # noqa: S608  the expression above
    ),
    Invariant(
        "Q5",
        "an application to issue waits only while its order is held",
        """
        SELECT 'order ' || o.number FROM issue_application a JOIN "order" o ON o.id = a.order_id
        WHERE a.state = 'APPLIED' AND (o.state <> 'PENDING_PAYMENT' OR o.hold IS NULL)
        """,
    ),
    Invariant(
        "I6",
        "what orders placed together are charged is their prices and fees",
        """
        SELECT 'external_transfer ' || CAST(x.id AS VARCHAR(36)) FROM external_transfer x
        JOIN "order" o ON o.payment_group = x.subject_id
        WHERE x.kind IN ('CHARGE', 'COLLECT')
        GROUP BY x.id, x.amount_fen HAVING SUM(o.dist_price_fen + o.charge_fee_fen) <> x.amount_fen
        """,
    ),
    Invariant(
        "I6",
        "orders placed together are all unpaid in one state, or all paid",
        f"""
        SELECT 'order ' || f.number, 'order ' || o.number FROM "order" o JOIN "order" f ON f.id = o.payment_group
        WHERE o.id <> f.id AND o.state <> f.state AND (o.state IN ({NEVER_PAID}) OR f.state IN ({NEVER_PAID}))
        """,  # noqa: S608  the states above
    ),
    Invariant(
        "I6",
        "an order that was closed before it was paid has no payment that could still succeed",
        """
        SELECT 'order ' || o.number FROM "order" o
        JOIN external_transfer x ON x.subject_id = o.payment_group AND x.kind IN ('CHARGE', 'COLLECT')
        WHERE o.state IN ('CLOSED_UNPAID', 'CANCELLED', 'TIMED_OUT') AND x.state <> 'VOID'
        """,
    ),
    Invariant(
        "I16",
        "what is reserved of a stock row is the tickets of orders that wait for their payment",
        f"""
        SELECT 'stock ' || CAST(s.id AS VARCHAR(36)), s.reserved, COALESCE(w.tickets, 0) FROM stock s
        LEFT JOIN (SELECT t.stock_id, COUNT(*) AS tickets FROM "order" o JOIN ticket t ON t.order_id = o.id
                   WHERE o.state IN ({WAITING}) GROUP BY t.stock_id) w ON w.stock_id = s.id
        WHERE s.reserved <> COALESCE(w.tickets, 0)
        """,  # noqa: S608  the states above
    ),
    Invariant(
        "I16",
        "what is sold of a stock row is the tickets of orders that were paid, less passes that were given back and "
        "tickets that were never issued",
        f"""
        SELECT 'stock of product ' || CAST(p.number AS VARCHAR(16)), SUM(s.sold), COALESCE(k.paid, 0) FROM stock s
        JOIN product p ON p.id = s.product_id
        LEFT JOIN (SELECT product_id, SUM(count) AS paid,
                          SUM(CASE WHEN state IN ({GIVEN_BACK}) THEN count ELSE 0 END) AS back
                   FROM "order" o WHERE state NOT IN ({NEVER_PAID}) AND NOT {UNISSUED.format("o")}
                   GROUP BY product_id) k ON k.product_id = p.id
        GROUP BY p.number, k.paid, k.back
        HAVING SUM(s.sold) NOT BETWEEN COALESCE(k.paid - k.back, 0) AND COALESCE(k.paid, 0)
        UNION ALL
        SELECT 'stock ' || CAST(s.id AS VARCHAR(36)), s.sold, COUNT(o.id) FROM stock s
        LEFT JOIN (SELECT t.stock_id, q.id, q.state FROM "order" q JOIN ticket t ON t.order_id = q.id
                   WHERE q.state NOT IN ({NEVER_PAID}) AND NOT {UNISSUED.format("q")} AND q.product_id IN (
                       SELECT product_id FROM stock GROUP BY product_id HAVING COUNT(*) > 1)) o ON o.stock_id = s.id
        WHERE EXISTS (SELECT 1 FROM stock other WHERE other.product_id = s.product_id AND other.id <> s.id)
        GROUP BY s.id, s.sold
        HAVING s.sold NOT BETWEEN COUNT(CASE WHEN o.state NOT IN ({GIVEN_BACK}) THEN 1 END) AND COUNT(o.id)
        """,  # noqa: S608  the states above; tickets are looked at where a product has several rows
    ),
    Invariant(
        "I16",
        "a person's name is down for a pass while its order is open, and no longer than it is issued",
        f"""
        SELECT 'order ' || o.number FROM "order" o
        LEFT JOIN (SELECT order_id FROM person_product UNION ALL SELECT order_id FROM person_renewal) p
               ON p.order_id = o.id
        WHERE o.kind = 'PASS' AND (
            (p.order_id IS NULL AND o.state IN ({WAITING}, 'ISSUING'))
            OR (p.order_id IS NOT NULL AND o.state NOT IN ({WAITING}, 'ISSUING', 'ISSUE_FAILED', 'ISSUED')))
        """,  # noqa: S608  the states above
    ),
)
