"""What front doors send, in the shape that their makers document."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import sources_kit as kit
from jwt.algorithms import ECAlgorithm

KID = "12345678-1234-1234-1234-123456789012"
SIGNER = (
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/grafana/50dc6c495c0c91"
)
CLIENT = "client-1"
ALB_HEADER = {
    "typ": "JWT",
    "kid": KID,
    "alg": "ES256",
    "iss": kit.ISSUER,
    "client": CLIENT,
    "signer": SIGNER,
    "exp": kit.NOW + 120,
}
ALB_PAYLOAD = {"sub": "u1", "name": "Jäne", "email": "jane@example.com"}

SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
MICROSOFT = "http://schemas.microsoft.com/identity/claims"
WS2008 = "http://schemas.microsoft.com/ws/2008/06/identity/claims"

SUB = "9vckmEGF7zDKk1YzIY8k0t1_EAPaXoeHyPRn6f413zM"
OID = "5b5450db-eb26-4c1a-981c-ba1d25f0483d"
ENTRA = [
    ("aud", "6f0a1e2c-0000-4c1a-981c-ba1d25f0483d"),
    ("iss", "https://login.microsoftonline.com/8e2f/v2.0"),
    ("exp", str(kit.NOW + 600)),
    ("name", "Jäne Dœ"),
    ("preferred_username", "jane@example.com"),
    (f"{SOAP}/emailaddress", "jane@example.com"),
    (f"{SOAP}/nameidentifier", SUB),
    (f"{MICROSOFT}/objectidentifier", OID),
    (f"{MICROSOFT}/tenantid", "8e2f"),
    ("groups", "f08bbbea"),
    ("groups", "14a87ffa"),
    (f"{WS2008}/role", "Grafana.Editor"),
    ("http://schemas.microsoft.com/claims/authnmethodsreferences", "pwd"),
    ("http://schemas.microsoft.com/claims/authnmethodsreferences", "mfa"),
]
"""What a version 2 token of Microsoft Entra ID becomes in App Service."""


def padded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def alb_token(payload: Any = None, *, key: Any = kit.EC_KEY, **header: Any) -> str:
    """As a load balancer makes them: each part padded, the signature over the padded text."""
    told = {name: value for name, value in {**ALB_HEADER, **header}.items() if value is not None}
    body = ALB_PAYLOAD if payload is None else payload
    signed = f"{padded(json.dumps(told).encode())}.{padded(json.dumps(body).encode())}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), key)
    return f"{signed}.{padded(signature)}"


def principal(pairs: Iterable[tuple[Any, Any]], **changes: Any) -> str:
    """The principal header of Azure App Service, with these (typ, val) claims."""
    whole = {
        "auth_typ": "aad",
        "name_typ": f"{SOAP}/emailaddress",
        "role_typ": f"{WS2008}/role",
        "claims": [{"typ": typ, "val": val} for typ, val in pairs],
        **changes,
    }
    return base64.b64encode(json.dumps(whole).encode()).decode()
