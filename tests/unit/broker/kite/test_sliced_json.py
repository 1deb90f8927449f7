"""A long list of JSON read row by row is what `json.loads` makes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.kite.answers import sliced_json
from broker.kite.answers.sliced_json import read_json

ROWS = st.lists(st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=8))))


@pytest.fixture(autouse=True)
def slices_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliced_json, "_LONG", 0)


@given(ROWS, st.sampled_from([None, 0, 2]), st.booleans(), st.booleans())
def test_it_is_what_json_makes_of_it(rows: list[Any], indent: int | None, ascii_only: bool, status: bool) -> None:
    said = ({"status": "success"} if status else {}) | {"data": rows, "more": [1]}
    text = json.dumps(said, indent=indent, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "surrogatepass")
    assert read_json(body) == json.loads(body)


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [1, 2]}',
        '{"data": []}',
        '{"status": "success", "data": [{"a": [1]}], "data": [2]}',
        '{"data": [{"a": 1}], "data": {}}',
        '{"data": {"net": []}}',
        '{"data": "[1]"}',
        "[1]",
        "7",
    ],
)
def test_whatever_the_envelope_is(text: str) -> None:
    assert read_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text", ['{"data": [1,]}', '{"data": [1 2]}', '{"data": [1', '{"data": [1]', "", '{"data": [,]}']
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text.encode())
