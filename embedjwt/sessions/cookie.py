"""The cookie that holds a session's id, signed, and nothing else."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from itsdangerous import BadData, TimestampSigner
from werkzeug.http import dump_cookie
from werkzeug.wrappers import Request, Response

from embedjwt.errors import SessionRefused
from embedjwt.sources.carrier import Cookie

# An id, its time and 32 bytes of HMAC, in base64url as it is written: readers of base64 pass over
# other characters and spare bits, so that one cookie would have many values.
_SIGNED = re.compile(r"[\w-]{1,128}\.[\w-]{1,8}\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)

_MAX_SKEW = 60
"""Seconds by which the clock of the process that signed the cookie may run ahead of ours."""


class SessionCookie:
    """Signs with the newest of several ``keys``, verifies with any; newest last.

    With ``secure`` its name begins with ``__Host-``, so that no other host, nor anyone on an
    unencrypted connection, can plant one (RFC 6265bis section 4.1.3.2). Without, for an http issuer
    on loopback, it has the bare name. ``max_age`` is in seconds, for the browser and here.
    What is signed for one ``purpose`` is nothing to another.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[bytes],
        *,
        secure: bool,
        samesite: Literal["lax", "strict", "none"],
        max_age: int,
        clock: Callable[[], float] = time.time,
        purpose: str = "session",
    ) -> None:
        self.name = f"__Host-{name}" if secure else name
        self._carrier = Cookie(self.name)
        self._secure = secure
        self._samesite = samesite.capitalize()
        self._max_age = max_age
        self._clock = clock
        self._signer = _Signer(keys, f"embedjwt {purpose}", clock)

    def read(self, request: Request) -> str | None:
        """The session's id; ``None`` where the request has no such cookie.

        Raises :class:`SessionRefused`: ``session_invalid`` where we did not sign it so,
        ``cookie_expired`` and ``cookie_not_yet_valid`` for its age, ``credential_ambiguous`` where
        there are two of them.
        """
        value = self._carrier.read(request)
        if value is None:
            return None
        session_id, signed_at = self._verified(value)
        self._check_age(signed_at)
        return session_id

    def read_all(self, request: Request) -> list[str]:
        """Every id that one of the cookies of this name holds, for whoever wants to end them."""
        found: list[str] = []
        for value in request.cookies.getlist(self.name):
            with suppress(SessionRefused):
                found.append(self._verified(value)[0])
        return found

    def set(self, response: Response, session_id: str, *, partitioned: bool = False) -> None:
        """Give the browser the id.

        ``partitioned``: for this host below pages of the one site that embeds it now, even where
        third-party cookies are blocked (CHIPS); such a cookie is ``SameSite=None``.
        """
        value = self._signer.sign(session_id).decode("ascii")
        self._add(response, value, self._max_age, partitioned=partitioned)

    def delete(self, response: Response, *, partitioned: bool = False) -> None:
        """Take it away from the browser."""
        self._add(response, "", 0, partitioned=partitioned)

    def _verified(self, value: str) -> tuple[str, int]:
        try:
            if not _SIGNED.fullmatch(value):
                raise BadData("not of our making")
            # Without max_age, to tell what is old from what is not ours.
            session_id, signed_at = self._signer.unsign(value, return_timestamp=True)
            return session_id.decode("ascii"), int(signed_at.timestamp())
        except (BadData, ValueError, OverflowError, OSError):
            raise SessionRefused(
                "The session cookie's signature is not valid.",
                hint=f"cookie {self.name!r} was changed, or signed with a key that is no longer "
                "among ours; signing in again replaces it",
            ) from None

    def _check_age(self, signed_at: int) -> None:
        now = self._clock()
        if signed_at > now + _MAX_SKEW:
            raise SessionRefused(
                "The session cookie is not valid yet.",
                code="cookie_not_yet_valid",
                hint=f"it was signed more than {_MAX_SKEW} s in the future; compare the clocks",
            )
        if now >= signed_at + self._max_age:
            raise SessionRefused(
                "The session cookie has expired.",
                code="cookie_expired",
                hint=f"it was signed {self._max_age} s ago or longer; signing in again replaces it",
            )

    def _add(self, response: Response, value: str, max_age: int, *, partitioned: bool) -> None:
        partitioned = partitioned and self._secure  # browsers ignore such a cookie from http
        cookie = dump_cookie(
            self.name,
            value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="None" if partitioned else self._samesite,
            partitioned=partitioned,
            sync_expires=False,  # Max-Age does not depend on the browser's clock
        )
        response.headers.add("Set-Cookie", cookie)


class _Signer(TimestampSigner):
    """With a clock that can be passed."""

    def __init__(self, keys: Sequence[bytes], salt: str, clock: Callable[[], float]) -> None:
        super().__init__(list(keys), salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())
