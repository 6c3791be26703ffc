"""Private halves in a hardware security module: made there, used there, never seen outside.

Each is found by its ``CKA_ID``, the key's thumbprint, and people know it by its label,
``embedjwt <thumbprint>``. Others may keep keys in the same token: only what the ring names is
ever destroyed. So a key stays behind whose maker died before the ring knew it; where it died
before the key had a name, the label is ``embedjwt new``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.custody.pair import is_fit
from embedjwt.keys.custody.pem import MAY_SIGN
from embedjwt.keys.jwk import Jwk, PublicKey, public_jwk, thumbprint
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.signer import RSA_BITS, PrivateKey, SigningKey

try:
    from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
    from pkcs11.exceptions import FunctionNotSupported, PKCS11Error, RandomNoRNG
    from pkcs11.types import Session
    from pkcs11.util.ec import decode_ec_private_key, encode_named_curve_parameters
    from pkcs11.util.rsa import decode_rsa_private_key

    from embedjwt.keys.custody.hsm import Hsm
except ImportError as missing:  # this module is imported only where it is configured
    raise KeysUnavailable(
        "[keys.pkcs11] is set, and the Python library for PKCS#11 is not installed",
        hint="pip install embedjwt[pkcs11]",
        code="hsm_unavailable",
    ) from missing

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}

# CKM_ECDSA takes a digest and gives r || s, as a JWS has it (RFC 7518 section 3.4). PS256 has
# MGF1 with SHA-256 and a salt as long as the hash (section 3.5).
_MECHANISMS: dict[str, tuple[Mechanism, Any, Callable[[bytes], bytes]]] = {
    "ES256": (Mechanism.ECDSA, None, lambda data: hashlib.sha256(data).digest()),
    "ES384": (Mechanism.ECDSA, None, lambda data: hashlib.sha384(data).digest()),
    "RS256": (Mechanism.SHA256_RSA_PKCS, None, bytes),
    "PS256": (Mechanism.SHA256_RSA_PKCS_PSS, (Mechanism.SHA256, MGF.SHA256, 32), bytes),
}

_KEPT = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
_HALVES = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
_PROOF = b"embedjwt: this private key belongs to that public key"


class Pkcs11Custody:
    """Private halves in one token. ``module``: the vendor's library; ``pin``: the user's."""

    def __init__(self, module: Path, token_label: str, pin: str | None) -> None:
        self._hsm = Hsm(module, token_label, pin)
        self._session: Session | None = None
        self._proven: dict[tuple[str, str], Any] = {}
        self._destroyed: set[str] = set()

    def create(self, alg: str) -> Jwk:
        """Make a key pair in the token; the public half stays there no longer than needed."""
        _check(alg)
        while not (jwk := self._hsm.use(lambda session: _created(session, alg))):
            pass  # its name was unfit
        return jwk

    def adopt(self, private_key: PrivateKey, jwk: Jwk) -> None:
        """Import a private half, which the token never gives back."""
        _check(jwk["alg"])
        name = thumbprint(jwk)
        self._hsm.use(lambda session: self._import(session, name, private_key))
        self._destroyed.discard(name)

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """The private half of a key, after a signature that its public half verifies."""
        _check(record.alg)
        name = thumbprint(record.jwk)

        def sign(data: bytes) -> bytes:
            try:
                return self._hsm.use(
                    lambda session: _signature(self._key(session, name, record), record.alg, data)
                )
            except KeysUnavailable as error:  # whose detail, unlike a hint, strangers would see
                raise KeysUnavailable(
                    "the key cannot sign at the moment",
                    hint=error.diagnostics(),
                    code="hsm_unavailable",
                ) from error

        self._hsm.use(lambda session: self._key(session, name, record))
        return SigningKey(record.kid, record.alg, sign)

    def prune(self, ring: Ring) -> None:
        """Destroy what may not sign any more; what the ring does not name belongs to others."""
        kept = {thumbprint(key.jwk) for key in ring.in_state(*MAY_SIGN)}
        ours = {thumbprint(key.jwk) for key in ring.records if not key.signs_elsewhere}
        ended = ours - kept
        for name in sorted(ended - self._destroyed):
            self._hsm.use(partial(self._destroy, name=name))
            self._destroyed.add(name)

    def _import(self, session: Session, name: str, private_key: PrivateKey) -> None:
        before = self._found(session, name, ObjectClass.PRIVATE_KEY)
        session.create_object({**_parts(private_key), **_KEPT, **_named(name)})
        self._destroy_all(before, name)

    def _destroy(self, session: Session, name: str) -> None:
        self._destroy_all(self._found(session, name, *_HALVES), name)

    def _destroy_all(self, objects: list[Any], name: str) -> None:
        self._proven = {key: value for key, value in self._proven.items() if key[0] != name}
        for each in objects:
            each.destroy()

    def _key(self, session: Session, name: str, record: KeyRecord) -> Any:
        """The key in the token; found and tried once in the life of a session, as handles live."""
        self._follow(session)
        key = self._proven.get((name, record.alg))
        if key is None:
            found = self._found(session, name, ObjectClass.PRIVATE_KEY)
            key = self._proven[name, record.alg] = _belonging(found, name, record)
        return key

    def _found(self, session: Session, name: str, *kinds: ObjectClass) -> list[Any]:
        """What has this ID."""
        self._follow(session)
        # A session that was logged out finds nothing, and says so only when it has to sign; a lost
        # one would complain a second time, on stderr, when its search is collected.
        for (_, alg), key in list(self._proven.items())[:1]:
            _signature(key, alg, _PROOF)
        with suppress(RandomNoRNG, FunctionNotSupported):
            session.generate_random(64)
        found = session.get_objects({Attribute.ID: name.encode()})
        return [key for key in found if key.object_class in kinds]

    def _follow(self, session: Session) -> None:
        if session is not self._session:
            self._session, self._proven = session, {}


def _check(alg: str) -> None:
    if alg not in _MECHANISMS:
        raise KeysUnavailable(
            f"embedjwt does not sign with {alg!r} in an HSM",
            hint=f"set [keys] algorithm to one of {', '.join(_MECHANISMS)}",
        )


def _created(session: Session, alg: str) -> Jwk | None:
    public, private = _generated(session, alg)
    try:
        jwk = public_jwk(_public_key(public, alg), alg)
        public.destroy()
        if not is_fit(jwk["kid"]):
            private.destroy()
            return None
        for attribute, value in _named(thumbprint(jwk)).items():
            private[attribute] = value
    except (PKCS11Error, KeysUnavailable):
        with suppress(PKCS11Error):
            private.destroy()
        raise
    return jwk


def _generated(session: Session, alg: str) -> tuple[Any, Any]:
    """A key pair; the public half lasts as long as the session, the private one for good."""
    source: Any = session
    kind: tuple[Any, ...] = (KeyType.RSA, RSA_BITS)
    if alg in _CURVES:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[alg].name)}
        source, kind = session.create_domain_parameters(KeyType.EC, curve, local=True), ()
    public, private = source.generate_keypair(
        *kind,
        id=secrets.token_bytes(16),
        label="embedjwt new",
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template={Attribute.PRIVATE: False},
        private_template=_KEPT,
    )
    return public, private


def _public_key(key: Any, alg: str) -> PublicKey:
    try:
        if alg in _CURVES:
            # Most tokens wrap the point in an OCTET STRING, some do not: it is at the end.
            length = 1 + 2 * ((_CURVES[alg].key_size + 7) // 8)
            point = key[Attribute.EC_POINT][-length:]
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[alg], point)
        n, e = (
            int.from_bytes(key[each], "big")
            for each in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
        )
        return rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError as error:
        raise KeysUnavailable(
            f"the HSM made a key for {alg} whose public half is none",
            hint="ask its vendor; nothing was changed",
            code="hsm_unavailable",
        ) from error


def _parts(private_key: PrivateKey) -> dict[Attribute, Any]:
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    if isinstance(private_key, rsa.RSAPrivateKey):
        return decode_rsa_private_key(der, MechanismFlag.SIGN)
    return decode_ec_private_key(der)


def _named(name: str) -> dict[Attribute, Any]:
    """The ID first: only what has one is found, and only a whole key has the label."""
    return {Attribute.ID: name.encode(), Attribute.LABEL: f"embedjwt {name}"}


def _belonging(found: list[Any], name: str, record: KeyRecord) -> Any:
    for key in found:
        if _belongs(key, record):
            return key
    raise KeysUnavailable(
        f"the HSM holds another private key for {record.kid} than the ring says"
        if found
        else f"the HSM holds no private key for {record.kid}; its CKA_ID would be {name}",
        hint="restore the token from its backup, or `embedjwt keys revoke` the key",
    )


def _belongs(key: Any, record: KeyRecord) -> bool:
    kind = KeyType.EC if record.alg in _CURVES else KeyType.RSA
    if key.key_type != kind or not hasattr(key, "sign"):  # not allowed to
        return False
    public = jwt.PyJWK(dict(record.jwk))
    return public.Algorithm.verify(_PROOF, public.key, _signature(key, record.alg, _PROOF))


def _signature(key: Any, alg: str, data: bytes) -> bytes:
    mechanism, parameter, prepared = _MECHANISMS[alg]
    signature: bytes = key.sign(prepared(data), mechanism=mechanism, mechanism_param=parameter)
    return signature
