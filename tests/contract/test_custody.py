"""What holds for private halves wherever they are kept, and what holds for an HSM besides."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import DEFAULT, Mock

import jwt
import pytest
from store_kit import open_store

from embedjwt.config import Settings
from embedjwt.errors import KeysUnavailable
from embedjwt.keys.build import key_store
from embedjwt.keys.custody.pem import PemFiles
from embedjwt.keys.directory import DirectoryKeyStore
from embedjwt.keys.jwk import Jwk, public_jwk, thumbprint
from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import KeyRecord, KeyState, Ring
from embedjwt.keys.signer import PrivateKey, generate
from embedjwt.keys.store import Custody
from embedjwt.keys.timing import Timing
from softhsm import SoftHsm, softhsm_fixture  # noqa: F401
from tests_support import FakeClock

if TYPE_CHECKING:
    from pkcs11.types import Session

NOW = 1_800_000_000
TIMING = Timing(rotate_every=86_400, verifier_cache_ttl=3600, token_ttl=300, propagation_delay=120)
STATES: tuple[KeyState, ...] = ("next", "active", "retiring", "removed", "revoked")


def record(jwk: Jwk, state: KeyState = "active") -> KeyRecord:
    return KeyRecord(jwk["kid"], jwk["alg"], state, NOW, NOW, None, None, jwk)


def signs(custody: Custody, jwk: Jwk) -> bool:
    """Whether a token of this key verifies with its public half; raises where it cannot sign."""
    token = custody.signing_key(record(jwk)).sign({"sub": "ada"})
    assert jwt.get_unverified_header(token) == {
        "alg": jwk["alg"],
        "kid": jwk["kid"],
        "typ": "JWT",
    }
    claims: dict[str, Any] = jwt.decode(token, jwt.PyJWK(dict(jwk)), algorithms=[jwk["alg"]])
    return claims == {"sub": "ada"}


class Place(Protocol):
    """Where a custody keeps its keys, seen from behind."""

    def custody(self) -> Custody:
        """One more process that uses it."""

    def names(self) -> set[str]:
        """The thumbprints of the private halves in it."""

    def exchange(self, jwk: Jwk, other: Jwk) -> None:
        """Give a key the name of another, which is lost."""

    def strangers(self) -> Callable[[], bool]:
        """Put in what is none of ours; the answer says whether it is still there."""


@dataclass(frozen=True)
class Directory:
    path: Path

    def custody(self) -> Custody:
        return PemFiles(self.path, None)

    def names(self) -> set[str]:
        return {file.stem for file in self.path.glob("*.pem")}

    def exchange(self, jwk: Jwk, other: Jwk) -> None:
        (self.path / f"{jwk['kid']}.pem").rename(self.path / f"{other['kid']}.pem")

    def strangers(self) -> Callable[[], bool]:
        files = [self.path / name for name in ("ca.pem", "notes.txt", f"{'A' * 42}.pem")]
        for file in files:
            file.write_text("")
        return lambda: all(file.exists() for file in files)


@dataclass(frozen=True)
class Token:
    hsm: SoftHsm

    def custody(self) -> Custody:
        return self.hsm.custody()

    def names(self) -> set[str]:
        return {label.removeprefix("embedjwt ") for label in self.hsm.private_keys()}

    def exchange(self, jwk: Jwk, other: Jwk) -> None:
        from pkcs11 import Attribute

        keys = self.hsm.private_keys()
        keys[f"embedjwt {other['kid']}"].destroy()
        keys[f"embedjwt {jwk['kid']}"][Attribute.ID] = other["kid"].encode()

    def strangers(self) -> Callable[[], bool]:
        from pkcs11 import KeyType

        self.hsm.open().generate_keypair(KeyType.RSA, 2048, label="ca", id=b"ca", store=True)
        elsewhere = self.custody().create("ES256")["kid"]  # of another deployment
        return lambda: {"ca", f"embedjwt {elsewhere}"} <= set(self.hsm.private_keys())


def a_key(*, dashed: bool) -> PrivateKey:
    """One key in 64 has a name that begins with a dash."""
    while True:
        key = generate("ES256")
        if public_jwk(key.public_key(), "ES256")["kid"].startswith("-") == dashed:
            return key


@pytest.mark.parametrize("kind", ["directory", "database"])
def test_a_name_that_looks_like_an_option_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    unfit, fit = a_key(dashed=True), a_key(dashed=False)
    monkeypatch.setattr("embedjwt.keys.custody.pair.generate", Mock(side_effect=[unfit, fit]))
    place = str(tmp_path / "jwks") if kind == "directory" else f"sqlite:///{tmp_path}/keys.db"
    with open_store(place).changing() as change:
        jwk = change.custody.create("ES256")
        assert jwk == public_jwk(fit.public_key(), "ES256")
        assert signs(change.custody, jwk)


class CustodyContract:
    @pytest.fixture
    def custody(self, place: Place) -> Custody:
        return place.custody()

    def test_what_it_makes_signs_for_every_process(
        self, place: Place, custody: Custody, alg: str
    ) -> None:
        jwk = custody.create(alg)
        assert (jwk["alg"], jwk["kid"]) == (alg, thumbprint(jwk))
        assert place.names() == {jwk["kid"]}
        assert signs(custody, jwk)
        assert signs(place.custody(), jwk)

    def test_what_it_adopts_signs_under_its_own_name(
        self, place: Place, custody: Custody, alg: str
    ) -> None:
        private_key = generate(alg)
        jwk = {**public_jwk(private_key.public_key(), alg), "kid": "key of 2024"}
        custody.adopt(private_key, jwk)
        custody.adopt(private_key, jwk)  # again, after a crash
        assert place.names() == {thumbprint(jwk)}
        assert signs(custody, jwk)
        assert signs(place.custody(), jwk)

    def test_a_key_under_the_name_of_another_is_refused(
        self, place: Place, custody: Custody
    ) -> None:
        one, other = custody.create("ES256"), custody.create("ES256")
        place.exchange(one, other)
        with pytest.raises(KeysUnavailable, match="holds another"):
            place.custody().signing_key(record(other))

    def test_a_key_of_another_kind_is_refused(self, place: Place, custody: Custody) -> None:
        one, other = custody.create("RS256"), custody.create("ES256")
        place.exchange(one, other)
        with pytest.raises(KeysUnavailable, match="holds another"):
            place.custody().signing_key(record(other))

    def test_a_missing_key_is_refused_by_its_name(self, custody: Custody) -> None:
        jwk = public_jwk(generate("ES256").public_key(), "ES256")
        custody.create("ES256")
        with pytest.raises(KeysUnavailable, match=jwk["kid"]) as refused:
            custody.signing_key(record(jwk))
        assert refused.value.hint

    def test_prune_keeps_what_may_sign(self, place: Place, custody: Custody) -> None:
        jwks = [custody.create("ES256") for _ in STATES]
        ring = Ring(tuple(record(*pair) for pair in zip(jwks, STATES, strict=True)))
        assert all(signs(custody, jwk) for jwk in jwks)
        still_there = place.strangers()
        for pruner in (custody, custody, place.custody()):
            pruner.prune(ring)
            assert still_there()
            assert {jwk["kid"] for jwk in jwks} & place.names() == {
                key.kid for key in ring.in_state("next", "active")
            }
        assert signs(custody, jwks[0])
        assert signs(custody, jwks[1])
        for gone in ring.in_state("retiring", "removed", "revoked"):
            with pytest.raises(KeysUnavailable, match=gone.kid):
                custody.signing_key(gone)


class TestPemFiles(CustodyContract):
    @pytest.fixture(params=["ES256", "ES384", "RS256", "PS256", "EdDSA"])
    def alg(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        path = tmp_path / "keys"
        path.mkdir(mode=0o700)
        return Directory(path)

    @pytest.mark.parametrize("state", ["next", "active"])
    def test_a_ring_that_is_not_all_here_destroys_only_what_it_names(
        self, place: Directory, custody: Custody, state: KeyState
    ) -> None:
        ended, kept, newer = (custody.create("ES256") for _ in range(3))
        half_written = place.path / f".ring.json.{'0' * 16}.tmp"
        half_written.touch()
        lost = public_jwk(generate("ES256").public_key(), "ES256")
        old = Ring((record(ended, "retiring"), record(kept, "active"), record(lost, state)))
        custody.prune(old)
        assert place.names() == {kept["kid"], newer["kid"]}
        assert not half_written.exists()
        custody.prune(Ring(old.records[:2]))
        assert place.names() == {kept["kid"]}
        custody.prune(Ring(()))
        assert place.names() == set()


class TestPkcs11(CustodyContract):
    @pytest.fixture(params=["ES256", "ES384", "RS256", "PS256"])
    def alg(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def place(self, softhsm: SoftHsm) -> Place:
        return Token(softhsm)

    def test_a_key_that_was_destroyed_signs_no_more(
        self, softhsm: SoftHsm, custody: Custody
    ) -> None:
        jwk = custody.create("ES256")
        key = custody.signing_key(record(jwk))
        custody.prune(Ring((record(jwk, "revoked"),)))
        with pytest.raises(KeysUnavailable, match="cannot sign at the moment") as refused:
            key.sign({"sub": "ada"})
        assert "holds no private key" in refused.value.hint

    @pytest.mark.parametrize("adopted", [False, True], ids=["made", "adopted"])
    def test_no_private_half_leaves_the_token(
        self, softhsm: SoftHsm, custody: Custody, alg: str, adopted: bool
    ) -> None:
        import pkcs11
        from pkcs11 import Attribute

        if adopted:
            private_key = generate(alg)
            custody.adopt(private_key, public_jwk(private_key.public_key(), alg))
        else:
            custody.create(alg)
        (key,) = softhsm.private_keys().values()
        assert len(list(softhsm.open().get_objects())) == 1, "a public half stayed"
        assert all(key[each] for each in (Attribute.TOKEN, Attribute.PRIVATE, Attribute.SIGN))
        assert key[Attribute.SENSITIVE]
        assert not key[Attribute.EXTRACTABLE]
        assert not any(key[each] for each in (Attribute.DECRYPT, Attribute.UNWRAP))
        assert not key[Attribute.DERIVE]
        secret = Attribute.VALUE if alg.startswith("ES") else Attribute.PRIVATE_EXPONENT
        with pytest.raises(pkcs11.AttributeSensitive):
            key[secret]

    def test_public_halves_that_others_stored_go_with_the_private_ones(
        self, softhsm: SoftHsm, custody: Custody
    ) -> None:
        from pkcs11 import KeyType

        jwk = custody.create("ES256")
        softhsm.open().generate_keypair(
            KeyType.RSA, 2048, label="both", id=jwk["kid"].encode(), store=True
        )
        custody.prune(Ring((record(jwk, "removed"),)))
        assert list(softhsm.open().get_objects()) == []

    @pytest.mark.parametrize(
        ("error", "left"),
        [(KeyboardInterrupt, {"embedjwt new"}), (KeysUnavailable("no such point"), set())],
        ids=["killed", "refused"],
    )
    def test_a_key_whose_making_ended_early(
        self,
        softhsm: SoftHsm,
        custody: Custody,
        monkeypatch: pytest.MonkeyPatch,
        error: type[BaseException] | BaseException,
        left: set[str],
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("embedjwt.keys.custody.pkcs11.public_jwk", Mock(side_effect=error))
            with pytest.raises((KeyboardInterrupt, KeysUnavailable)):
                custody.create("ES256")
        assert set(softhsm.private_keys()) == left
        jwk = custody.create("ES256")
        custody.prune(Ring((record(jwk),)))
        assert set(softhsm.private_keys()) == left | {f"embedjwt {jwk['kid']}"}

    def test_a_name_that_looks_like_an_option_is_not_used(
        self, softhsm: SoftHsm, custody: Custody, alg: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unfit = {**public_jwk(generate(alg).public_key(), alg), "kid": f"-{'A' * 42}"}
        # One name in 64 begins so by itself.
        made = Mock(side_effect=chain([unfit, unfit], repeat(DEFAULT)), wraps=public_jwk)
        monkeypatch.setattr("embedjwt.keys.custody.pkcs11.public_jwk", made)
        jwk = custody.create(alg)
        assert made.call_count >= 3
        assert len(list(softhsm.open().get_objects())) == 1
        assert set(softhsm.private_keys()) == {f"embedjwt {jwk['kid']}"}
        assert signs(custody, jwk)

    def test_eddsa_is_refused(self, custody: Custody) -> None:
        private_key = generate("EdDSA")
        jwk = public_jwk(private_key.public_key(), "EdDSA")
        for attempt in (
            lambda: custody.create("EdDSA"),
            lambda: custody.adopt(private_key, jwk),
            lambda: custody.signing_key(record(jwk)),
        ):
            with pytest.raises(KeysUnavailable, match="'EdDSA' in an HSM") as refused:
                attempt()
            assert "ES256, ES384, RS256, PS256" in refused.value.hint

    def test_eight_threads_sign_at_once(self, custody: Custody) -> None:
        jwks = [custody.create(alg) for alg in ("ES256", "RS256")]
        start = threading.Barrier(8)

        def work(number: int) -> bool:
            start.wait(timeout=10)
            return all(signs(custody, jwks[(number + turn) % 2]) for turn in range(25))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [True] * 8

    def test_one_thread_at_a_time_is_in_the_library(self, softhsm: SoftHsm) -> None:
        from embedjwt.keys.custody.hsm import Hsm

        where = (softhsm.module, softhsm.label, softhsm.pin)
        both = (Hsm(*where), Hsm(*where))
        inside = threading.Lock()

        def alone(session: Session) -> bool:
            if not inside.acquire(blocking=False):
                return False
            session.generate_random(1 << 20)  # lets other threads run
            inside.release()
            return True

        with ThreadPoolExecutor(8) as pool:
            turns = pool.map(lambda turn: both[turn % 2].use(alone), range(64))
            assert list(turns) == [True] * 64

    def test_a_restart_of_the_hsm_costs_no_request(
        self, softhsm: SoftHsm, custody: Custody
    ) -> None:
        jwk, old = custody.create("ES256"), custody.create("ES256")
        key = custody.signing_key(record(jwk))
        algorithm = jwt.PyJWK(dict(jwk))
        for lost_before in (
            lambda: jwt.decode(key.sign({}), algorithm, algorithms=["ES256"]),
            lambda: signs(custody, jwk),
            lambda: custody.create("RS256"),
            lambda: custody.prune(Ring((record(jwk), record(old, "removed")))),
        ):
            softhsm.restart()
            lost_before()
        assert f"embedjwt {jwk['kid']}" in softhsm.private_keys()
        assert f"embedjwt {old['kid']}" not in softhsm.private_keys()

    def test_a_session_that_was_logged_out_logs_in_again(self, softhsm: SoftHsm) -> None:
        first = softhsm.open()
        custody = softhsm.custody()
        jwk, old = custody.create("ES256"), custody.create("ES256")
        assert signs(custody, jwk)
        first.close()  # logs the whole process out; searches find nothing then, without an error
        custody.prune(Ring((record(jwk), record(old, "removed"))))
        assert signs(custody, jwk)
        assert set(softhsm.private_keys()) == {f"embedjwt {jwk['kid']}"}

    def test_two_custodies_share_a_token(self, softhsm: SoftHsm) -> None:
        one, other = softhsm.custody(), softhsm.custody()
        jwk = one.create("ES256")
        for _ in range(2):
            assert signs(one, jwk)
            assert signs(other, jwk)
            softhsm.restart()

    def test_an_hsm_that_is_gone_for_longer_is_told_and_taken_up_again(
        self, softhsm: SoftHsm, custody: Custody, tmp_path: Path
    ) -> None:
        jwk = custody.create("ES256")
        key = custody.signing_key(record(jwk))
        (tmp_path / "tokens").rename(tmp_path / "unplugged")
        (tmp_path / "tokens").mkdir()
        softhsm.restart()
        for _ in range(2):
            with pytest.raises(KeysUnavailable) as refused:
                key.sign({})
            assert refused.value.code == "hsm_unavailable"
            assert refused.value.detail == "the key cannot sign at the moment"  # for strangers
            assert f"no HSM tokens have the label {softhsm.label!r}" in refused.value.hint
            assert "found: none" in refused.value.hint
        (tmp_path / "tokens").rmdir()
        (tmp_path / "unplugged").rename(tmp_path / "tokens")
        assert jwt.decode(key.sign({}), jwt.PyJWK(dict(jwk)), algorithms=["ES256"]) == {}

    def test_a_forked_process_signs_beside_its_parent(self, softhsm: SoftHsm) -> None:
        arguments = [str(softhsm.module), softhsm.label, softhsm.pin]
        forked = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (forked.returncode, forked.stdout, forked.stderr) == (0, "child\nparent\n", "")
        assert len(softhsm.private_keys()) == 2

    def test_a_whole_life(
        self, softhsm: SoftHsm, custody: Custody, tmp_path: Path, clock: FakeClock
    ) -> None:
        store = DirectoryKeyStore(tmp_path / "ring", None, custody)
        operator = Operator(store, TIMING, "ES256", clock, "test")

        def check(states: str | None = None, *, alg: str = "ES256") -> None:
            ring = store.ring()
            if states is not None:
                assert " ".join(key.state for key in ring.records) == states
            signer = ring.signs(alg)
            assert signer is not None
            assert signs(store.custody, signer.jwk)
            kept = {f"embedjwt {key.kid}" for key in ring.in_state("next", "active")}
            assert set(softhsm.private_keys()) == kept

        operator.init()
        check("active next")
        clock.now += TIMING.known_everywhere
        operator.rotate()
        check("retiring active next")
        clock.now += TIMING.overlap
        operator.advance()
        check("removed active next")
        operator.revoke(store.ring().in_state("active")[0].kid, reason="drill")
        check("removed revoked active next")
        for alg in ("RS256", "ES256"):
            other = Operator(store, TIMING, alg, clock, "test")
            for _ in range(3):
                clock.now += TIMING.known_everywhere
                other.advance()
                check(alg=alg)
            assert [key.alg for key in store.ring().published()] == [alg, alg]
        check("removed revoked removed removed removed removed active next")
        assert len(list(softhsm.open().get_objects())) == 2

    @pytest.mark.parametrize("pin", ["0000", "7z", "1" * 300], ids=["wrong", "short", "long"])
    def test_a_wrong_pin_is_tried_once(self, softhsm: SoftHsm, pin: str) -> None:
        custody = softhsm.custody(pin=pin)
        for _ in range(2):
            with pytest.raises(KeysUnavailable, match="refuses the PIN") as refused:
                custody.create("ES256")
            assert refused.value.code == "hsm_unavailable"
            assert "restart embedjwt" in refused.value.hint
            assert pin not in f"{refused.value.detail} {custody!r}"
            # From now on any PIN would do, for this process is logged in: but none is tried.
            softhsm.open()

    def test_the_last_try_before_a_lock_is_left_to_people(
        self, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pkcs11
        from pkcs11 import TokenFlag

        class AlmostLocked:
            label = softhsm.label
            flags = TokenFlag.TOKEN_INITIALIZED | TokenFlag.USER_PIN_FINAL_TRY

            def open(self, **_: object) -> None:
                pytest.fail("the last try was used up")

        class Module:
            def get_tokens(self) -> list[AlmostLocked]:
                return [AlmostLocked()]

        with monkeypatch.context() as patch:
            patch.setattr(pkcs11, "lib", lambda _: Module())
            with pytest.raises(KeysUnavailable, match="would lock") as refused:
                softhsm.custody().create("ES256")
        assert "vendor's tool" in refused.value.hint

    def test_no_pin_is_told(self, softhsm: SoftHsm) -> None:
        from embedjwt.keys.custody.pkcs11 import Pkcs11Custody

        custody = Pkcs11Custody(softhsm.module, softhsm.label, None)
        with pytest.raises(KeysUnavailable, match="wants a PIN") as refused:
            custody.create("ES256")
        assert "pin_file" in refused.value.hint

    def test_the_token_is_found_by_its_label(self, softhsm: SoftHsm) -> None:
        custody = softhsm.custody(label="other")
        with pytest.raises(KeysUnavailable, match="no HSM tokens have the label 'other'") as none:
            custody.create("ES256")
        assert f"found: {softhsm.label!r}" in none.value.hint
        softhsm.add_token("other")
        assert signs(custody, custody.create("ES256"))
        softhsm.add_token("other")
        softhsm.restart()
        with pytest.raises(KeysUnavailable, match="2 HSM tokens have the label 'other'"):
            custody.create("ES256")

    @pytest.mark.parametrize("content", [None, "no library"])
    def test_a_module_that_is_none(
        self, softhsm: SoftHsm, tmp_path: Path, content: str | None
    ) -> None:
        from embedjwt.keys.custody.pkcs11 import Pkcs11Custody

        module = tmp_path / "libhsm.so"
        if content is not None:
            module.write_text(content)
        custody = Pkcs11Custody(module, softhsm.label, softhsm.pin)
        for _ in range(2):
            with pytest.raises(KeysUnavailable, match=f"{module} does not start") as refused:
                custody.create("ES256")
            assert "[keys.pkcs11] module" in refused.value.hint


def test_without_its_library_the_extra_is_named(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    monkeypatch.delitem(sys.modules, "embedjwt.keys.custody.pkcs11", raising=False)
    settings = make_settings(keys={"pkcs11": {"module": "/hsm.so", "token_label": "a", "pin": "1"}})
    with pytest.raises(KeysUnavailable, match="not installed") as refused:
        key_store(settings)
    assert refused.value.hint == "pip install embedjwt[pkcs11]"


FORK = """
import os, sys, threading
from pathlib import Path
import jwt
from embedjwt.errors import KeysUnavailable
from embedjwt.keys.custody.hsm import Hsm
from embedjwt.keys.custody.pkcs11 import Pkcs11Custody
from embedjwt.keys.ring import KeyRecord

where = (Path(sys.argv[1]), *sys.argv[2:])
custody = Pkcs11Custody(*where)
jwk = custody.create("ES256")
key = custody.signing_key(KeyRecord(jwk["kid"], "ES256", "active", 0, 0, None, None, jwk))

def sign(who):
    for _ in range(20):
        jwt.decode(key.sign({}), jwt.PyJWK(dict(jwk)), algorithms=["ES256"])
    print(who, flush=True)

busy, done = threading.Event(), threading.Event()
hold = lambda _: busy.set() or done.wait()
other = threading.Thread(target=Hsm(*where).use, args=(hold,), daemon=True)
other.start()
busy.wait()
child = os.fork()  # while another thread has the session
if child == 0:
    configuration = os.environ.pop("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = "/dev/null"
    try:
        custody.create("ES256")
        sys.exit("used what it inherited")
    except KeysUnavailable:
        os.environ["SOFTHSM2_CONF"] = configuration
    custody.create("ES256")
    sign("child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
done.set()
other.join()
sign("parent")
"""
