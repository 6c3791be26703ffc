"""One root error: a stable code, an HTTP status, a public text, and a hint for the operator."""

from __future__ import annotations

from typing import ClassVar


class EmbedJWTError(Exception):
    """Anything embedjwt refuses or fails at.

    ``code`` is stable and machine-readable; ``detail`` may be shown to anyone and never holds a
    token, a secret or a claim's value; ``hint`` tells the operator what to do and stays in logs, in
    ``embedjwt explain`` and on the operator's terminal.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        if code is not None:
            self.code = code  # type: ignore[misc]  # a more exact code than the class's own

    def diagnostics(self) -> str:
        """The text for the person at the terminal: what happened, then what to do."""
        return f"{self.detail}\n  {self.hint}" if self.hint else self.detail


class RequestRefused(EmbedJWTError):
    """The request itself is wrong: its body, its size, its origin."""

    code = "invalid_request"
    status = 400


class NoSession(EmbedJWTError):
    """No session source recognised the request: the person has to sign in at the host app."""

    code = "login_required"
    status = 401


class SessionRefused(EmbedJWTError):
    """A source recognised the request but could not verify it; nothing else may answer for it."""

    code = "session_invalid"
    status = 401


class MappingRefused(EmbedJWTError):
    """The verified claims do not make an identity that Grafana would take."""

    code = "mapping_failed"
    status = 403


class AdmissionRefused(EmbedJWTError):
    """The identity is known, and may not have a token."""

    code = "not_admitted"
    status = 403


class UpstreamUnavailable(EmbedJWTError):
    """Something we must ask (a JWKS URL, a discovery document) did not answer usably."""

    code = "upstream_unavailable"
    status = 503


class KeysUnavailable(EmbedJWTError):
    """The key store cannot be read, or holds no key that may sign."""

    code = "keys_unavailable"
    status = 503


class KeysExposed(KeysUnavailable):
    """Others can read or change what only embedjwt may: it may be known, or not be ours."""

    code = "keys_exposed"


class RingDamaged(KeysUnavailable):
    """The key ring was read and is not whole; nobody can change it from there, only replace it."""


class StoreReadOnly(KeysUnavailable):
    """This process may read the key store, and not change it."""

    code = "keys_read_only"


class StoreBusy(KeysUnavailable):
    """Another process changes the key store right now."""

    code = "keys_busy"


class TransitionRefused(EmbedJWTError):
    """What was asked of a key would be unsafe, or is no transition of the state it is in."""

    code = "key_transition_refused"
    status = 409
