"""Bodies, numbers, ids and methods that mean no good, sent to the application behind uvicorn."""

import contextlib
import gzip
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from api.edge.http_protocol import MAX_HEADER_BYTES
from api.edge.middleware import MAX_BODY_BYTES
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.served import served, settings_of
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

JSON = {"Content-Type": "application/json"}
LOGIN = b'{"email": "a@example.com", "password": "%s"}'


@pytest.fixture(scope="module")
def real_server(
    postgres_url: str, redis_url: str, paper: PaperExchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the application behind uvicorn."""
    with served(settings_of(postgres_url, redis_url, paper.url, tmp_path_factory.mktemp("api"))) as url:
        yield url


@pytest.fixture
async def web(real_server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks HTTP to it."""
    async with httpx.AsyncClient(base_url=real_server, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def tokens(real_server: str) -> dict[str, str]:
    """Those of a user there."""
    body = {"email": "bad.requests@example.com", "password": PASSWORD}
    with httpx.Client(base_url=real_server, trust_env=False) as client:
        answer = client.post("/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.fixture
def web_user(web: httpx.AsyncClient, tokens: dict[str, str]) -> ApiUser:
    """The user."""
    return ApiUser(web, "bad.requests@example.com", tokens)


async def test_the_largest_body_is_read(web: httpx.AsyncClient) -> None:
    frame = len(LOGIN % b"")
    answer = await web.post("/auth/login", content=LOGIN % (b"x" * (MAX_BODY_BYTES - frame)), headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "password")


async def test_a_large_body_in_chunks_is_refused_when_it_is_too_large(web: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 16 * 1024

    answer = await web.post("/auth/login", content=chunks(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert (await web.get("/healthz")).status_code == 200


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "OPTIONS", "PUT", "HEAD"])
async def test_a_method_that_is_not_known_is_answered_with_those_that_are(web: httpx.AsyncClient, method: str) -> None:
    answer = await web.request(method, "/strategy/1")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "PATCH", "DELETE"}
    assert method == "HEAD" or answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "must be given", id="empty"),
        pytest.param(b"[" * MAX_BODY_BYTES, "is not valid JSON", id="nested deeply"),
        pytest.param(b'{"a":' * 10_000, "is not valid JSON", id="objects nested deeply"),
        pytest.param(b'{"email": "\xff\xfe", "password": "x"}', "is not valid JSON", id="not UTF-8"),
        pytest.param(b'{"email": "a@example.com"', "is not valid JSON", id="cut off"),
        pytest.param(b"[]", "must be a JSON object", id="a list"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"text"', "must be a JSON object", id="a text"),
        pytest.param(b'{"email": "a@example.com", "email": "b@example.com", "password": "x"}', "twice", id="twice"),
        pytest.param(b'{"email": "a@example.com", "password": "x", "n": {"a": 1, "a": 2}}', "twice", id="twice inside"),
        pytest.param(b'{"email": "a@example.com", "password": NaN}', "NaN", id="NaN"),
        pytest.param(b'{"email": "a@example.com", "password": -Infinity}', "Infinity", id="Infinity"),
        pytest.param(b'{"email": "a@example.com", "password": ' + b"9" * 5000 + b"}", "is not valid JSON", id="huge"),
        pytest.param(b'{"email": "a@example.com", "password": "\\ud800"}', "Unicode", id="half a surrogate pair"),
        pytest.param(b'{"email": "\\udfff@example.com", "password": "x"}', "email", id="half a pair in the address"),
        pytest.param(b'{"email": "a\\u0000@example.com", "password": "x"}', "NUL", id="NUL"),
        pytest.param(b'{"email": "a@example.com", "password": "x", "admin": true}', "not known", id="one more field"),
    ],
)  # fmt: skip
async def test_a_body_that_means_no_good_is_refused(web: httpx.AsyncClient, body: bytes, message: str) -> None:
    answer = await web.post("/auth/login", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "; ,"]
)
async def test_only_json_is_taken_for_json(web: httpx.AsyncClient, content_type: str) -> None:
    answer = await web.post("/auth/login", content=LOGIN % b"x", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body")


NUMBERS = ("1e309", "-1e309", "1e-400", "9" * 400, "-0.0", "true", '"10"', "NaN")


@pytest.mark.parametrize(
    ("field", "number"),
    [*itertools.product(("quantity", "stop_loss"), NUMBERS), ("quantity", "10.5"), ("stop_loss", "10.555")],
)
async def test_a_number_that_is_no_sensible_one_is_refused(web_user: ApiUser, field: str, number: str) -> None:
    values = {"symbol": '"INFY"', "buy_time": '"09:30"', "sell_time": '"15:10"', "stop_loss": "10.5", "quantity": "10"}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in (values | {field: number}).items()) + "}"
    headers = JSON | {"Authorization": f"Bearer {web_user.tokens['access_token']}"}
    answer = await web_user.client.post("/strategy/create", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == ("body" if number == "NaN" else field)


@pytest.mark.parametrize("path_id", ["0", "-1", "01", "9" * 17, "9" * 5000, "1.0", "NaN", "%ff", "1%2f", "٣"])
async def test_an_id_that_is_none_is_no_path(web_user: ApiUser, path_id: str) -> None:
    answer = await web_user.call("GET", f"/strategy/{path_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_id_that_no_reader_of_json_takes_exactly_is_refused(web_user: ApiUser) -> None:
    answers = [await web_user.call("GET", f"/strategy/{2**53 - below}") for below in (0, 1)]
    assert [answer.status_code for answer in answers] == [422, 404]


@pytest.mark.parametrize("path", ["list", "create", "start", "events"])
async def test_a_word_is_no_id_for_another_method(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.patch(f"/strategy/{path}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST" if path in {"create", "start"} else "GET")


@pytest.mark.parametrize(("coding", "body"), [("gzip", gzip.compress(LOGIN)), ("br", b"\x0b\x02\x80{}\x03")])
async def test_a_compressed_body_is_said_to_be_one(web: httpx.AsyncClient, coding: str, body: bytes) -> None:
    answer = await web.post("/auth/login", content=body, headers=JSON | {"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"] == "body: is compressed: send it as it is, without Content-Encoding"


# --- headers without end -----------------------------------------------------------------------------------------

CHUNKED = (
    b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ENDLESS = {
    "many headers": (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "one header": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-More: ", b"x" * 1000),
    "the request line": (b"GET /healthz?", b"x" * 1000),
    "empty lines before a request": (b"", b"\r\n" * 500),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-More: ", b"x" * 1000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_headers_without_end_take_no_memory_that_strategies_need(real_server: str, kind: str) -> None:
    head, more = ENDLESS[kind]
    address = ("127.0.0.1", int(real_server.rpartition(":")[2]))
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(head)
        sent = 0
        with contextlib.suppress(ConnectionError):  # the server has closed the connection
            while sent < 8 * 1024 * 1024:
                client.sendall(more * 16)
                sent += len(more) * 16
        heard = b""
        with contextlib.suppress(ConnectionError):
            heard = client.recv(1000)
    # What the sockets of both sides hold is not read by the server.
    assert sent < 8 * 1024 * 1024
    assert heard == b"" or heard.split()[1] in (b"431", b"422")


def test_headers_that_end_but_are_too_many_get_an_answer(real_server: str) -> None:
    with httpx.Client(base_url=real_server, trust_env=False) as client:
        fits = client.get("/healthz", headers={"X-More": "x" * (MAX_HEADER_BYTES - 1000)})
        refused = client.get("/healthz", headers={"X-More": "x" * MAX_HEADER_BYTES})
        again = client.get("/healthz")
    assert (fits.status_code, refused.status_code, again.status_code) == (200, 431, 200)
    assert (refused.json()["code"], refused.headers["Connection"]) == ("headers_too_large", "close")


async def test_a_body_does_not_count_as_headers(web: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 60

    for _ in range(3):  # on one connection
        answer = await web.post("/auth/login", content=chunks(), headers=JSON)
        assert answer.status_code == 422
