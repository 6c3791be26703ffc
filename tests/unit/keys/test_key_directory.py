"""The directory store: first keys, loading, repair, damage, and a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keys_support import NOW, PATHS, TIMING, check_whole, load, operate, published, start, verify
from structlog.typing import EventDict

from embedjwt.errors import KeysUnavailable, StoreBusy, StoreReadOnly, TransitionRefused
from embedjwt.keys import DirectoryKeyStore, KeyRing, Ring, files
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.signer import generate
from tests_support import FakeClock

MakeStore = Callable[..., DirectoryKeyStore]


def init(store: DirectoryKeyStore) -> Ring:
    return operate(store).init()


def active_file(store: DirectoryKeyStore) -> Path:
    return store.path / f"{store.ring().in_state('active')[0].kid}.pem"


@pytest.mark.parametrize("passphrase", [None, b"correct horse"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256", "PS256", "EdDSA"])
def test_tokens_verify_with_the_published_file(
    make_store: MakeStore, alg: str, passphrase: bytes | None
) -> None:
    store = make_store(alg, passphrase)
    loaded = load(store, alg)
    (active,), (standby,) = loaded.ring.in_state("active"), loaded.ring.in_state("next")
    token = loaded.signing[active.kid].sign({"sub": "ada"})
    published = jwt.PyJWKSet.from_json(store.jwks_file.read_text())
    assert [key.key_id for key in published.keys] == [active.kid, standby.kid]
    assert jwt.decode(token, published[active.kid], algorithms=[alg])["sub"] == "ada"
    assert set(loaded.signing) == {active.kid}, "a next key must not be able to sign"
    assert store.jwks_file.read_bytes() == loaded.jwks
    pem = active_file(store).read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED" if passphrase else b"-----BEGIN PRIVATE")


def test_nothing_private_is_in_the_public_files(store: DirectoryKeyStore) -> None:
    for file in (store.ring_file, store.jwks_file):
        text = file.read_text()
        assert "PRIVATE" not in text
        assert '"d"' not in text


def test_init_keeps_what_is_there(store: DirectoryKeyStore) -> None:
    before = {file: file.read_bytes() for file in store.path.iterdir()}
    with pytest.raises(KeysUnavailable, match="already holds keys") as refused:
        init(store)
    assert refused.value.code == "keys_exist"
    assert {file: file.read_bytes() for file in store.path.iterdir()} == before


def test_init_does_not_replace_keys_whose_ring_was_lost(store: DirectoryKeyStore) -> None:
    store.ring_file.unlink()
    before = sorted(store.path.iterdir())
    with pytest.raises(KeysUnavailable, match=r"ring\.json is gone") as refused:
        init(store)
    assert refused.value.code == "keys_exist"
    assert sorted(store.path.iterdir()) == before


def test_init_takes_a_checkout_as_it_is(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    mine = {".gitignore": "*", "README.md": "# keys"}
    left_over = {"A" * 43 + ".pem": "half", ".ring.json.0123456789abcdef.tmp": "{"}
    for name, text in (mine | left_over).items():
        (directory / name).write_text(text)
    store = DirectoryKeyStore(directory, None)
    init(store)
    assert load(store).signing
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {name: (directory / name).read_text() for name in mine} == mine
    assert not any((directory / name).exists() for name in left_over)


def test_init_touches_no_directory_that_others_use(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    (directory / "photo.jpg").write_text("")
    with pytest.raises(KeysUnavailable, match="listed or changed by others") as refused:
        init(DirectoryKeyStore(directory, None))
    assert f"chmod 700 {directory}" in refused.value.hint
    assert directory.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in directory.iterdir()] == ["photo.jpg"]


RACER = """
import sys
from pathlib import Path
from embedjwt.errors import KeysUnavailable
from embedjwt.keys import DirectoryKeyStore
from keys_support import operate
store = DirectoryKeyStore(Path(sys.argv[1]), None)
print("ready", flush=True)
sys.stdin.readline()
try:
    operate(store).init()
    print("won")
except KeysUnavailable as error:
    print(error.code)
