"""The keys of AWS load balancers: one address for each, made of the region and the ``kid``."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec

from embedjwt.errors import SessionRefused
from embedjwt.outbound import Outbound, failed, unavailable
from embedjwt.sources.keyset import from_pem
from embedjwt.sources.remote import COOLDOWN, Remote

MAX_KEYS = 64
"""How many keys are remembered, and of how many kids it is known that there was none."""

MAX_SOUGHT = 10
"""How many fetches for kids never seen before begin within ``COOLDOWN`` seconds."""

_KID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_ARN = re.compile(
    r"arn:(aws[a-z-]*):elasticloadbalancing:([a-z]{2}(?:-[a-z]+)+-[0-9]+):[0-9]{12}:"
    r"loadbalancer/app/[A-Za-z0-9-]+/[0-9A-Fa-f]+",
    re.ASCII,
)

Key = ec.EllipticCurvePublicKey


def keys_url(signer: str) -> str:
    """Where AWS publishes the keys of a load balancer's region; a ``kid`` goes below it.

    ``ValueError`` where the ARN is none, or AWS documents no such place for its partition.
    """
    arn = _ARN.fullmatch(signer)
    if arn is None:
        raise ValueError(
            "it is no ARN of an Application Load Balancer "
            "(arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID)"
        )
    partition, region = arn[1], arn[2]
    if partition == "aws":
        return f"https://public-keys.auth.elb.{region}.amazonaws.com"
    if partition == "aws-us-gov" and region in ("us-gov-west-1", "us-gov-east-1"):
        return f"https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"
    raise ValueError(f"where partition {partition!r} publishes its keys is not documented")


class AlbKeys:
    """The public keys below a URL, safe to share between threads.

    Each is fetched when its ``kid`` first comes, and again as ``Remote`` does it. A made-up ``kid``
    costs one of ``MAX_SOUGHT`` fetches and never pushes a key out that was found. ``clock`` is in
    seconds and never goes back; ``timeout`` is how many of them a request waits at most.
    """

    def __init__(
        self, url: str, *, outbound: Outbound, clock: Callable[[], float], timeout: float
    ) -> None:
        self._url = url
        self._outbound = outbound
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Remote[Key]] = OrderedDict()
        self._sought: OrderedDict[str, Remote[Key]] = OrderedDict()
        self._begun: deque[float] = deque(maxlen=MAX_SOUGHT)

    def key(self, kid: str | None) -> Key:
        """The key of that name.

        ``SessionRefused`` for a name that no key of AWS has, since it becomes part of a path;
        ``UpstreamUnavailable`` where the key cannot be had.
        """
        if kid is None or not _KID.fullmatch(kid):
            raise SessionRefused(
                "The token was signed with a key that is not known.",
                code="key_unknown",
                hint="the header's kid is missing, or no UUID as AWS makes them",
            )
        remote = self._remote(kid)
        key = remote.current()
        with self._lock:
            if self._sought.pop(kid, None) is not None:
                _remember(self._found, kid, remote)
        return key

    def _remote(self, kid: str) -> Remote[Key]:
        with self._lock:
            remote = self._found.get(kid) or self._sought.get(kid)
            if remote is None:
                self._check_budget()
                remote = Remote(
                    partial(self._load, kid),
                    url=f"{self._url}/{kid}",
                    clock=self._clock,
                    timeout=self._timeout,
                )
                _remember(self._sought, kid, remote)
            return remote

    def _load(self, kid: str, deadline: float) -> Key:
        with self._lock:
            if kid not in self._found:
                self._check_budget()
                self._begun.append(self._clock())
        url = f"{self._url}/{kid}"
        try:
            (only,) = from_pem(self._outbound.get_bytes(url, deadline)).keys
        except ValueError as error:
            raise unavailable(url, str(error)) from None
        if not isinstance(only.key, ec.EllipticCurvePublicKey) or not only.fits("ES256"):
            raise unavailable(url, "its key is not one for ES256")
        return only.key

    def _check_budget(self) -> None:
        full = len(self._begun) == MAX_SOUGHT
        if full and self._clock() - self._begun[0] < COOLDOWN:
            raise failed(
                f"{self._url}: {MAX_SOUGHT} kids never seen before came within {COOLDOWN} s, so no "
                "further one is looked up now; somebody may reach this service past the load "
                "balancer"
            )


def _remember(kept: OrderedDict[str, Remote[Key]], kid: str, remote: Remote[Key]) -> None:
    kept[kid] = remote
    if len(kept) > MAX_KEYS:
        kept.popitem(last=False)
