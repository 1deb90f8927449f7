"""What a BUY and its SELL cost beside the price, as the API gives it: an estimate, before a trade and after it."""

from decimal import Decimal

from pydantic import BaseModel, Field

from actors.domain.identifiers import Product
from broker.market.charges import round_trip_charges


class EstimatedCharges(BaseModel):
    """Rupees that broker, exchange and state take of one BUY and one SELL, by Zerodha's schedule (kite.md §8.1).

    A preview reckons both at `last_price`, the status of a finished run at what it was bought and sold at.
    """

    estimated: bool = Field(default=True, description="Always true: the contract note has the last word.")
    brokerage: float
    transaction_tax: float
    exchange: float
    sebi: float
    stamp_duty: float
    gst: float
    total: float


def estimated_charges(
    exchange: str, product: Product, quantity: int, bought: Decimal, sold: Decimal
) -> EstimatedCharges:
    """Of one order that buys and one that sells `quantity` shares on NSE or BSE, at these prices in rupees.

    Raises KeyError for another exchange.
    """
    found = round_trip_charges(exchange, product, quantity, bought, sold)
    parts = EstimatedCharges.model_fields.keys() - {"estimated"}
    return EstimatedCharges(**{name: float(getattr(found, name)) for name in parts})
