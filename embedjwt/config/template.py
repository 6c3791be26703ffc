"""The commented file that ``embedjwt init`` writes. Every key is in it; a test holds it to that."""

TEMPLATE = """\
# embedjwt.toml: what each key means. A commented key shows its default; where it says "e.g.", the
# default is empty, and this is an example.
# Every key is also an environment variable: issuer is EMBEDJWT_ISSUER, ttl of [token] is
# EMBEDJWT_TOKEN__TTL, url of the first [[grafana]] is EMBEDJWT_GRAFANA__0__URL.
# Durations are seconds, or texts such as "5m", "1h", "30d". Relative paths count from this file.

# The URL of this service, as Grafana and browsers reach it: the tokens' iss. https off loopback.
issuer = "http://localhost:8080"

# Lifts checks that protect production (https, TLS verification) on a test machine. Said loudly.
# development = false

# Where keys are kept once one machine is not enough: PostgreSQL, or SQLite (sqlite:///state.db).
# It holds a password, so a file is a better place for it.
# database = "postgresql://embedjwt:password@db.internal/embedjwt"  # e.g.
# database_file = "/run/secrets/embedjwt-database"  # e.g.


[token]
# How long an embed token lives at most; never longer than the upstream session. At most "1h".
# ttl = "5m"
# Hand a still-fresh token of the same person out again instead of signing a new one.
# reuse = true


[keys]
# Where signing keys are kept. "directory": one private PEM a key, ring.json, jwks.json.
# "database": in database above; the default where that is set.
# store = "directory"
# directory = "jwks"
# ES256 (fast, and accepted by every Grafana), ES384, RS256, PS256 or EdDSA.
# algorithm = "ES256"
# Encrypts the private keys on disk.
# passphrase_file = "/run/secrets/embedjwt-passphrase"  # e.g.
# passphrase = "a long passphrase"  # e.g.
# Encrypt the private keys in a database: Fernet keys, newest last; in the file, one a line.
# 'openssl rand -base64 32' makes one.
# encryption_keys_file = "/run/secrets/embedjwt-encryption-keys"  # e.g.
# encryption_keys = ["the output of openssl rand -base64 32"]  # e.g.
# How long a key signs before the next one takes over by itself; 0 = until someone rotates it.
# rotate_every = "30d"
# How long Grafana may keep our key set: its cache_ttl, which 'embedjwt grafana-config' prints.
# verifier_cache_ttl = "1h"
# How long a process may go on with what it last read of the key store, e.g. while the database is
# down; then it stops signing. Every change of keys waits that long for the others.
# propagation_delay = "2m"

# Private keys in an HSM, through PKCS#11. Needs: pip install embedjwt[pkcs11]
# [keys.pkcs11]
# module = "/usr/lib/softhsm/libsofthsm2.so"  # e.g.
# token_label = "embedjwt"  # e.g.
# pin_file = "/run/secrets/embedjwt-pin"  # e.g.
# pin = "1234"  # e.g.


[session]
# embedjwt's own session, after a login at a provider (type = "oidc"). It ends with the upstream
# session; refresh tokens renew it, for at most this long:
# lifetime = "12h"
# Sign its cookie and help encrypt what is stored; newest last. Without any, the state store keeps
# one for the cookie, and who can write to it can make sessions.
# secret_keys_file = "/run/secrets/embedjwt-session-keys"  # e.g.
# secret_keys = ["the output of openssl rand -base64 32"]  # e.g.
# cookie_name = "embedjwt_session"
# "lax": host pages on the same site (app.example.com and embed.example.com). "none": on any site,
# where the browser allows third-party cookies.
# cookie_samesite = "lax"
# Where sessions are kept, unless there is a database.
# file = "state.db"


[gateway]
# A reverse proxy in front of Grafana that asks embedjwt for a fresh header on every request: no
# token in any URL, and panels that do not expire. "nginx", "caddy", "traefik", "haproxy" or
# "envoy": 'embedjwt gateway-config' prints its configuration. It needs [web] trusted_proxies, and
# serves the [[grafana]] tables that have mode = "gateway".
# proxy = "nginx"  # e.g.
# How long a session at the gateway lives whose upstream session knows no end.
# lifetime = "1h"
# cookie_name = "embedjwt_gateway"
# Believe the headers of type = "proxy" sources here too, because that proxy sets them itself.
# trust_identity_headers = false
# "log": only log what the rules below would refuse.
# rule_mode = "enforce"

# What people may reach of Grafana. Without any: Viewers what a panel needs, Editors and Admins
# everything. See docs/gateway/rules.md.
# [[gateway.rule]]
# Whom it is for; empty lists are everybody.
# roles = ["Viewer"]  # e.g.
# groups = ["customers"]  # e.g.
# origins = ["https://app.example.com"]  # e.g.
# grafana = ["default"]  # e.g.
# "panel", "dashboard", "everything", or patterns.
# allow = ["panel", "GET /api/search"]  # e.g.
# Only these, where a dashboard is named.
# dashboards = ["cpu-overview"]  # e.g.


# --- Who is asking? Session sources, asked in this order; the first that recognises a request
# --- answers, and if it cannot verify what it recognised, the request is refused.

# An upstream JWT (an ID token, an access token) in a header or a cookie.
[[source]]
type = "jwt"
# name = "jwt"
# Where the token is: a header (Authorization takes "Bearer …"), or a cookie.
# header = "Authorization"
# cookie = "id_token"  # e.g.
# The tokens' iss, to the character; without another place for keys, also where they are
# looked up (discovery).
issuer = "https://idp.example.com"
# The tokens' aud must name one of these.
audience = ["my-client-id"]
# Other places for keys, one at most.
# jwks_url = "https://idp.example.com/jwks"  # e.g.
# key_file = "upstream.pub.pem"  # e.g.
# secret_file = "upstream.secret"  # e.g.
# secret = "at least 32 bytes"  # e.g.
# algorithms = ["RS256", "ES256"]
# Claims a token must have.
# require = ["exp", "sub"]
# Clock difference that is forgiven.
# leeway = "60s"
# How long the provider may take to answer.
# timeout = "5s"
# tls_client_ca = "provider-ca.pem"  # e.g.
# A certificate of our own, where the provider asks for one.
# tls_client_cert = "client.pem"  # e.g.
# tls_client_key = "client.key"  # e.g.
# tls_skip_verify_insecure = false
# Put before every sub, so that two sources never call two people by one sub.
# subject_prefix = "crm:"  # e.g.
# A front door that signs people in and adds a JWT: "cloudflare-access", "google-iap", "pomerium"
# or "aws-alb"; see docs/presets. It knows the header and the keys.
# preset = "cloudflare-access"  # e.g.
# domain = "acme.cloudflareaccess.com"  # e.g.
# signer = ["arn:aws:elasticloadbalancing:…"]  # e.g.

# embedjwt's own login, at an OpenID or OAuth 2.0 provider: the keys of Grafana's
# [auth.generic_oauth], same names, same meaning. 'embedjwt init --from-grafana grafana.ini' writes
# them. The redirect URI to register is <issuer>/session/callback; with several such sources each
# has its own, <issuer>/session/callback/<name>. 'embedjwt check' prints them.
# [[source]]
# type = "oidc"
# What the provider's page shows; auth0, bitbucket, centrify, entra-id, github, gitlab, google,
# keycloak, okta, onelogin fill in what they can; see docs/presets.
# name = "Acme"
# icon = "signin"
# preset = "auth0"  # e.g.
# domain = "acme.eu.auth0.com"  # e.g.
# tenant = "0f5e…"  # e.g.
# application_id = "grafana"  # e.g.
# issuer = "https://acme.eu.auth0.com/"
# client_id = "my-client-id"
# client_secret_file = "/run/secrets/oidc-client-secret"  # e.g.
# client_secret = "…"  # e.g.
# "AutoDetect", "InParams" or "InHeader".
# auth_style = "AutoDetect"
# scopes = ["openid", "profile", "email"]
# empty_scopes = false
# Only where discovery does not find them, or for plain OAuth 2.0 without an issuer.
# auth_url = "https://idp.example.com/authorize"  # e.g.
# token_url = "https://idp.example.com/token"  # e.g.
# api_url = "https://idp.example.com/userinfo"  # e.g.
# jwk_set_url = "https://idp.example.com/jwks"  # e.g.
# teams_url = "https://idp.example.com/teams"  # e.g.
# Where the browser goes after a logout, instead of the provider's end_session_endpoint.
# signout_redirect_url = "https://idp.example.com/logout"  # e.g.
# Sign in at this provider without a choice page, though there are several.
# auto_login = false
# false: only people whom Grafana knows already ('grafana-config' prints auto_sign_up = false).
# allow_sign_up = true
# use_pkce = true
# Keep sessions alive with the provider's refresh token.
# use_refresh_token = true
# id_token_attribute_name = "id_token"

# Opaque access tokens (RFC 7662), in a header or a cookie.
# [[source]]
# type = "introspection"
# The provider's endpoint, or issuer to find it by discovery.
# introspection_url = "https://idp.example.com/introspect"  # e.g.
# client_id = "embedjwt"
# What the answer's aud and scope must hold.
# audience = ["my-api"]
# required_scopes = ["grafana"]  # e.g.
# How long an answer is believed: at most a minute, and never longer than the token lives.
# cache_ttl = "60s"

# Identity headers from a reverse proxy that signs people in. Needs [web] trusted_proxies.
# [[source]]
# type = "proxy"
# "oauth2-proxy", "authelia" or "authentik"; or name the headers.
# preset = "oauth2-proxy"  # e.g. (also "azure-app-service")
# subject_header = "X-Auth-Request-User"  # e.g.
# user_header = "X-Auth-Request-Preferred-Username"  # e.g.
# email_header = "X-Auth-Request-Email"  # e.g.
# name_header = "X-Auth-Request-Name"  # e.g.
# groups_header = "X-Auth-Request-Groups"  # e.g.
# groups_separator = ","  # e.g.

# The signed session cookie of a host application.
# [[source]]
# type = "cookie"
# cookie_name = "session"
# "flask": Flask's own session; "itsdangerous": any URLSafeTimedSerializer.
# format = "flask"
# The host application's keys, newest last: a file with one a line, or a list.
# secret_keys_file = "/run/secrets/flask-secret-keys"  # e.g.
# secret_keys = ["the SECRET_KEY"]  # e.g.
# Only where the host application changed them:
# salt = "cookie-session"
# key_derivation = "hmac"
# digest_method = "sha1"
# max_age = "1h"
# Where in the session the person's claims are (JMESPath); nothing there: not signed in.
# claims_path = "@"


# --- What will Grafana call them? Grafana's generic OAuth settings, same names, same meaning.

# Any source may also have keys of [mapping] and [admission] below: they then hold for it alone.
# enabled = false switches it off.
# enabled = true

[mapping]
# email_attribute_name = "email:primary"
# email_attribute_path = "mail"  # e.g.
# login_attribute_path = "preferred_username"  # e.g.
# name_attribute_path = "displayName"  # e.g.
# groups_attribute_path = "groups"  # e.g.
# role_attribute_path = "contains(groups || `[]`, 'admin') && 'Admin' || 'Viewer'"  # e.g.
# Refuse people without a valid role.
# role_attribute_strict = false
# Let the role GrafanaAdmin make server admins.
# allow_assign_grafana_admin = false
# Leave roles to Grafana.
# skip_org_role_sync = false
# org_attribute_path = "groups"  # e.g.
# org_mapping = ["engineering:Main Org.:Editor", "*:Public:Viewer"]  # e.g.


# --- May they have a token at all? Empty lists admit everyone.

[admission]
# allowed_domains = ["example.com"]  # e.g.
# allowed_organizations = ["acme"]  # e.g.
# allowed_groups = ["staff"]  # e.g.
# team_ids = ["150", "300"]  # e.g.
# Where the claims list teams and organizations.
# team_ids_attribute_path = "teams[*].id"  # e.g.
# organizations_attribute_path = "organizations"  # e.g.


# --- For which Grafana? The first is the default one.

[[grafana]]
# name = "default"
url = "http://localhost:3000"
# The tokens' aud; the url where unset.
# audience = "grafana-line-3"  # e.g.
# header_name = "X-JWT-Assertion"
# "url": the token travels in the panel's URL (url_login). "gateway": a reverse proxy
# adds it on every request; see [gateway].
# mode = "url"
# ttl = "5m"
# As in this Grafana's [users] section:
# auto_assign_org_id = 1
# auto_assign_org_role = "Viewer"
# Organization names that org_mapping uses, and their ids.
# orgs = { "Main Org." = 1, "Public" = 2 }  # e.g.


[web]
# Pages that may ask for tokens: exact origins, no wildcards. Needed where browsers bring the
# session along: oidc, cookie, and front doors.
# allowed_origins = ["https://app.example.com"]  # e.g.
# Reverse proxies whose identity headers are believed.
# trusted_proxies = ["10.0.0.5"]  # e.g.
# The largest request body, in bytes.
# max_body_size = 65536
"""
