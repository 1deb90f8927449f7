"""The proxy of an account: what is one, and that its password stays in."""

import pytest

from broker.proxy import Proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://203.0.113.7:3128", Proxy("203.0.113.7", 3128)),
        ("http://203.0.113.7:3128/", Proxy("203.0.113.7", 3128)),
        ("http://Egress-1.example.com:8080", Proxy("egress-1.example.com", 8080)),
        ("http://[2001:DB8::7]:3128", Proxy("2001:db8::7", 3128)),
        ("http://asha:s3cret@egress:3128", Proxy("egress", 3128, "asha", "s3cret")),
        ("http://asha@egress:3128", Proxy("egress", 3128, "asha")),
        ("http://asha:a:b@egress:3128", Proxy("egress", 3128, "asha", "a:b")),
        ("http://as%40ha:p%2F%3A%20%25@egress:1", Proxy("egress", 1, "as@ha", "p/: %")),
    ],
)
def test_what_a_proxy_is(url: str, proxy: Proxy) -> None:
    assert Proxy.parse(url) == proxy
    assert Proxy.parse(proxy.url) == proxy


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "http://"),
        ("egress:3128", "http://"),
        ("https://egress:3128", "http://"),
        ("socks5://egress:1080", "http://"),
        ("http://egress", "port"),
        ("http://egress:", "port"),
        ("http://egress:0", "port"),
        ("http://egress:65536", "port"),
        ("http://egress:+80", "port"),
        ("http://:3128", "host"),
        ("http://asha:s3cret@:3128", "host"),
        ("http://[::1:3128", "address"),
        ("http://[nonsense]:3128", "host|address"),
        ("http://egress\\evil:3128", "host"),
        ("http://-egress:3128", "host"),
        ("http://egress:3128/path", "after the port"),
        ("http://egress:3128?q", "after the port"),
        ("http://egress:3128?", "after the port"),
        ("http://egress:3128#", "after the port"),
        ("http://asha:s3/cret@egress:3128", "after the port"),
        ("http://@egress:3128", "user"),
        ("http://:s3cret@egress:3128", "user"),
        ("http://as%3Aha:s3cret@egress:3128", "colon"),
        ("http://asha:s3%0D%0Acret@egress:3128", "printable"),
        ("http://asha:s3%C3%A9cret@egress:3128", "printable"),
        ("http://asha:s3 cret@egress:3128", "printable"),
        ("http://egress\n:3128", "printable"),
    ],
)
def test_what_is_none_is_refused_without_being_repeated(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        Proxy.parse(url)
    assert "s3" not in str(refused.value)
    assert "evil" not in str(refused.value)


def test_text_forms_hold_no_password() -> None:
    proxy = Proxy.parse("http://asha:s3cret@egress:3128")
    assert str(proxy) == proxy.authority == "egress:3128"
    assert repr(proxy) == "Proxy(host='egress', port=3128)"
    assert str(Proxy.parse("http://[::1]:80")) == "[::1]:80"


def test_a_tunnel_is_asked_for_with_the_password_and_nothing_else_is_told() -> None:
    assert Proxy("egress", 3128).tunnel_request("api.kite.trade", 443) == (
        b"CONNECT api.kite.trade:443 HTTP/1.1\r\nHost: api.kite.trade:443\r\n\r\n"
    )
    assert Proxy("egress", 3128, "asha", "s3cret").tunnel_request("::1", 443) == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic YXNoYTpzM2NyZXQ=\r\n\r\n"
    )
