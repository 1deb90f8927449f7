"""What a file's form is called, so that a person can see whether it was recognised."""

from actors.replay.files.columns import names_of
from actors.replay.files.content import Content
from actors.replay.files.rows import Table

_SEPARATORS = {";": "separated by ;", "\t": "separated by tabs", "|": "separated by |"}


def form_of(content: Content, table: Table, *, times_carry_offset: bool) -> str:
    """Such as `CSV of Kite, gzip`."""
    name = "JSON of Kite" if content.is_json else _csv_form(table, times_carry_offset)
    encoding = "" if content.encoding.startswith("utf-8") else content.encoding[:6].upper()
    return ", ".join(part for part in (name, content.packing, encoding, _SEPARATORS.get(table.separator, "")) if part)


def _csv_form(table: Table, times_carry_offset: bool) -> str:
    names = names_of(table.header)
    if "timeist" in names:
        return "CSV of TradeActors"
    if names[0] == "price" or "adjclose" in names or table.header[0] == "Datetime":
        return "CSV of yfinance"
    if len(table.columns.time) > 1:
        return "CSV with date and time apart"
    if "time" in names:
        return "CSV of TradingView"
    if "date" in names:
        return "CSV of Kite" if times_carry_offset else "CSV with local times, as Kaggle and Upstox have them"
    return "CSV"
