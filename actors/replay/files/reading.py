"""A file becomes a recording: the bars of one day, and what was understood of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from actors.replay.bar import Bar
from actors.replay.files import judgement
from actors.replay.files.collection import Collection
from actors.replay.files.content import Content, opened
from actors.replay.files.faults import NotARecording, plain, shown
from actors.replay.files.forms import form_of
from actors.replay.files.options import ReadingOptions
from actors.replay.files.rows import Table, table_of_json, table_of_lines
from actors.replay.files.understanding import Understanding, doubts_about
from broker.market.trading_calendar import REGULAR_HOURS

_LONGEST_SYMBOL = 64


@dataclass(frozen=True, slots=True)
class Recording:
    """The bars of one session, in their order; each lasts `spacing`, but none beyond `closes`."""

    symbol: str
    bars: tuple[Bar, ...]
    spacing: timedelta
    closes: datetime
    understood: Understanding


def read_recording(path: Path, options: ReadingOptions | None = None) -> Recording:
    """The recorded day of a file, whatever form it has.

    Raises:
        NotARecording: it is none, in a sentence that begins with the file's name.
    """
    options = options or ReadingOptions()
    with _named(path), opened(path) as content:
        table = table_of_json(content.text) if content.is_json else table_of_lines(content.text)
        collection = Collection(table.header, table.columns, options, table.separator)
        for number, cells in table.rows:
            try:
                collection.add(cells)
            except NotARecording as fault:
                raise NotARecording(fault.why, f"{table.unit} {number}") from fault
        return _recording(path, content, table, collection, options)


def _recording(
    path: Path, content: Content, table: Table, collection: Collection, options: ReadingOptions
) -> Recording:
    _refuse_another_symbol(table, collection, options.symbol)
    judgement.the_day(collection.days, options.day)
    hours = options.session or REGULAR_HOURS
    spacing = judgement.spacing_of(collection.bars)
    guessed, because = judgement.guessed_stamps(collection.bars, spacing, hours)
    stamps = options.stamps or guessed
    bars = judgement.from_start(collection.bars, spacing, stamps)
    naive = not collection.times_carry_offset
    opens_in_utc = collection.times_are_of_utc and judgement.opens_in_utc(bars[0].start, hours)
    hint = judgement.hint_about_times(bars[0].start, zone=options.zone if naive else None, opens_in_utc=opens_in_utc)
    session = judgement.in_session(bars, hours, regular=options.session is None, hint=hint)
    symbol = next(iter(collection.symbols), None)
    understood = Understanding(
        form=form_of(content, table, times_carry_offset=not naive),
        symbol=symbol,
        bars=len(session.bars),
        days=len(collection.days),
        first=session.bars[0].start,
        last=session.bars[-1].start,
        spacing=spacing,
        zone=str(options.zone) if naive else None,
        stamps=stamps,
        stamps_because=because if options.stamps is None else "",
        gaps=judgement.gaps_of(session, spacing),
        shorter=tuple(judgement.shorter_than(spacing, session.bars)),
        left_out=session.left_out,
        dropped=dict(collection.dropped),
        rounded=collection.rounded,
        doubts=doubts_about(session.bars[0].start, options.today, opens_in_utc=opens_in_utc),
    )
    named = symbol or plain(path.name.partition("-")[0].partition(".")[0]) or "recording"
    return Recording(named[:_LONGEST_SYMBOL], session.bars, spacing, session.closes, understood)


def _refuse_another_symbol(table: Table, collection: Collection, wanted: str | None) -> None:
    """Let no bars be taken for those of a symbol that the file does not name."""
    if wanted is None:
        return
    named = next(iter(collection.symbols), None)
    if table.columns.symbol is None and named is None:
        raise NotARecording("it does not say which symbol its bars are of: leave --symbol out")
    if not collection.days or named is None or named.casefold() != wanted.strip().casefold():
        raise NotARecording(f"it holds no bars of {shown(wanted)}: leave --symbol out")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except NotARecording as fault:
        raise NotARecording(str(fault), plain(path.name)) from fault
