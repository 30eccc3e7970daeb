"""The sale of a product (features A7): it is drafted, reviewed and sold."""

from __future__ import annotations

from sync_server.machines import Machine, Row

SALE = Machine(
    "product",
    {"DRAFT": "草稿", "IN_REVIEW": "待审核", "ON_SALE": "已上架", "OFF_SALE": "已下架"},
    (
        Row(
            ("DRAFT",),
            "submit",
            "IN_REVIEW",
            "a single ticket: a person of its venue; a combo, an annual pass: one of the platform",
        ),
        *(
            Row((state,), "agree", state, "a combo: a person of a venue of it, to the price of this version")
            for state in ("DRAFT", "IN_REVIEW")
        ),
        Row(
            ("IN_REVIEW",),
            "approve",
            "ON_SALE",
            "of the platform, and not who submitted it; a combo: every venue agreed to its price of this version",
        ),
        Row(("IN_REVIEW",), "send_back", "DRAFT", "of the platform, with a reason"),
        Row(
            ("ON_SALE",), "take_off", "OFF_SALE", "with a reason", effects="nobody orders it; what was sold stays valid"
        ),
        Row(("OFF_SALE",), "put_on", "ON_SALE"),
        Row(
            ("DRAFT", "OFF_SALE"),
            "reprice",
            "DRAFT",
            "a ticket: who may submit it",
            effects="a new version of its prices, which is agreed and reviewed again; orders keep theirs",
        ),
        Row(
            ("DRAFT", "OFF_SALE"),
            "revise",
            "DRAFT",
            "who may submit it",
            effects="a new version of its deadlines, and of what is promised with a ticket: the same",
        ),
    ),
)
