"""Prices in the catalogue: per result and per token."""

import msgspec

from batchgen.types import Tokens


class Price(msgspec.Struct, frozen=True):
    """An estimate in USD per image, video or other result, with its source.

    date: when the source was read; None if unknown. per: the parameter that the price is
    multiplied by, such as the seconds of a video.
    """

    usd: float
    source: str
    date: str | None
    per: str | None = None


class TokenPrice(msgspec.Struct, frozen=True):
    """USD per million tokens of each kind, with the source and the date when it was read."""

    text_input: float
    image_input: float
    output: float
    source: str
    date: str | None

    def usd(self, tokens: Tokens) -> float:
        """Return the cost of the tokens in USD."""
        dollars = (
            tokens.text_input * self.text_input
            + tokens.image_input * self.image_input
            + tokens.output * self.output
        )
        return dollars / 1_000_000
