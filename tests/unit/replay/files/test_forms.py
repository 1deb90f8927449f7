"""The forms in which people have their bars: each is read, and named as what it is."""

import gzip
import io
import zipfile
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from actors.domain.session import SessionHours
from actors.replay.files.options import ReadingOptions, Stamps
from actors.replay.files.reading import Recording, read_recording
from tests.unit.replay.recordings import YESBANK, a_file, minutes, ours, ours_of

KITE_JSON = """{"status": "success", "data": {"candles": [
["2019-07-09T09:15:00+0530", 95, 96.0, 93.90, 94.85, 1730100],
["2019-07-09T09:16:00+0530", 94.65, 94.85, 94.10, 94.10, 1355593]]}}"""
OBJECTS = """[{"date": "2019-07-09 09:15:00+05:30", "open": 95, "high": 96, "low": 93.9, "close": 94.85, "volume": 1},
{"date": "2019-07-09 09:16:00+05:30", "open": 94.65, "high": 94.85, "low": 94.1, "close": 94.1, "volume": 1}]"""
KITE_CSV = """,date,open,high,low,close,volume,oi
0,2019-07-09 09:15:00+05:30,95.0,96.0,93.9,94.85,1730100,0
1,2019-07-09 09:16:00+05:30,94.65,94.85,94.1,94.1,1355593,0
"""
KAGGLE = """date,open,high,low,close,volume
2019-07-09 09:15:00,95.0,96.0,93.9,94.85,1730100
2019-07-09 09:16:02,94.65,94.85,94.1,94.1,1355593
"""
UPSTOX = """Date,Open,High,Low,Close,Volume
09/07/2019 09:15,95.0,96.0,93.9,94.85,1730100
09/07/2019 09:16,94.65,94.85,94.1,94.1,1355593
"""
APART = """Instrument,Date,Time,Open,High,Low,Close
YESBANK,09-07-2019,09:15:00,95.0,96.0,93.9,94.85
YESBANK,09-07-2019,09:16:00,94.65,94.85,94.1,94.1
"""
AMIBROKER = """<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>
YESBANK,20190709,091500,95.0,96.0,93.9,94.85,1730100
YESBANK,20190709,091600,94.65,94.85,94.1,94.1,1355593
"""
YFINANCE = """Price,Close,High,Low,Open,Volume
Ticker,YESBANK.NS,YESBANK.NS,YESBANK.NS,YESBANK.NS,YESBANK.NS
Datetime,,,,,
2019-07-09 03:45:00+00:00,94.8499984741211,96.0,93.9000015258789,95.0,1730100
2019-07-09 03:46:00+00:00,94.0999984741211,94.8499984741211,94.0999984741211,94.6500015258789,1355593
"""
YFINANCE_OF_BEFORE = """Datetime,Open,High,Low,Close,Adj Close,Volume
2019-07-09 09:15:00+05:30,95.0,96.0,93.9,94.85,94.85,1730100
2019-07-09 09:16:00+05:30,94.65,94.85,94.1,94.1,94.1,1355593
"""
TRADINGVIEW_UNIX = """time,open,high,low,close,Volume,Volume MA
1562643900,95,96,93.9,94.85,1730100,1.2
1562643960,94.65,94.85,94.1,94.1,1355593,1.3
"""
TRADINGVIEW_ISO = TRADINGVIEW_UNIX.replace("1562643900", "2019-07-09T09:15:00+05:30").replace(
    "1562643960", "2019-07-09T09:16:00+05:30"
)
SEMICOLONS = """sep=;
Date;Time;Open;High;Low;Close;Volume
9-Jul-2019;9:15 AM;95,00;96,00;93,90;94,85;1730100
9-Jul-2019;9:16 AM;94,65;94,85;94,10;94,10;1355593
"""


