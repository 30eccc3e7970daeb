"""What the list says, read: the venue with its products, made ready once for each list, and one pass of it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from msgspec import UNSET

from wire.entitlement import Right, Stop
from wire.feed import Head, HolderKey, ProductDocument, UseRow, VenueDocument
from wire.token import Place

LAST_DIGITS = 6


class Venue:
    """The venue's document, and the head of the list that carried it; nothing of it changes."""

    def __init__(self, document: VenueDocument, head: Head) -> None:
        self.document = document
        self.head = head
        self.place = Place(document.venue, frozenset(document.groups))
        self.zone = ZoneInfo(document.zone)
        self.card_shape = None if document.electronic_card is UNSET else document.electronic_card
        """How codes of electronic cards look; None where none are taken."""
        self._products = {product.number: product for product in document.products}
        self.products = frozenset(self._products)
        """The numbers of the products that the list describes."""

    def product(self, number: int) -> ProductDocument | None:
        """The product's document, if the list has it."""
        return self._products.get(number)


@dataclass(frozen=True, slots=True)
class ListedPass:
    """What the list says of one pass. The name is masked; empty where the list carries none."""

    pass_id: bytes
    product: int
    right: Right
    ticket_number: str
    masked_name: str
    centre_uses: UseRow | None
    holder_keys: tuple[HolderKey, ...] = ()
    """The phones that may draw codes for it, the newest first."""
    photo: bytes = b""
    """The name of the holder's photo; empty: there is none."""
    stop: Stop | None = None
    """Why the centre suspended or revoked it, and since when, as far as it says."""

    @property
    def last_digits(self) -> str:
        """The end of its number: what people read out."""
        return self.ticket_number[-LAST_DIGITS:]
