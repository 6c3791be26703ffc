"""How a client shows a provider who it is (RFC 6749 section 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from embedjwt.outbound import Answer, Outbound

BASIC = "client_secret_basic"
POST = "client_secret_post"
_METHODS = {"InHeader": BASIC, "InParams": POST}


class AuthenticatedClient:
    """Posts forms to a provider's endpoints as one client.

    ``auth_style`` is Grafana's: ``InHeader``, ``InParams``, or ``AutoDetect``, which tries the one
    and then the other and remembers what worked. Without a secret the client is a public one: its
    id goes into the form. Safe to share between threads.
    """

    def __init__(
        self, outbound: Outbound, *, client_id: str, client_secret: str | None, auth_style: str
    ) -> None:
        self._outbound = outbound
        self._id = client_id
        self._secret = client_secret
        self._method = _METHODS.get(auth_style)

    def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        deadline: float,
        from_data_of: str | None = None,
        supported: Sequence[str] = (),
    ) -> Answer:
        """The answer to a form, whatever its status.

        ``deadline`` and ``from_data_of`` as ``Outbound`` has them. ``supported`` is what the
        provider's metadata says of the endpoint; empty where it says nothing.
        """
        known = self._method
        first = known or (POST if POST in supported and BASIC not in supported else BASIC)
        answer = self._post(url, form, first, deadline, from_data_of)
        if known is not None or self._secret is None:
            return answer
        if not _client_refused(answer):
            self._remember(first, answer)
            return answer
        second = POST if first == BASIC else BASIC
        answer = self._post(url, form, second, deadline, from_data_of)
        self._remember(second, answer)
        return answer

    def _remember(self, method: str, answer: Answer) -> None:
        # An outage, or a proxy's error, says nothing about how clients are recognised.
        if answer.status == 200:
            self._method = method

    def _post(
        self,
        url: str,
        form: Mapping[str, str],
        method: str,
        deadline: float,
        from_data_of: str | None,
    ) -> Answer:
        basic = None
        if self._secret is None:
            form = {**form, "client_id": self._id}
        elif method == POST:
            form = {**form, "client_id": self._id, "client_secret": self._secret}
        else:
            # %20 and not +, which some take for itself (canaille 0.3).
            basic = (quote(self._id, safe=""), quote(self._secret, safe=""))
        return self._outbound.post_form(
            url, form, basic=basic, deadline=deadline, from_data_of=from_data_of
        )


_ABOUT_THE_CLIENT = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_request", "incorrect_client_credentials"}
)
"""RFC 6749 section 5.2, what is found where ``client_id`` was expected, and GitHub's word."""


def _client_refused(answer: Answer) -> bool:
    """Whether the other way of showing who we are might be the right one."""
    document = answer.document
    error = document.get("error") if isinstance(document, dict) else None
    named = isinstance(error, str) and error in _ABOUT_THE_CLIENT
    return answer.status in (401, 403) or (answer.status < 500 and named)
