"""A hardware security module's token, through PKCS#11 (OASIS, version 2.40): one lasting session.

Imported by ``pkcs11.py`` alone, which says what to do where the library is missing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import TokenFlag
from pkcs11 import exceptions as failed
from pkcs11._pkcs11 import lib
from pkcs11.types import Session, Token

from embedjwt.errors import KeysUnavailable

_Result = TypeVar("_Result")

# Exact types: PKCS11Error itself stands for vendors' codes and for CKR_CRYPTOKI_NOT_INITIALIZED.
_LOST = (
    failed.PKCS11Error,
    failed.DeviceError,
    failed.DeviceRemoved,
    failed.FunctionFailed,
    failed.GeneralError,
    failed.KeyHandleInvalid,
    failed.ObjectHandleInvalid,
    failed.SessionClosed,
    failed.SessionHandleInvalid,
    failed.SlotIDInvalid,
    failed.TokenNotPresent,
    failed.TokenNotRecognised,
    failed.UserNotLoggedIn,
)
_PIN_REFUSED = (
    failed.PinIncorrect,
    failed.PinInvalid,
    failed.PinLenRange,
    failed.PinLocked,
    failed.PinExpired,
    failed.UserPinNotInitialized,
)
_RESTART = "then restart embedjwt: it never tries a PIN again by itself, for tokens lock"
_WRONG_PIN = ("refuses the PIN", f"correct [keys.pkcs11] pin_file, {_RESTART}")
_OTHER_ALG = "set [keys] algorithm to one that the token offers"
_CANNOT_KEEP = ("refuses such a key", "its rules forbid what embedjwt asks for; see its manual")
_ADVICE = {
    failed.PinIncorrect: _WRONG_PIN,
    failed.PinInvalid: _WRONG_PIN,
    failed.PinLenRange: _WRONG_PIN,
    failed.PinLocked: ("has locked the PIN", f"unlock it as security officer, {_RESTART}"),
    failed.PinExpired: ("wants a new PIN", f"set one with the vendor's tool, {_RESTART}"),
    failed.UserPinNotInitialized: ("has no PIN", f"set one as security officer, {_RESTART}"),
    failed.AnotherUserAlreadyLoggedIn: ("has another user logged in", "log that one out"),
    failed.MechanismInvalid: ("does not offer the mechanism", _OTHER_ALG),
    failed.MechanismParamInvalid: ("does not offer the mechanism", _OTHER_ALG),
    failed.DomainParamsInvalid: ("does not offer the curve", _OTHER_ALG),
    failed.KeySizeRange: ("does not offer keys of this size", _OTHER_ALG),
    failed.AttributeReadOnly: _CANNOT_KEEP,
    failed.AttributeTypeInvalid: _CANNOT_KEEP,
    failed.AttributeValueInvalid: _CANNOT_KEEP,
    failed.FunctionNotSupported: _CANNOT_KEEP,
    failed.TemplateIncomplete: _CANNOT_KEEP,
    failed.TemplateInconsistent: _CANNOT_KEEP,
    failed.TokenWriteProtected: ("is write-protected", "embedjwt makes and destroys keys there"),
    failed.DeviceMemory: ("is full", "make room with the vendor's tool"),
    failed.SessionCount: ("has no session left", "allow as many as embedjwt has processes"),
}


class Hsm:
    """One token. ``module``: the vendor's library; ``pin``: the user's, where it wants one.

    Shared by all threads, of which one at a time has the session.
    """

    def __init__(self, module: Path, token_label: str, pin: str | None) -> None:
        self._library = _libraries.setdefault(str(module), _Library(str(module)))
        self._label = token_label
        self._pin = pin
        self._refused: failed.PKCS11Error | None = None
        self._session: Session | None = None
        self._era = -1

    def use(self, action: Callable[[Session], _Result]) -> _Result:
        """Do something in the session; once more in a new one, where it turns out to be lost.

        Raises :class:`KeysUnavailable` for whatever PKCS#11 refuses.
        """
        with self._library.lock:
            try:
                try:
                    return action(self._opened())
                except failed.PKCS11Error as error:
                    if type(error) not in _LOST:
                        raise
                self._library.end()
                return action(self._opened())
            except failed.PKCS11Error as error:
                raise self._unavailable(error) from error

    def _opened(self) -> Session:
        if self._session is None or self._era != self._library.era:
            self._session = None
            self._session = self._open()
            self._era = self._library.era
        return self._session

    def _open(self) -> Session:
        if self._refused is not None:
            raise self._unavailable(self._refused)
        token = self._token(self._library.started())
        try:
            return token.open(rw=True, user_pin=self._credentials(token))
        except failed.UserAlreadyLoggedIn:  # elsewhere in this process, which counts for all of it
            return token.open(rw=True)
        except _PIN_REFUSED as error:
            self._refused = error
            raise

    def _token(self, library: lib) -> Token:
        tokens = [
            token for token in library.get_tokens() if token.flags & TokenFlag.TOKEN_INITIALIZED
        ]
        found = [token for token in tokens if token.label == self._label]
        if len(found) == 1:
            return found[0]
        self._library.end()  # many notice a new token only when they start
        labels = ", ".join(sorted(repr(token.label) for token in tokens)) or "none"
        raise KeysUnavailable(
            f"{len(found) or 'no'} HSM tokens have the label {self._label!r}",
            hint=f"set [keys.pkcs11] token_label to a label that one token has; found: {labels}",
            code="hsm_unavailable",
        )

    def _credentials(self, token: Token) -> Any:
        if self._pin is not None and token.flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise KeysUnavailable(
                f"the HSM token {self._label!r} would lock after one more wrong PIN",
                hint="log in with the vendor's tool and the right PIN first",
                code="hsm_unavailable",
            )
        if self._pin is None and token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
            return pkcs11.PROTECTED_AUTH  # the device asks for it by itself
        if self._pin is None and token.flags & TokenFlag.LOGIN_REQUIRED:
            raise KeysUnavailable(
                f"the HSM token {self._label!r} wants a PIN, and there is none",
                hint="set [keys.pkcs11] pin_file",
                code="hsm_unavailable",
            )
        return self._pin

    def _unavailable(self, error: failed.PKCS11Error) -> KeysUnavailable:
        advice = ("failed", "see the log of the HSM's own library")
        if type(error) in _LOST:
            advice = ("cannot be used", "see whether the device and its service run")
        what, hint = _ADVICE.get(type(error), advice)
        return KeysUnavailable(
            f"the HSM token {self._label!r} {what}: {_reason(error)}",
            hint=hint,
            code="hsm_unavailable",
        )


class _Library:
    """A vendor's library, of which a process has one: its sessions end together."""

    def __init__(self, path: str) -> None:
        # Needed above all because it is started without a word about threads.
        self.lock = threading.RLock()
        self.era = 0
        self._path = path
        self._ended = False

    def started(self) -> lib:
        """The library, initialised. Raises :class:`KeysUnavailable`."""
        try:
            if self._ended:
                with suppress(
                    failed.PKCS11Error
                ):  # after a fork, some have forgotten by themselves
                    pkcs11.lib(self._path).finalize()
                self._ended = False
            return pkcs11.lib(self._path)
        except failed.PKCS11Error as error:
            raise KeysUnavailable(
                f"the PKCS#11 library {self._path} does not start: {_reason(error)}",
                hint="set [keys.pkcs11] module to the path of the HSM vendor's library",
                code="hsm_unavailable",
            ) from error

    def end(self) -> None:
        """Let nobody use a session that was open so far, and start anew for the next one."""
        self.era += 1
        self._ended = True

    def forked(self) -> None:
        """In the child, PKCS#11 must be initialised again, and nobody can hold the lock."""
        self.lock = threading.RLock()
        self.end()


_libraries: dict[str, _Library] = {}


def _after_fork() -> None:
    for library in _libraries.values():
        library.forked()


os.register_at_fork(after_in_child=_after_fork)


def _reason(error: failed.PKCS11Error) -> str:
    return str(error) or type(error).__name__
