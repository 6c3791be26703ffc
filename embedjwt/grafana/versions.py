"""Which Grafana has what: the keys of ``[auth.jwt]`` and the release each came with."""

from __future__ import annotations

import re

from embedjwt.errors import RequestRefused

Version = tuple[int, int]

FIRST: Version = (8, 0)
"""Before 8.0 there is no ``[auth.jwt]`` at all."""

LATEST: Version = (13, 1)
"""The newest release whose sources were read. Newer ones are treated alike."""

KEY_SINCE: dict[str, Version] = {
    "enabled": (8, 0),
    "header_name": (8, 0),
    "email_claim": (8, 0),
    "username_claim": (8, 0),
    "jwk_set_url": (8, 0),
    "jwk_set_file": (8, 0),
    "key_file": (8, 0),
    "cache_ttl": (8, 0),
    "expect_claims": (8, 0),
    "auto_sign_up": (8, 4),
    "url_login": (9, 1),
    "role_attribute_path": (9, 2),
    "role_attribute_strict": (9, 2),
    "allow_assign_grafana_admin": (9, 2),
    "skip_org_role_sync": (9, 4),
    "key_id": (10, 4),
    "groups_attribute_path": (10, 4),
    "email_attribute_path": (11, 0),
    "username_attribute_path": (11, 0),
    "tls_skip_verify_insecure": (11, 6),
    "org_attribute_path": (12, 0),
    "org_mapping": (12, 0),
    "tls_client_ca": (12, 2),
    "jwk_set_bearer_token_file": (12, 2),
    "key_value": (13, 1),
    "jwk_set_value": (13, 1),
}
"""``pkg/setting/setting_jwt.go`` and the page "Configure JWT authentication" of each release."""

ROLE_NONE_SINCE: Version = (10, 2)
"""The organization role ``None`` ("No basic role", ``pkg/services/org``)."""

ORG_MAPPING_SINCE: Version = KEY_SINCE["org_mapping"]
"""From here the JWT client maps through ``org_role_mapper.go``; before, to the default org only."""

ENVIRONMENT_SINCE: Version = (9, 3)
"""A ``GF_*`` variable reaches only keys of an ini file that was loaded (``pkg/setting``); until 9.2
``conf/defaults.ini`` spelt ``expect_claims`` as ``expected_claims`` (#58231, fixed by #58284)."""

HTTP_KEYS_SINCE: Version = (10, 1)
"""``jwk_set_url`` may be http with ``app_mode = development``; before, never (#68872)."""

JOSE_V4_SINCE: Version = (12, 3)
"""go-jose v4: a list of algorithms, and any (no longer every) expected audience is enough."""


def has_key(key: str, version: Version) -> bool:
    """Whether ``[auth.jwt]`` of that Grafana reads this key."""
    return key in KEY_SINCE and version >= KEY_SINCE[key]


def parse_version(text: str) -> Version:
    """``(12, 1)`` from ``"12.1"``, ``"v12.1.3"`` or ``"12"``; ``RequestRefused`` otherwise."""
    match = re.fullmatch(
        r"v?(\d{1,3})(?:\.(\d{1,3}))?(?:\.\d{1,5})?(?:[+-][0-9A-Za-z.+-]*)?", text.strip()
    )
    if match is None:
        raise RequestRefused("a Grafana version is written like 12.1")
    version = (int(match[1]), int(match[2] or 0))
    if version < FIRST:
        raise RequestRefused("Grafana has JWT authentication since 8.0; name 8.0 or newer")
    return version
