"""The venue as its list describes it, made ready once for each list and not for each scan."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from msgspec import UNSET

from wire.feed import Head, ProductDocument, VenueDocument
from wire.token import Place


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
