"""Logins on their way: each in a signed cookie of its own, so that only its browser can end it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer
from werkzeug.http import dump_cookie
from werkzeug.wrappers import Request, Response

from embedjwt.errors import RequestRefused
from embedjwt.oidc.authorization import LIFE, LoginAttempt

_SALT = "embedjwt login"
_PREFIX = "embedjwt_login_"

_MAX_COOKIES = 4
"""Logins that one browser may have on their way; the oldest are given up for new ones."""


class AttemptCookies:
    """``keys`` sign, newest last. ``secure`` is as for the session's cookie."""

    def __init__(
        self,
        keys: Sequence[bytes],
        *,
        secure: bool,
        samesite: Literal["lax", "strict", "none"],
        clock: Callable[[], float],
    ) -> None:
        self._serializer = URLSafeSerializer(
            list(keys), salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._prefix = f"__Host-{_PREFIX}" if secure else _PREFIX
        self._secure = secure
        # The provider sends the browser back from another site: Strict would not come along.
        self._samesite = "None" if samesite == "none" else "Lax"
        self._clock = clock

    def set(self, request: Request, response: Response, attempt: LoginAttempt) -> None:
        """Give the browser a login to bring to an end."""
        ours = [name for name in request.cookies if name.startswith(self._prefix)]
        for name in ours[: max(0, len(ours) - _MAX_COOKIES + 1)]:
            self._add(response, name, "", 0)
        value = self._serializer.dumps(asdict(attempt))
        text = value if isinstance(value, str) else value.decode("ascii")
        self._add(response, self._name(attempt.state), text, LIFE)

    def get(self, request: Request) -> LoginAttempt:
        """The login that this answer of a provider belongs to.

        ``RequestRefused`` with the code ``login_unknown`` where it did not begin in this browser,
        or too long ago.
        """
        values = request.cookies.getlist(self._name(request.args.get("state", "")))
        attempt = self._verified(values[0]) if len(values) == 1 else None
        if attempt is None or self._clock() >= attempt.expires_at:
            raise RequestRefused(
                "This sign-in did not begin in this browser, or took too long.",
                code="login_unknown",
                hint="the login's cookie is missing, changed or older than ten minutes: a forged "
                "or repeated callback, a browser without cookies, or another host name than issuer",
            )
        return attempt

    def delete(self, response: Response, attempt: LoginAttempt) -> None:
        """Take a login that has ended away from the browser."""
        self._add(response, self._name(attempt.state), "", 0)

    def _verified(self, value: str) -> LoginAttempt | None:
        try:
            return LoginAttempt(**self._serializer.loads(value))
        except (BadData, TypeError):  # of another release, at worst
            return None

    def _name(self, state: str) -> str:
        return self._prefix + hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:16]

    def _add(self, response: Response, name: str, value: str, max_age: int) -> None:
        cookie = dump_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite=self._samesite,
            sync_expires=False,
        )
        response.headers.add("Set-Cookie", cookie)