"""


def test_of_eight_processes_one_makes_the_keys(directory: Path) -> None:
    command = [sys.executable, "-c", RACER, str(directory)]
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=PATHS) for _ in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = sorted(racer.communicate(timeout=30)[0].split()[-1] for racer in racers)
    assert answers == ["keys_exist"] * 7 + ["won"]
    store = DirectoryKeyStore(directory, None)
    assert load(store).signing
    assert len(list(directory.glob("*.pem"))) == len(store.ring().records) == 2


@pytest.mark.parametrize("damage", [None, b"", b'{"keys":[]}', b'{"keys":[{}]}'])
def test_the_published_file_is_repaired(store: DirectoryKeyStore, damage: bytes | None) -> None:
    whole = store.jwks_file.read_bytes()
    if damage is None:
        store.jwks_file.unlink()
    else:
        store.jwks_file.write_bytes(damage)
    assert load(store).jwks == whole
    assert store.jwks_file.read_bytes() == whole
    assert store.jwks_file.stat().st_mode & 0o777 == 0o644


def test_published_follows_the_ring(
    store: DirectoryKeyStore, set_states: Callable[..., Ring]
) -> None:
    ring = set_states(store, "retiring", "active")
    assert set(load(store).signing) == {ring.records[1].kid}
    set_states(store, "revoked", "active")
    active_file(store)
    (store.path / f"{ring.records[0].kid}.pem").unlink()
    assert published(load(store).jwks) == [ring.records[1].kid]


def test_a_retiring_key_is_published_without_its_private_half(
    store: DirectoryKeyStore, set_states: Callable[..., Ring]
) -> None:
    ring = set_states(store, "retiring", "active")
    (store.path / f"{ring.records[0].kid}.pem").unlink()
    assert len(published(load(store).jwks)) == 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _other_key(path: Path) -> None:
    _write_key(path, generate("ES256"))


def _other_kind(path: Path) -> None:
    _write_key(path, generate("EdDSA"))


def _foreign_curve(path: Path) -> None:
    _write_key(path, ec.generate_private_key(ec.SECP521R1()))


def _write_key(path: Path, key: object) -> None:
    path.write_bytes(
        key.private_bytes(  # type: ignore[attr-defined]  # of any kind
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    ("missing", Path.unlink, "cannot be read: No such file"),
    ("empty", lambda path: path.write_bytes(b"") and None, "damaged"),
    ("cut", _cut, "damaged"),
    ("zeros", _zero, "damaged"),
    ("huge", lambda path: os.truncate(path, 2**21), "too large"),
    ("other-key", _other_key, "another key than the ring says"),
    ("other-kind", _other_kind, "another key than the ring says"),
    ("foreign-curve", _foreign_curve, "another key than the ring says"),
    ("pipe", _pipe, "not a plain file"),
    ("folder", _folder, "not a plain file"),
]


each_damage = pytest.mark.parametrize(
    ("damage", "message"), [pytest.param(d, m, id=name) for name, d, m in DAMAGE]
)


@each_damage
def test_a_damaged_private_key_is_refused(
    store: DirectoryKeyStore, damage: Callable[[Path], None], message: str
) -> None:
    path = active_file(store)
    damage(path)
    with pytest.raises(KeysUnavailable, match=message) as refused:
        start(store)
    assert str(path) in refused.value.detail
    assert refused.value.hint


@each_damage
def test_a_damaged_key_that_waits_is_told_and_not_used(
    store: DirectoryKeyStore, damage: Callable[[Path], None], message: str
) -> None:
    active, waiting = store.ring().records
    path = store.path / f"{waiting.kid}.pem"
    damage(path)
    keys = start(store)
    assert verify(keys.signing_key().sign({"sub": "ada"}), keys.current.jwks) == {"sub": "ada"}
    assert keys.signing_key().kid == active.kid
    with pytest.raises(KeysUnavailable, match=message) as problem:
        keys.check()
    assert str(path) in problem.value.detail
    assert f"embedjwt keys revoke {waiting.kid}" in problem.value.hint
    with pytest.raises(TransitionRefused, match="no next key can be used"):
        operate(store, clock=later).activate()
    with pytest.raises(KeysUnavailable, match=message):
        operate(store, clock=later).activate(waiting.kid)
    assert store.ring().records == (active, waiting)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(Path.unlink, "does not exist", id="missing"),
        pytest.param(_cut, "not JSON", id="cut"),
        pytest.param(_zero, "not JSON", id="zeros"),
        pytest.param(lambda path: path.write_bytes(b"") and None, "not JSON", id="empty"),
        pytest.param(_pipe, "not a plain file", id="pipe"),
        pytest.param(lambda path: os.truncate(path, 2**21), "too large", id="huge"),
    ],
)
def test_a_damaged_ring_is_refused(
    store: DirectoryKeyStore, damage: Callable[[Path], None], message: str
) -> None:
    damage(store.ring_file)
    with pytest.raises(KeysUnavailable, match=message) as refused:
        load(store)
    assert str(store.ring_file) in refused.value.detail
    assert refused.value.hint


@pytest.mark.parametrize(
    ("made_with", "read_with", "message"),
    [
        pytest.param(b"right", b"wrong", "passphrase is wrong", id="wrong"),
        pytest.param(b"right", None, "there is no passphrase", id="none"),
        pytest.param(None, b"right", "not encrypted, although", id="not-encrypted"),
    ],
)
def test_the_passphrase_must_be_that_of_the_keys(
    make_store: MakeStore, made_with: bytes | None, read_with: bytes | None, message: str
) -> None:
    made = make_store(passphrase=made_with)
    with pytest.raises(KeysUnavailable, match=message) as refused:
        load(DirectoryKeyStore(made.path, read_with))
    assert str(active_file(made)) in refused.value.detail
    assert "right" not in refused.value.diagnostics()
    assert "passphrase_file" in refused.value.hint


def test_states_need_no_passphrase(make_store: MakeStore) -> None:
    made = make_store(passphrase=b"right")
    assert DirectoryKeyStore(made.path, None).ring() == load(made).ring


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1024], ids=["empty", "too-long"])
def test_a_passphrase_that_cannot_protect_is_refused(directory: Path, passphrase: bytes) -> None:
    with pytest.raises(KeysUnavailable, match="1 to 1023 bytes"):
        DirectoryKeyStore(directory, passphrase)


def test_no_directory_is_said_clearly(directory: Path) -> None:
    store = DirectoryKeyStore(directory, None)
    for look in (store.ring, store.version, lambda: start(store)):
        with pytest.raises(KeysUnavailable, match="does not exist") as refused:
            look()
        assert refused.value.code == "keys_missing"
    assert "embedjwt init" in refused.value.hint


def test_a_file_in_place_of_the_directory_is_refused(directory: Path) -> None:
    directory.write_text("")
    with pytest.raises(KeysUnavailable, match="no directory"):
        init(DirectoryKeyStore(directory, None))


class Failing:
    """Lets a system call fail from its n-th use on; of opening, only where it is for writing.

    In this thread only: applications of other tests may still be running.
    """

    def __init__(self, name: str, code: int, allowed: int) -> None:
        self.name = name
        self.code = code
        self.allowed = allowed
        self.real = getattr(os, name)
        self.thread = threading.get_ident()

    def __call__(self, *args: Any, **named: Any) -> object:
        writes = self.name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR)
        if writes and threading.get_ident() == self.thread:
            self.allowed -= 1
            if self.allowed < 0:
                raise OSError(self.code, os.strerror(self.code))
        return self.real(*args, **named)


def full_disk(name: str, allowed: int) -> Failing:
    return Failing(name, errno.ENOSPC, allowed)


@pytest.mark.parametrize(
    ("call", "allowed"),
    [("write", n) for n in range(4)] + [("fsync", n) for n in range(9)],
)
def test_a_full_disk_leaves_no_ring_or_a_whole_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, allowed: int
) -> None:
    store = DirectoryKeyStore(directory, None)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk(call, allowed))
        with pytest.raises(KeysUnavailable, match="No space left on device") as refused:
            init(store)
    assert str(directory) in refused.value.detail
    assert not list(directory.glob(".*.tmp")), "nothing half-written stays"
    if not store.ring_file.exists():
        assert not store.jwks_file.exists()
        init(store)
    assert len(load(store).ring.records) == 2
    assert len(list(directory.glob("*.pem"))) == 2


def later() -> float:
    return NOW + TIMING.known_everywhere


def _rotate(store: DirectoryKeyStore) -> None:
    operate(store, clock=later).rotate()


def _prepare(store: DirectoryKeyStore) -> None:
    operate(store, clock=later).prepare()


def _revoke(store: DirectoryKeyStore) -> None:
    operate(store, clock=later).revoke(active_file(store).stem, reason="leaked")


def _adopt(store: DirectoryKeyStore) -> None:
    key = generate("ES256")
    operate(store, clock=later).adopt(key, public_jwk(key.public_key(), "ES256"))


WORK = {"rotate": _rotate, "prepare": _prepare, "revoke": _revoke, "adopt": _adopt}
FAILURES = {
    "no-space-to-write": ("write", errno.ENOSPC),
    "no-space-to-sync": ("fsync", errno.ENOSPC),
    "quota": ("write", errno.EDQUOT),
    "read-only": ("open", errno.EROFS),
    "read-only-to-replace": ("replace", errno.EROFS),
}
Harmed = Iterator[tuple[DirectoryKeyStore, KeyRing, KeysUnavailable]]


@pytest.fixture
def fail_at_each(
    make_store: MakeStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Harmed]:
    """A store, a service on it, and how work on it failed; for each use of a system call."""

    def each(work: Callable[[DirectoryKeyStore], None], call: str, code: int) -> Harmed:
        make_store()
        for allowed in range(100):
            copy = directory.with_name(f"after {allowed}")
            shutil.copytree(directory, copy)
            store = DirectoryKeyStore(copy, None)
            keys = KeyRing(store, "ES256", later, propagation_delay=120)
            with monkeypatch.context() as patch:
                patch.setattr(os, call, Failing(call, code, allowed))
                try:
                    work(store)
                except KeysUnavailable as error:
                    yield store, keys, error
                else:
                    return

    return each


@pytest.mark.parametrize(("call", "code"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_disk_that_fails_leaves_keys_that_work(
    fail_at_each: Callable[..., Harmed],
    work: Callable[[DirectoryKeyStore], None],
    call: str,
    code: int,
) -> None:
    failures = 0
    for store, keys, error in fail_at_each(work, call, code):
        failures += 1
        assert os.strerror(code) in error.detail
        assert str(store.path) in error.detail
        assert "free the disk, or make the directory writable" in error.hint
        keys.refresh()
        assert verify(keys.signing_key().sign({"sub": "ada"}), keys.current.jwks)
    assert failures >= 3, "the lock, or a private key; the ring; the published keys"


@pytest.mark.parametrize(("call", "code"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_after_a_failure_of_the_disk_the_next_change_succeeds(
    fail_at_each: Callable[..., Harmed],
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[DirectoryKeyStore], None],
    call: str,
    code: int,
) -> None:
    real = getattr(os, call)
    for store, _, _ in fail_at_each(work, call, code):
        with monkeypatch.context() as repaired:
            repaired.setattr(os, call, real)
            check_whole(store)
            ring = operate(store, clock=later).prepare()
            assert check_whole(store).ring == ring
            kept = {f"{key.kid}.pem" for key in ring.in_state("next", "active")}
            assert {path.name for path in store.path.glob("*.pem")} == kept
            assert not list(store.path.glob(".*.tmp")), "nothing half-written stays"


@pytest.mark.parametrize(("call", "code"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_what_a_failing_disk_took_all_the_same_is_in_the_audit_trail(
    fail_at_each: Callable[..., Harmed],
    logs: list[EventDict],
    work: Callable[[DirectoryKeyStore], None],
    call: str,
    code: int,
) -> None:
    for store, keys, _ in fail_at_each(work, call, code):
        before = {key.kid: key.state for key in keys.ring.records}
        states = {key.kid: key.state for key in store.ring().records}
        done = {(kid, state) for kid, state in states.items() if before.get(kid) != state}
        trail = [entry for entry in logs if entry["event"] == "key_transition"]
        told = {(entry["kid"], entry["after"]) for entry in trail if entry["revision"] > 1}
        assert told == done
        logs.clear()


def test_a_change_that_is_made_but_not_finished_says_so(
    fail_at_each: Callable[..., Harmed],
) -> None:
    """Only what follows ``ring.json`` failed: whoever asked must not believe nothing happened."""
    before = None
    for store, keys, error in fail_at_each(_revoke, "replace", errno.EROFS):
        before = keys.ring.revision
        unfinished = store.ring().revision > before
        assert (error.code == "keys_unfinished") == unfinished
        assert ("the keys are changed as asked" in error.detail) == unfinished
        assert ("the next start or change finishes it" in error.hint) == unfinished
    assert before == 1


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_keeps_the_old_file(
    store: DirectoryKeyStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = store.ring_file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk(call, 0))
        with pytest.raises(KeysUnavailable, match="No space left"):
            files.write(store.ring_file, b"new", files.PRIVATE)
    assert store.ring_file.read_bytes() == before


def test_a_disk_that_takes_a_byte_at_a_time_gets_all(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:1]))
        init(DirectoryKeyStore(directory, None))
    assert load(DirectoryKeyStore(directory, None)).signing


@pytest.fixture
def read_only() -> Iterator[DirectoryKeyStore]:
    """A store in a directory that this user, who for once is not root, cannot write."""
    parent = Path(tempfile.mkdtemp(prefix="embedjwt-"))
    caller = os.geteuid()
    nobody = caller or 65534
    os.chown(parent, nobody, -1)
    os.setresuid(nobody, nobody, caller)
    try:
        store = DirectoryKeyStore(parent / "jwks", None)
        init(store)
        store.path.chmod(0o500)
        yield store
        store.path.chmod(0o700)
    finally:
        os.setresuid(caller, caller, caller)
        shutil.rmtree(parent)


def test_a_read_only_directory_loads(read_only: DirectoryKeyStore) -> None:
    assert load(read_only).signing
    before = read_only.ring()
    for work in (init, *WORK.values()):
        with pytest.raises(StoreReadOnly, match="cannot be written here") as refused:
            work(read_only)
        assert refused.value.code == "keys_read_only"
        assert str(read_only.path) in refused.value.detail
    assert read_only.ring() == before
    assert any("another process" in concern for concern in read_only.concerns())


def test_a_read_only_directory_in_need_of_repair_says_so(read_only: DirectoryKeyStore) -> None:
    read_only.path.chmod(0o700)
    read_only.jwks_file.unlink()
    (read_only.path / ".lock").unlink()
    read_only.path.chmod(0o500)
    keys = start(read_only)
    assert keys.signing_key(), "it is read by others, if at all"
    with pytest.raises(KeysUnavailable, match=r"jwks\.json does not hold .* Permission denied"):
        keys.check()
    with pytest.raises(StoreReadOnly):
        init(read_only)
    read_only.path.chmod(0o700)
    keys.refresh()
    assert keys.problem is None
    assert read_only.jwks_file.read_bytes() == keys.current.jwks


def test_a_key_that_kept_its_name_has_its_file_by_its_thumbprint(store: DirectoryKeyStore) -> None:
    key = generate("ES256")
    jwk = public_jwk(key.public_key(), "ES256")
    operate(store).adopt(key, {**jwk, "kid": "../theirs"})
    loaded = load(store)
    assert list(loaded.signing) == ["../theirs"]
    assert jwt.get_unverified_header(loaded.signing["../theirs"].sign({}))["kid"] == "../theirs"
    assert verify(loaded.signing["../theirs"].sign({"sub": "ada"}), loaded.jwks) == {"sub": "ada"}
    assert (store.path / f"{jwk['kid']}.pem").exists()
    assert not (store.path.parent / "theirs.pem").exists()


def test_published_keys_that_another_process_holds_are_left_to_it(store: DirectoryKeyStore) -> None:
    whole = store.jwks_file.read_bytes()
    store.jwks_file.write_bytes(b"{}")
    with store.changing():
        loaded = load(DirectoryKeyStore(store.path, None))
    assert loaded.jwks == whole
    assert store.jwks_file.read_bytes() == b"{}", "nobody waits at the start"
    assert load(store).jwks == store.jwks_file.read_bytes() == whole


def test_a_ring_that_could_not_be_read_again_is_not_written(
    store: DirectoryKeyStore, monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    before = store.ring_file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(files, "MAX_BYTES", len(before) + 100)
        with pytest.raises(KeysUnavailable, match="too large to be read"):
            operate(store).prepare()
    assert store.ring_file.read_bytes() == before
    assert logs == []
    check_whole(store)
    assert len(operate(store).prepare().records) == 3


def test_a_lock_is_waited_for_half_a_minute(
    store: DirectoryKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
    other = DirectoryKeyStore(store.path, None)
    with store.changing(), pytest.raises(StoreBusy) as refused:
        operate(other).prepare()
    assert 30 <= clock.now < 31
    assert f"fuser {store.path / '.lock'}" in refused.value.hint
    clock.now, before = 0, store.ring().revision
    assert operate(other).prepare().revision == before + 1
    assert clock.now == 0


def test_the_version_differs_after_every_change(store: DirectoryKeyStore) -> None:
    seen = [store.version()]
    operator = operate(store)
    for change in (operator.prepare, lambda: operator.activate(force=True), operator.prepare):
        assert store.version() == seen[-1]
        change()
        seen.append(store.version())
    assert len(set(seen)) == 4


def test_a_lock_that_is_held_is_said_to_be(store: DirectoryKeyStore) -> None:
    with (
        store.changing(),
        pytest.raises(StoreBusy) as refused,
        DirectoryKeyStore(store.path, None).changing(wait=False),
    ):
        pass
    assert refused.value.code == "keys_busy"
    with store.changing(wait=False) as change:
        assert change.ring == store.ring()
