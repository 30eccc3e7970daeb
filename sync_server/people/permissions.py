"""What an operator may do: the permissions, and the seeded roles that bundle them.

A permission stands here only if a page or a command asks for it. Roles live in the database (`people.roles` seeds
them), so that an installation can change what a role holds; user administration, finance and audit exclude each other
(web.md).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from sync_server.errors import NotAllowedError


class Permission(StrEnum):
    """The value is what the table role_permission holds."""

    ORDERS_VIEW = "orders.view"
    STOCK_VIEW = "stock.view"
    STOCK_EDIT = "stock.edit"  # of annual passes: add rows of stock, raise them, change their prices
    PRODUCTS_VIEW = "products.view"
    PRODUCTS_SELL = "products.sell"  # take a product off sale, put it on again
    PRODUCTS_PUBLISH = "products.publish"  # of a venue: draft, price and submit its single tickets
    PRODUCTS_COMPOSE = "products.compose"  # draft, price and submit combo tickets and annual passes
    PRODUCTS_REVIEW = "products.review"  # put on sale, or send back, what another person submitted
    PROFIT_SHARE = "profit.share"  # note partners' shares, share a month out; of two persons: say one was paid
    PRICES_AGREE = "prices.agree"  # of a venue: agree to its price in a combo
    RULES_EDIT = "rules.edit"  # by which rule a product opens
    CALENDARS_VIEW = "calendars.view"
    CALENDARS_EDIT = "calendars.edit"  # hours, closed days, sudden closures of venues
    PASSES_VIEW = "passes.view"
    PASSES_REVEAL = "passes.reveal"  # a holder's full name and numbers, with a reason, logged
    ENTRIES_VIEW = "entries.view"
    GATES_VIEW = "gates.view"
    GATES_ENROL = "gates.enrol"  # make enrolment codes, compare the six characters, approve or refuse
    GATES_REVOKE = "gates.revoke"
    JOURNALS_RETIRE = "journals.retire"  # of two persons: wait no longer for what a lost gate may still hold
    JOURNALS_UNFREEZE = "journals.unfreeze"  # of two persons: settle a journal again that could not be true
    SETTLEMENT_VIEW = "settlement.view"
    RECON_WORK = "recon.work"  # take statements of the provider in, work on differences and close them
    RECON_WRITE_OFF = "recon.write_off"  # of two persons: book what cannot be explained
    STATEMENTS_MAKE = "statements.make"  # number and freeze the statements of venues and distributors
    MONEY_RESUME = "money.resume"  # let a transfer go again that lacked money or failed, after a top-up
    TRANSFERS_ABANDON = "transfers.abandon"  # of two persons: give up a payout that cannot be made
    MONEY_SWEEP = "money.sweep"  # move the platform's own money from one provider to another
    ACCOUNTS_CHANGE = "accounts.change"  # of two persons: where a party's money goes
    TRANSFERS_REMIT = "transfers.remit"  # of two persons: record that a payout or refund was paid by bank
    TOP_UPS_RECORD = "top_ups.record"  # of two persons: what a distributor paid in by bank
    FUNDING_SET = "funding.set"  # how a distributor pays for its orders
    APPLICATIONS_DECIDE = "applications.decide"  # run or refuse what distributors apply for after a top-up
    PAYOUTS_MANAGE = "payouts.manage"  # how and what for venues are paid; pay again what was given up
    VISITS_REFUND = "visits.refund"  # of two persons: give a buyer's money back after the visit, at the venue's cost
    ENTRIES_HONOUR = "entries.honour"  # pay a venue for an entry that another one or a refund came before
    ORDERS_REFUND = "orders.refund"  # give a ticket's or an annual pass's money back, with a reason
    LEDGER_VIEW = "ledger.view"
    USERS_MANAGE = "users.manage"
    AUDIT_VIEW = "audit.view"


class Somebody(Protocol):
    """Who wants to do something."""

    def may(self, permission: Permission) -> bool:
        """Whether they hold it."""


def need(who: Somebody, permission: Permission) -> None:
    """NotAllowedError for somebody who does not hold it."""
    if not who.may(permission):
        raise NotAllowedError(f"this needs the permission {permission}, which you do not have")


class Role(NamedTuple):
    """A bundle of permissions; `organisation` is the kind of party whose people may have it."""

    code: str
    name_zh: str
    name_en: str
    organisation: str
    permissions: frozenset[Permission]


_ALIKE = frozenset(
    {
        Permission.ORDERS_VIEW,
        Permission.STOCK_VIEW,
        Permission.PRODUCTS_VIEW,
        Permission.ENTRIES_VIEW,
        Permission.JOURNALS_RETIRE,
        Permission.JOURNALS_UNFREEZE,
        Permission.SETTLEMENT_VIEW,
        Permission.APPLICATIONS_DECIDE,
        Permission.ENTRIES_HONOUR,
        Permission.ORDERS_REFUND,
    }
)
"""What operations and finance both hold."""

SEEDED_ROLES = (
    Role(
        "platform_admin",
        "平台管理员",
        "Platform administrator",
        "PLATFORM",
        frozenset({Permission.USERS_MANAGE, Permission.GATES_VIEW}),
    ),
    Role(
        "operations",
        "运营",
        "Operations",
        "PLATFORM",
        _ALIKE
        | {
            Permission.STOCK_EDIT,
            Permission.PRODUCTS_SELL,
            Permission.PRODUCTS_COMPOSE,
            Permission.PRODUCTS_REVIEW,
            Permission.RULES_EDIT,
            Permission.CALENDARS_VIEW,
            Permission.CALENDARS_EDIT,
            Permission.PASSES_VIEW,
            Permission.PASSES_REVEAL,
            Permission.GATES_VIEW,
            Permission.GATES_ENROL,
            Permission.GATES_REVOKE,
        },
    ),
    Role(
        "finance",
        "财务",
        "Finance",
        "PLATFORM",
        _ALIKE
        | {
            Permission.PROFIT_SHARE,
            Permission.RECON_WORK,
            Permission.RECON_WRITE_OFF,
            Permission.STATEMENTS_MAKE,
            Permission.MONEY_RESUME,
            Permission.TRANSFERS_ABANDON,
            Permission.MONEY_SWEEP,
            Permission.ACCOUNTS_CHANGE,
            Permission.TRANSFERS_REMIT,
            Permission.TOP_UPS_RECORD,
            Permission.FUNDING_SET,
            Permission.PAYOUTS_MANAGE,
            Permission.VISITS_REFUND,
            Permission.LEDGER_VIEW,
        },
    ),
    Role("auditor", "审计员", "Auditor", "PLATFORM", frozenset({Permission.AUDIT_VIEW})),
    Role(
        "venue_manager",
        "景区管理员",
        "Venue manager",
        "VENUE",
        frozenset({Permission.PRODUCTS_PUBLISH, Permission.PRICES_AGREE}),
    ),
)

_OF_0_2_0 = frozenset(
    {
        Permission.ORDERS_VIEW,
        Permission.STOCK_VIEW,
        Permission.PASSES_VIEW,
        Permission.PASSES_REVEAL,
        Permission.ENTRIES_VIEW,
        Permission.GATES_VIEW,
        Permission.GATES_ENROL,
        Permission.GATES_REVOKE,
        Permission.SETTLEMENT_VIEW,
        Permission.LEDGER_VIEW,
        Permission.USERS_MANAGE,
        Permission.AUDIT_VIEW,
    }
)
ADDED_AFTER_0_2_0 = frozenset(Permission) - _OF_0_2_0
"""0.2.0 gave its roles all they hold here but these, and did not write down what it gave."""
