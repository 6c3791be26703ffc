"""The presets of providers that people sign in at: ``type = "oidc"``.

Endpoints are given only where there is no discovery. What is proposed for the mapping is what
Grafana's own connector for that provider does, where it has one.
"""

from __future__ import annotations

from embedjwt.config.preset import Preset

_WITH_GROUPS = ("openid", "profile", "email", "groups")

PROVIDERS: dict[str, Preset] = {
    # Claims that an Action adds stand under a namespace (a URL) of the customer's own choice.
    "auth0": Preset({"issuer": "https://{domain}/"}),
    "bitbucket": Preset(
        {
            "auth_url": "https://bitbucket.org/site/oauth2/authorize",
            "token_url": "https://bitbucket.org/site/oauth2/access_token",
            "api_url": "https://api.bitbucket.org/2.0/user",
            "teams_url": "https://api.bitbucket.org/2.0/user/permissions/workspaces",
            "scopes": ("account", "email"),
        },
        {"team_ids_attribute_path": "values[*].workspace.slug"},
    ),
    "centrify": Preset(
        {
            "issuer": "https://{domain}/{application_id}/",
            "auth_url": "https://{domain}/OAuth2/Authorize/{application_id}",
            "token_url": "https://{domain}/OAuth2/Token/{application_id}",
            "api_url": "https://{domain}/OAuth2/UserInfo/{application_id}",
        },
        {"login_attribute_path": "preferred_username", "groups_attribute_path": "groups"},
    ),
    # Like azuread_oauth.go: the highest of the app roles, and the e-mail may be missing.
    "entra-id": Preset(
        {"issuer": "https://login.microsoftonline.com/{tenant}/v2.0"},
        {
            "login_attribute_path": "email || preferred_username",
            "email_attribute_path": "preferred_username",
            "groups_attribute_path": "groups",
            "role_attribute_path": "(roles[?@=='GrafanaAdmin'] || roles[?@=='Admin'] || "
            "roles[?@=='Editor'] || roles[?@=='Viewer'] || roles[?@=='None'])[0]",
        },
    ),
    "github": Preset(
        {
            "auth_url": "https://github.com/login/oauth/authorize",
            "token_url": "https://github.com/login/oauth/access_token",
            "api_url": "https://api.github.com/user",
            "teams_url": "https://api.github.com/user/teams?per_page=100",
            "scopes": ("user:email", "read:org"),
        },
        {"team_ids_attribute_path": "[*].id"},
    ),
    # `groups` is UserInfo's: all groups. The ID token has `groups_direct`, some of them.
    "gitlab": Preset(
        {"issuer": "https://gitlab.com"},
        {"login_attribute_path": "preferred_username", "groups_attribute_path": "groups"},
    ),
    "google": Preset({"issuer": "https://accounts.google.com"}),
    # Each realm is an issuer of its own: https://sso.example.com/realms/x.
    "keycloak": Preset(
        {}, {"login_attribute_path": "preferred_username", "groups_attribute_path": "groups"}
    ),
    "okta": Preset(
        {"issuer": "https://{domain}", "scopes": _WITH_GROUPS},
        {
            "login_attribute_path": "email || preferred_username",
            "email_attribute_path": "preferred_username",
            "groups_attribute_path": "groups",
        },
    ),
    "onelogin": Preset(
        {"issuer": "https://{domain}/oidc/2", "scopes": _WITH_GROUPS},
        {"login_attribute_path": "preferred_username", "groups_attribute_path": "groups"},
    ),
}
