"""The presets of front doors, which send on every request who has signed in."""

from __future__ import annotations

from embedjwt.config.preset import Preset

FRONT_DOORS: dict[str, Preset] = {
    # Keys come one by one, from an address that the load balancer's ARN tells (sources/alb.py).
    "aws-alb": Preset({"header": "X-Amzn-Oidc-Data", "algorithms": ("ES256",)}),
    # Claims that the identity provider adds are under `custom`.
    "cloudflare-access": Preset(
        {
            "header": "Cf-Access-Jwt-Assertion",
            "issuer": "https://{domain}",
            "jwks_url": "https://{domain}/cdn-cgi/access/certs",
            "algorithms": ("RS256",),
        },
        {"groups_attribute_path": "custom.groups", "name_attribute_path": "custom.name"},
    ),
    "google-iap": Preset(
        {
            "header": "X-Goog-IAP-JWT-Assertion",
            "issuer": "https://cloud.google.com/iap",
            "jwks_url": "https://www.gstatic.com/iap/verify/public_key-jwk",
            "algorithms": ("ES256",),
            "leeway": 30,  # "Allow 30 seconds for skew"
        }
    ),
    # `domain` is embedjwt's own host behind Pomerium: it is the iss and the aud (0.22 and later).
    "pomerium": Preset(
        {
            "header": "X-Pomerium-Jwt-Assertion",
            "issuer": "{domain}",
            "audience": "{domain}",
            "jwks_url": "https://{domain}/.well-known/pomerium/jwks.json",
            "algorithms": ("ES256",),
        },
        {"groups_attribute_path": "groups"},
    ),
    # The claims have the names that sources/app_service.py gives them. Microsoft Entra ID often
    # says no e-mail; Grafana's [auth.azuread] takes preferred_username then (azuread_oauth.go).
    "azure-app-service": Preset(
        {}, {"groups_attribute_path": "groups", "email_attribute_path": "preferred_username"}
    ),
}
