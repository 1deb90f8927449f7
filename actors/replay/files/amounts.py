"""Texts become prices and volumes, or are refused: nothing is guessed, nothing goes over a float."""

import re
from decimal import ROUND_HALF_UP, Decimal

from actors.domain.money import Paise
from actors.replay.files.faults import NotARecording, shown

HIGHEST_PRICE = Decimal(10_000_000)
"""In rupees. The dearest share ever listed cost a thirtieth of it."""

_PLAIN = re.compile(r"\+?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_NEGATIVE = re.compile(r"-[\d.,]+([eE][+-]?\d{1,2})?", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(,\d{2,3})*,\d{3}(\.\d+)?", re.ASCII)
_EITHER = re.compile(r"\d{1,3},\d{3}", re.ASCII)
_POINT_OF_EITHER = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\d{1,3}(\.\d{3})*,\d{1,2}|\d+,\d{1,2}", re.ASCII)
_VOLUME = re.compile(r"(\d[\d,]*(\.\d*)?([eE]\+?\d{1,2})?)\s*[KMBkmb]?", re.ASCII)
_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
_LONGEST = 32
_ABOVE_ZERO = "a price is above zero; mend it, or cut it out"
_FLOAT32_STEP = Decimal(2) ** -23
_LEAST_NOISE = Decimal("0.00001")


class Marks:
    """What comma and point mean in the prices of one file: 95,125 is a thousand times 95.125, or the other way round.

    `separator`: of the cells. Where it is ;, a comma is as likely one of decimals, and a point one of thousands.
    """

    def __init__(self, separator: str) -> None:
        self._is_likely_decimal = separator == ";"
        self._thousands = self._decimals = False
        self._either = self._point = ""
        self._has_decimal_points = False

    def check(self, text: str) -> None:
        """Take in one price.

        Raises:
            NotARecording: its comma or its point may mean either, or the file has both kinds.
        """
        text = text.strip()
        if "," in text:
            self._check_comma(text)
        elif _POINT_OF_EITHER.fullmatch(text):
            self._point = self._point or text
        else:
            self._has_decimal_points |= "." in text
        if self._point and (self._decimals or (self._is_likely_decimal and not self._has_decimal_points)):
            raise _may_be_either("point", self._point)

    def _check_comma(self, text: str) -> None:
        if _EITHER.fullmatch(text):
            self._either = self._either or text
        elif _GROUPED.fullmatch(text):
            self._thousands = True
        elif _DECIMAL_COMMA.fullmatch(text):
            self._decimals = True
        likely = self._decimals or (self._is_likely_decimal and not self._thousands)
        if (self._decimals and self._thousands) or (self._either and likely):
            raise _may_be_either("comma", self._either or text)


def is_nothing(text: str) -> bool:
    """Whether a cell says that there is no value, as pandas writes a minute without trades."""
    return text.strip().lower() in _NOTHING


def read_price(name: str, text: str) -> tuple[Paise, bool]:
    """A price in paise, and whether it was rounded: by less than the noise of a 32-bit float, which yfinance leaves.

    Raises:
        NotARecording: it is no price, is not above zero, or is between two paise.
    """
    text = text.strip()
    if len(text) > _LONGEST or _NEGATIVE.fullmatch(text):
        why = _ABOVE_ZERO if len(text) <= _LONGEST else "it is no price; write it as 1490.50"
        raise NotARecording(f"the {name} is {shown(text)}: {why}")
    rupees = _decimal(name, text)
    if rupees <= 0:
        raise NotARecording(f"the {name} is {shown(text)}: {_ABOVE_ZERO}")
    if rupees > HIGHEST_PRICE:
        raise NotARecording(f"the {name} is {shown(text)}: no share costs more than {HIGHEST_PRICE:,} rupees; mend it")
    paise = (rupees * 100).to_integral_value(rounding=ROUND_HALF_UP)
    noise = abs(paise - rupees * 100) / 100
    if paise < 1 or noise > max(_LEAST_NOISE, rupees * _FLOAT32_STEP):
        raise NotARecording(f"the {name} is {shown(text)}: prices are whole paise; take them as traded, not adjusted")
    return int(paise), bool(noise)


def read_volume(text: str) -> int | None:
    """The shares that were traded, or None if the cell does not say, or says it in thousands or millions.

    Raises:
        NotARecording: it is no number, or a negative one.
    """
    text = text.strip()
    if is_nothing(text):
        return None
    if _NEGATIVE.fullmatch(text):
        raise NotARecording(f"the volume is {shown(text)}: it cannot be negative; mend it, or leave it empty")
    if len(text) > _LONGEST or not (number := _VOLUME.fullmatch(text)):
        raise NotARecording(f"the volume is {shown(text)}: it is no number; mend it, or leave it empty")
    return int(Decimal(number[1].replace(",", ""))) if number[1] == text else None


def _may_be_either(mark: str, price: str) -> NotARecording:
    return NotARecording(f"the {mark} of {shown(price)} may be of thousands or decimals; write prices as 1490.50")


def _decimal(name: str, text: str) -> Decimal:
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if _GROUPED.fullmatch(text):
        return Decimal(text.replace(",", ""))
    if _DECIMAL_COMMA.fullmatch(text):
        return Decimal(text.replace(".", "").replace(",", "."))
    raise NotARecording(f"the {name} is {shown(text)}: it is no price; write it as 1490.50")