def read(folder: Path, content: str | bytes, options: ReadingOptions | None = None) -> Recording:
    return read_recording(a_file(folder, content), options)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (ours_of(*minutes(0, 1)), "CSV of TradeActors"),
        (KITE_JSON, "JSON of Kite"),
        (OBJECTS, "JSON of Kite"),
        (KITE_CSV, "CSV of Kite"),
        (KAGGLE, "CSV with local times, as Kaggle and Upstox have them"),
        (UPSTOX, "CSV with local times, as Kaggle and Upstox have them"),
        (APART, "CSV with date and time apart"),
        (AMIBROKER, "CSV with date and time apart"),
        (YFINANCE, "CSV of yfinance"),
        (YFINANCE_OF_BEFORE, "CSV of yfinance"),
        (TRADINGVIEW_UNIX, "CSV of TradingView"),
        (TRADINGVIEW_ISO, "CSV of TradingView"),
        (SEMICOLONS, "CSV with date and time apart, separated by ;"),
        (KAGGLE.replace(",", "\t"), "CSV with local times, as Kaggle and Upstox have them, separated by tabs"),
        (KAGGLE.upper(), "CSV with local times, as Kaggle and Upstox have them"),
    ],
)
def test_each_form_is_read_and_named(tmp_path: Path, content: str, form: str) -> None:
    recording = read(tmp_path, content)
    first = recording.bars[0]
    assert recording.understood.form == form
    assert f"{first.start:%Y-%m-%d %H:%M:%S %z}" == "2019-07-09 09:15:00 +0530"
    assert (first.open, first.high, first.low, first.close) == (9500, 9600, 9390, 9485)
    assert len(recording.bars) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf" + KAGGLE.encode(), ""),
        (KAGGLE.replace("\n", "\r\n").encode(), ""),
        (KAGGLE.replace("\n", "\r").encode(), ""),
        (KAGGLE.encode("utf-16"), ", UTF-16"),
        (b"\xfe\xff" + KAGGLE.encode("utf-16-be"), ", UTF-16"),
        (KAGGLE.encode("utf-16-le"), ", UTF-16"),
        (KAGGLE.encode("utf-16-be"), ", UTF-16"),
        (KAGGLE.encode("utf-32"), ", UTF-32"),
        (gzip.compress(KAGGLE.encode()), ", gzip"),
        (gzip.compress(KAGGLE.encode("utf-16")), ", gzip, UTF-16"),
    ],
)
def test_each_coding_of_the_bytes_is_read(tmp_path: Path, content: bytes, said: str) -> None:
    recording = read(tmp_path, content)
    assert len(recording.bars) == 2
    assert recording.understood.form == f"CSV with local times, as Kaggle and Upstox have them{said}"


def test_json_is_read_in_utf_16_and_packed_too(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(KITE_JSON.encode("utf-16"))).understood.form == "JSON of Kite, gzip, UTF-16"


