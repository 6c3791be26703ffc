"""``make bench``: what embedjwt costs, as ratios measured in this run.

Absolute numbers depend on the machine; the ratios are what to compare.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bench.gateway import measure_gateway
from bench.http import measure_http
from bench.session import measure_session
from bench.signing import measure_signing
from bench.site import write_site


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("the HTTP part needs wrk, a load generator: apt install wrk")
    with tempfile.TemporaryDirectory() as name:
        site = write_site(Path(name))
        print("In process: verified claims to signed token\n")
        measure_signing(site)
        print("\nIn process: a session of embedjwt's own, looked up in SQLite\n")
        measure_session()
        print("\nOver HTTP: granian, one worker, keep-alive, interleaved rounds\n")
        measure_http(site)
    print("\nThe gateway: the same, /gateway/auth as nginx asks it\n")
    measure_gateway()


main()
