"""A browser on the broker's login page: it fills the form in, and follows where the answer leads."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

PASSWORD = "paper"


class LoginForm(HTMLParser):
    """The one form of a page: where it goes, and its fields with their values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.method = "", ""
        self.fields: dict[str, str] = {}
        self.choices: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form and what is in it."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action, self.method = given["action"], given["method"]
        elif tag == "input":
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self.choices.append(given["value"])


@dataclass
class Browser:
    """Without cookies and without tokens of ours, as a browser that was led there from a message."""

    headers: dict[str, str] = field(default_factory=dict)

    def open(self, url: str) -> httpx.Response:
        """A page, where no redirect is followed."""
        with httpx.Client(trust_env=False) as client:
            return client.get(url, headers=self.headers)

    def submit(self, url: str, choice: str = "login", **typed: str) -> httpx.Response:
        """What the login page answers to its form, filled in with these fields."""
        form = LoginForm(self.open(url).text)
        assert form.method == "post"
        assert choice in form.choices
        origin = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        headers = self.headers | {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        with httpx.Client(trust_env=False) as client:
            return client.post(
                urljoin(url, form.action), data=form.fields | {"choice": choice} | typed, headers=headers
            )

    def log_in(self, url: str, user_id: str) -> str:
        """The address that a login at the broker leads back to."""
        answer = self.submit(url, user_id=user_id, password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def cancel(self, url: str) -> str:
        """The address that a cancelled login leads back to."""
        answer = self.submit(url, "cancel")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])
