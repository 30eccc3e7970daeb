"""The catalogue's invariants (money.md I6, I16)."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I16",
        "no stock row has more reserved and sold than it holds",
        """
        SELECT 'stock ' || CAST(id AS VARCHAR(36)) FROM stock
        WHERE reserved + sold > total OR reserved < 0 OR sold < 0
        """,
    ),
    Invariant(
        "I6",
        "a combo is sold at prices that every venue of it agreed to",
        """
        SELECT 'product ' || CAST(p.number AS VARCHAR(16)), 'venue ' || CAST(v.number AS VARCHAR(16)) FROM product p
        JOIN product_item i ON i.product_id = p.id
        JOIN venue v ON v.id = i.venue_id
        LEFT JOIN product_agreement a
               ON a.product_id = p.id AND a.version = p.version AND a.venue_id = i.venue_id
        WHERE p.kind = 'COMBO' AND p.sale IN ('ON_SALE', 'OFF_SALE') AND a.venue_id IS NULL
        """,
    ),
    Invariant(
        "I6",
        "a product's prices are those of its newest version",
        """
        SELECT 'product ' || CAST(p.number AS VARCHAR(16)) FROM product p
        JOIN product_item i ON i.product_id = p.id
        LEFT JOIN product_version v ON v.product_id = p.id AND v.version = p.version
        LEFT JOIN product_version_price w
               ON w.product_id = p.id AND w.version = p.version AND w.venue_id = i.venue_id
        WHERE v.dist_price_fen IS NULL OR v.dist_price_fen <> p.dist_price_fen
           OR w.venue_price_fen IS NULL OR w.venue_price_fen <> i.venue_price_fen
           OR EXISTS (SELECT 1 FROM product_version n WHERE n.product_id = p.id AND n.version > p.version)
        """,
    ),
)
