"""The OpenID Connect and OAuth 2.0 client: no Flask, no storage."""