def test_the_one_file_of_a_zip_is_read(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/minute.csv", KAGGLE)
    assert len(read(tmp_path, packed.getvalue()).bars) == 2


def test_a_recorded_day_of_the_product_is_read_whole() -> None:
    recording = read_recording(YESBANK)
    assert recording.symbol == "YESBANK"
    assert list(recording.understood.sentences()) == [
        "CSV of TradeActors: 375 bars of 1 minute on Tue 09 Jul 2019, 09:15 to 15:29 IST",
        "The times carry their offset, and are the start of their bars",
        "There are no gaps",
        "Left out, as before or after the session: 2 bars",
    ]


def test_times_of_another_zone_are_turned_into_those_of_the_exchange(tmp_path: Path) -> None:
    utc = KAGGLE.replace(" 09:15:00", " 03:45:00").replace(" 09:16:02", " 03:46:00")
    recording = read(tmp_path, utc, ReadingOptions(zone=UTC))
    assert f"{recording.bars[0].start:%H:%M %z}" == "09:15 +0530"
    assert "taken for UTC (--tz)" in recording.understood.sentences()[1]
    offset = ours_of(*(at.astimezone(ZoneInfo("America/New_York")) for at in minutes(0, 1)))
    assert f"{read(tmp_path, offset).bars[0].start:%H:%M %z}" == "09:15 +0530"


def test_naive_times_are_indian_and_that_is_said(tmp_path: Path) -> None:
    said = read(tmp_path, KAGGLE).understood.sentences()[1]
    assert said == "The times carry no offset and are taken for Asia/Kolkata (--tz), and are the start of their bars"


def test_the_symbol_is_that_of_the_file_and_otherwise_that_of_its_name(tmp_path: Path) -> None:
    assert read(tmp_path, YFINANCE).symbol == "YESBANK.NS"
    assert read_recording(a_file(tmp_path, KAGGLE, "INFY-2019.csv.gz")).symbol == "INFY"
    assert read_recording(a_file(tmp_path, KAGGLE, "INFY.csv")).symbol == "INFY"


def test_one_symbol_of_several_can_be_chosen(tmp_path: Path) -> None:
    both = APART + APART.split("\n", 1)[1].replace("YESBANK", "INFY")
    assert read(tmp_path, both, ReadingOptions(symbol="infy")).symbol == "INFY"


def test_one_day_of_several_can_be_chosen(tmp_path: Path) -> None:
    days = KAGGLE + KAGGLE.split("\n", 1)[1].replace("-09 ", "-10 ").replace("95.0,96", "95.5,96")
    recording = read(tmp_path, days, ReadingOptions(day=date(2019, 7, 10)))
    assert recording.bars[0].open == 9550
    assert recording.understood.sentences()[0].endswith("; the day is one of 2 in the file")


def test_a_time_may_be_the_end_of_its_bar_which_is_seen_and_said(tmp_path: Path) -> None:
    stamped_with_ends = ours_of(*minutes(*range(1, 376)))
    recording = read(tmp_path, stamped_with_ends)
    assert f"{recording.bars[0].start:%H:%M}, {recording.bars[-1].start:%H:%M}" == "09:15, 15:29"
    assert "the end of their bars: no bar is stamped with the open" in recording.understood.sentences()[1]
    told = read(tmp_path, stamped_with_ends, ReadingOptions(stamps=Stamps.START))
    assert f"{told.bars[0].start:%H:%M}" == "09:16"


def test_a_special_session_can_be_named(tmp_path: Path) -> None:
    diwali = [datetime.fromisoformat(f"2019-10-27T18:{minute}:00+05:30") for minute in (15, 16)]
    recording = read(tmp_path, ours_of(*diwali), ReadingOptions(session=SessionHours(time(18, 15), time(19, 15))))
    assert len(recording.bars) == 2
    assert (
        "27 Oct 2019 is a Sunday: look whether day and month were read as they are meant"
        in recording.understood.sentences()
    )


def test_a_day_that_is_yet_to_come_is_remarked_for_people_and_for_programs(tmp_path: Path) -> None:
    look = "look whether day and month were read as they are meant"
    doubt = f"09 Jul 2019 is yet to come by the clock of this machine: {look}"
    misread = read(tmp_path, KAGGLE, ReadingOptions(today=date(2019, 7, 8))).understood
    assert misread.sentences()[-1] == doubt
    assert misread.as_json()["doubts"] == [doubt]
    assert read(tmp_path, KAGGLE, ReadingOptions(today=date(2019, 7, 9))).understood.doubts == ()


def test_gaps_are_named_from_the_open_to_the_close(tmp_path: Path) -> None:
    said = read(tmp_path, ours_of(*minutes(5, 6, 20, 21))).understood.sentences()[2]
    assert said == "3 gaps without bars: 09:15 to 09:20, 09:22 to 09:35, 09:37 to 15:30"


def test_rows_that_say_nothing_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = KAGGLE.splitlines()
    rows = [*lines, lines[2], "2019-07-09 09:17:00,NaN,,nan,null,0", lines[0], "", ",,,,,"]
    understood = read(tmp_path, "\n".join(rows)).understood
    assert understood.dropped == {"twice in the file": 1, "without prices": 1, "header again": 1}
    assert "1 row dropped: twice in the file" in understood.sentences()


def test_the_noise_of_floats_is_rounded_and_said(tmp_path: Path) -> None:
    assert "The prices of 2 bars were rounded to the paisa" in read(tmp_path, YFINANCE).understood.sentences()


def test_indian_grouping_of_digits_is_read(tmp_path: Path) -> None:
    prices = '"1,43,400.00","1,43,500.50","1,43,300","1,43,400.05"'
    content = ours(*(f"{at.isoformat()},{prices},1" for at in minutes(0, 1)))
    assert read(tmp_path, content).bars[0].high == 14_350_050


def test_five_minute_bars_are_known_as_such(tmp_path: Path) -> None:
    assert "3 bars of 5 minutes" in read(tmp_path, ours_of(*minutes(0, 5, 10))).understood.sentences()[0]


def test_a_short_bar_that_is_stamped_with_its_end_begins_where_the_one_before_has_ended(tmp_path: Path) -> None:
    file = a_file(tmp_path, ours_of(*minutes(5, 10, 15, 16, 20, 25)))
    bars = read_recording(file, ReadingOptions(stamps=Stamps.END)).bars
    assert [bar.start for bar in bars] == minutes(0, 5, 10, 15, 16, 20)  # at 09:31 nothing of 09:26 was new
