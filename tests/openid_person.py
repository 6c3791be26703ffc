"""A person with a browser, who walks through redirects and fills in a provider's forms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

PASSWORD = "a password of the tests"
MAX_HOPS = 25


class FormShown(AssertionError):
    """A page asks the person for something the test did not allow."""


class LoginFormShown(FormShown):
    """The provider wants the person to sign in, or to consent."""


class LogoutFormShown(FormShown):
    """The provider asks whether to sign the person out."""


@dataclass(frozen=True)
class Arrival:
    """Where a journey ended."""

    url: str
    answer: requests.Response  # the page at ``url``; the redirect to it where the journey stopped
    asked: tuple[str, ...]  # every URL that was asked, in order

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))


class Person:
    """One browser profile: cookies are kept, and as in browsers shared by all ports of a host.

    Secure cookies go over http too, as browsers do it for localhost. SameSite is not modelled.
    """

    def __init__(self) -> None:
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.browser.headers["Accept"] = "text/html,*/*;q=0.8"
        self.browser.cookies.set_policy(DefaultCookiePolicy(secure_protocols=("https", "http")))

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def follow(
        self,
        url: str,
        until: str | None = None,
        *,
        log_in_as: str | None = None,
        log_out: bool = False,
    ) -> Arrival:
        """Opens ``url`` and follows redirects to the first page that is no redirect.

        With ``until`` the journey stops at the first redirect to a URL that begins so, and that
        URL is not asked; ending anywhere else is an ``AssertionError``. Login and consent forms
        are filled in as ``log_in_as``, logout forms with ``log_out``; without them such a form
        raises ``LoginFormShown`` or ``LogoutFormShown``.
        """
        asked = [url]
        answer = self._request("GET", url)
        while len(asked) < MAX_HOPS:
            if answer.is_redirect:
                target = urljoin(answer.url, answer.headers["Location"])
                if until is not None and target.startswith(until):
                    return Arrival(target, answer, tuple(asked))
                asked.append(target)
                answer = self._request("GET", target)
                continue
            form = _provider_form(answer)
            if form is None:
                if until is not None:
                    page = f"{answer.status_code} {answer.text[:500]}"
                    raise AssertionError(f"ended at {answer.url}, not at {until}: {page}")
                return Arrival(answer.url, answer, tuple(asked))
            asked.append(form.action)
            answer = self._request("POST", form.action, data=form.filled_in(log_in_as, log_out))
        raise AssertionError(f"more than {MAX_HOPS} hops: {asked}")

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, whatever its path."""
        return next((c.value for c in self.browser.cookies if c.name == name), None)

    def _request(self, method: str, url: str, **options: Any) -> requests.Response:
        return self.browser.request(method, url, allow_redirects=False, timeout=30, **options)


@dataclass
class _Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: set[tuple[str, str]] = field(default_factory=set)

    def asks_to_sign_in(self) -> bool:
        wanted = {"login", "password", "prompt"} & self.fields.keys()
        return bool(wanted) or ("answer", "accept") in self.buttons

    def asks_to_sign_out(self) -> bool:
        return "xsrf" in self.fields or ("answer", "logout") in self.buttons

    def filled_in(self, log_in_as: str | None, log_out: bool) -> dict[str, str]:
        if self.asks_to_sign_in():
            if log_in_as is None:
                raise LoginFormShown(self.action)
            known = {"login": log_in_as, "password": PASSWORD}
            filled = {name: known.get(name, value) for name, value in self.fields.items()}
            return filled | dict(self.buttons & {("answer", "accept")})
        if "logout" in self.fields:  # posted by the page itself: nobody is signed in
            return self.fields
        if not log_out:
            raise LogoutFormShown(self.action)
        return self.fields | dict(self.buttons & {("answer", "logout"), ("logout", "yes")})


def _provider_form(answer: requests.Response) -> _Form | None:
    """The form by which a provider asks a person for something, on this page."""
    if not answer.headers.get("Content-Type", "").startswith("text/html"):
        return None
    page = _Page(answer.url)
    page.feed(answer.text)
    return page.wanted()


class _Page(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._forms: list[_Form] = []
        self._buttons: set[tuple[str, str]] = set()

    def wanted(self) -> _Form | None:
        for form in self._forms:
            form.buttons |= self._buttons  # some stand outside and name their form
            if form.asks_to_sign_in() or form.asks_to_sign_out():
                return form
        return None

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        name, value = given.get("name"), given.get("value", "")
        if tag == "form":
            self._forms.append(_Form(urljoin(self._url, given.get("action", ""))))
        elif tag == "button" and name:
            self._buttons.add((name, value))
        elif tag == "input" and name and self._forms:
            self._forms[-1].fields[name] = value
