"""Reading the configuration: every problem at once, each with what would be right."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from embedjwt.config import ConfigError, Settings, load_settings, parse_settings, warnings
from embedjwt.config.section import Section
from embedjwt.config.template import TEMPLATE
from embedjwt.keys.build import key_store
from tests_support import MINIMAL


def problems_of(
    raw: dict[str, Any], environ: dict[str, str] | None = None, base: Path = Path("/")
) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw, environ or {}, base=base, origin="test")
    return {p.key: f"{p.message} {p.fix}" for p in caught.value.problems}


def source(**keys: Any) -> dict[str, Any]:
    return {"type": "jwt", "issuer": "https://idp.example.com", "audience": ["x"], **keys}


class TestAllProblemsAtOnce:
    def test_each_has_its_key(self) -> None:
        found = problems_of(
            {
                "issuer": "http://embed.example.com",
                "tokn": {},
                "token": {"ttl": "2h"},
                "mapping": {"role_attribute_path": "a["},
                "source": [source(), {"type": "proxi"}],
                "grafana": [{"url": "https://g.example.com", "urll": 1}],
                "web": {"allowed_origins": ["*"]},
            },
            {"EMBEDJWT_KEYS__ALGORITM": "ES256"},
        )
        assert set(found) == {
            "issuer",
            "tokn",
            "token.ttl",
            "mapping.role_attribute_path",
            "source.1",
            "grafana.0.urll",
            "web.allowed_origins.0",
            "keys.algoritm",
        }
        assert "did you mean 'token'?" in found["tokn"]
        assert "did you mean 'url'?" in found["grafana.0.urll"]
        assert (
            "did you mean 'algorithm'? (set by EMBEDJWT_KEYS__ALGORITM)" in found["keys.algoritm"]
        )
        assert "at most 3600" in found["token.ttl"]

    def test_the_text_names_file_and_keys(self, tmp_path: Path) -> None:
        file = tmp_path / "embedjwt.toml"
        file.write_text('issuer = "ftp://x"\n')
        with pytest.raises(ConfigError) as caught:
            load_settings(file, {})
        text = caught.value.diagnostics()
        assert str(file) in text
        assert "issuer: must be an absolute URL" in text
        assert "source: is required, and missing" in text
        assert "grafana: is required, and missing" in text

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            pytest.param(None, "there is no such file", id="missing"),
            pytest.param(b"issuer = ", "is not valid TOML", id="not-toml"),
            pytest.param(b"issuer = '\xff'", "cannot be read", id="not-utf8"),
        ],
    )
    def test_unreadable_files(self, tmp_path: Path, content: bytes | None, says: str) -> None:
        file = tmp_path / "embedjwt.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"problem\(s\)") as caught:
            load_settings(file, {})
        assert says in caught.value.diagnostics()

    def test_a_secret_never_shows(self) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_settings(
                {**MINIMAL, "source": [source(secret="hush-hush-hush", audience=None, bad=1)]},
                {"EMBEDJWT_KEYS__PASSPHRASE__X": "hush-hush-hush"},
                base=Path("/"),
                origin="test",
            )
        assert "hush" not in caught.value.diagnostics()
        assert "hush" not in repr(caught.value.problems)


@pytest.mark.parametrize(
    ("tables", "key", "says"),
    [
        ({"mapping": {"allowed_domains": "a"}}, "mapping.allowed_domains", "under [admission]"),
        ({"mapping": {"auto_assign_org_id": 1}}, "mapping.auto_assign_org_id", "[[grafana]]"),
        ({"mapping": {"client_id": "a"}}, "mapping.client_id", 'type = "oidc"'),
        (
            {"mapping": {"username_attribute_path": "a"}},
            "mapping.username_attribute_path",
            "'login_attribute_path'",
        ),
        ({"token": {"zzzz": 1}}, "token.zzzz", "known: ttl, reuse"),
    ],
    ids=["another-table", "target", "sign-in", "synonym", "nothing-near"],
)
def test_what_was_meant(tables: dict[str, Any], key: str, says: str) -> None:
    assert says in problems_of({**MINIMAL, **tables})[key]


REFUSED: list[Any] = [
    ({"issuer": "http://embed.example.com"}, "issuer", "must be https"),
    ({"issuer": "https://u:p@embed.example.com"}, "issuer", "user name"),
    ({"issuer": "https://embed.example.com/#a"}, "issuer", "fragment"),
    ({"issuer": "https://embed.example.com/?a=b"}, "issuer", "query"),
    ({"token": {"ttl": "61m"}}, "token.ttl", "at most 3600"),
    ({"token": {"ttl": "soon"}}, "token.ttl", "such as"),
    ({"token": {"ttl": True}}, "token.ttl", "such as"),
    ({"token": {"ttl": -5}}, "token.ttl", "at least 30"),
    ({"grafana": [{"url": "https://g", "ttl": "2h"}]}, "grafana.0.ttl", "at most 3600"),
    ({"grafana": []}, "grafana", "at least one"),
    ({"grafana": [{"url": "https://a"}, {"url": "https://b"}]}, "grafana", "'default'"),
    ({"grafana": [{"url": "https://a", "header_name": "X_Y"}]}, "grafana.0.header_name", "dashes"),
    ({"source": []}, "source", "at least one"),
    ({"source": [{"issuer": "https://a"}]}, "source.0", "has no type"),
    ({"source": [source(audience=None)]}, "source.0", "audience is missing"),
    ({"source": [source(issuer=None)]}, "source.0", "issuer is missing"),
    ({"source": [source(header="X-A", cookie="b")]}, "source.0", "not both"),
    (
        {"source": [source(key_file="k", jwks_url="https://idp/jwks")]},
        "source.0",
        "jwks_url, key_file are all set",
    ),
    ({"source": [source(algorithms=["HS256"])]}, "source.0", "RFC 8725"),
    ({"source": [source(secret="s")]}, "source.0", "must be HS"),
    ({"source": [source(algorithms=["none"])]}, "source.0.algorithms.0", "should be"),
    (
        {"source": [source(tls_skip_verify_insecure=True)]},
        "source.0.tls_skip_verify_insecure",
        "tls_client_ca",
    ),
    ({"source": [{"type": "proxy", "preset": "authelia"}]}, "source.0", "trusted_proxies"),
    ({"source": [{"type": "cookie"}]}, "source.0", "secret_keys_file"),
    (
        {"mapping": {"allow_assign_grafana_admin": True, "skip_org_role_sync": True}},
        "mapping",
        "exclude each other",
    ),
    ({"web": {"allowed_origins": ["https://a/b"]}}, "web.allowed_origins.0", "scheme://host"),
    ({"web": {"trusted_proxies": ["0.0.0.0/0"]}}, "web.trusted_proxies.0", "too large"),
    ({"web": {"trusted_proxies": ["128.0.0.0/1"]}}, "web.trusted_proxies.0", "too large"),
    (
        {
            "grafana": [
                {"url": "https://a"},
                {"name": "b", "url": "https://b", "audience": "https://a"},
            ]
        },
        "grafana",
        "same audience",
    ),
    ({"web": {"trusted_proxies": ["proxy"]}}, "web.trusted_proxies.0", "address or network"),
    ({"keys": {"algorithm": "HS256"}}, "keys.algorithm", "should be"),
]


@pytest.mark.parametrize(
    ("tables", "key", "says"), REFUSED, ids=[f"{key}-{says}" for _, key, says in REFUSED]
)
def test_refused(tables: dict[str, Any], key: str, says: str) -> None:
    assert says in problems_of({**MINIMAL, **tables})[key]


class TestDevelopmentSwitch:
    def test_lifts_and_says_so(self) -> None:
        settings = parse_settings(
            {
                **MINIMAL,
                "development": True,
                "issuer": "http://embed.example.com",
                "source": [source(tls_skip_verify_insecure=True)],
            },
            {},
            base=Path("/"),
            origin="test",
        )
        said = " ".join(warnings(settings))
        assert "development = true" in said
        assert "issuer is http" in said
        assert "tls_skip_verify_insecure" in said

    def test_loopback_needs_no_switch(self) -> None:
        for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "app.localhost"):
            raw = {**MINIMAL, "issuer": f"http://{host}"}
            assert not warnings(parse_settings(raw, {}, base=Path("/"), origin="test"))


class TestEnvironment:
    def parse(self, environ: dict[str, str], **tables: Any) -> Settings:
        return parse_settings({**MINIMAL, **tables}, environ, base=Path("/base"), origin="test")

    def test_every_kind_of_value(self) -> None:
        settings = self.parse(
            {
                "EMBEDJWT_ISSUER": "https://other.example.com/",
                "EMBEDJWT_TOKEN__TTL": "90s",
                "EMBEDJWT_TOKEN__REUSE": "false",
                "EMBEDJWT_WEB__ALLOWED_ORIGINS": "https://a.example.com https://B.example.com:443",
                "EMBEDJWT_GRAFANA__0__ORGS": '{"Main Org.": 1}',
                "EMBEDJWT_GRAFANA__1__NAME": "second",
                "EMBEDJWT_GRAFANA__1__URL": "https://two.example.com",
                "EMBEDJWT_MAPPING__ORG_MAPPING": '["a b:1:Editor"]',
                "OTHER": "ignored",
                "EMBEDJWT_CONFIG": "not a setting",
            }
        )
        assert settings.issuer == "https://other.example.com"
        assert settings.token.ttl == 90
        assert settings.token.reuse is False
        assert settings.web.allowed_origins == ("https://a.example.com", "https://b.example.com")
        assert settings.grafana[0].orgs == {"Main Org.": 1}
        assert settings.grafana[1].name == "second"
        assert settings.mapping.org_mapping == ("a b:1:Editor",)

    def test_alone_without_a_file(self, tmp_path: Path) -> None:
        settings = load_settings(
            tmp_path / "embedjwt.toml",
            {
                "EMBEDJWT_ISSUER": "https://e.example.com",
                "EMBEDJWT_SOURCE": '[{"type":"jwt","issuer":"https://i","audience":["a"]}]',
                "EMBEDJWT_GRAFANA__0__URL": "https://g.example.com",
            },
        )
        assert settings.source[0].name == "jwt"
        assert settings.keys.directory == tmp_path / "jwks"

    @pytest.mark.parametrize(
        ("variable", "says"),
        [
            ("EMBEDJWT_GRAFANA__X__URL", "should be the table's number"),
            ("EMBEDJWT_GRAFANA__7__URL", "at most 1 here"),
            ("EMBEDJWT_ISSUER__X", "has no key 'x' below it"),
            ("EMBEDJWT_GRAFANA__0__ORGS", "not valid JSON"),
        ],
    )
    def test_what_does_not_fit(self, variable: str, says: str) -> None:
        value = "{" if variable.endswith("ORGS") else "1"
        assert any(says in text for text in problems_of(MINIMAL, {variable: value}).values())

    def test_the_callers_tables_stay_as_they_are(self) -> None:
        before = repr(MINIMAL)
        self.parse({"EMBEDJWT_GRAFANA__0__URL": "https://x.example.com"})
        assert repr(MINIMAL) == before


class TestTemplate:
    def test_is_valid_as_it_stands(self) -> None:
        settings = parse_settings(tomllib.loads(TEMPLATE), {}, base=Path("/"), origin="test")
        assert settings.issuer == "http://localhost:8080"

    def test_explains_every_key(self) -> None:
        from embedjwt.config import gateway, model, provider, source

        sections = [
            value
            for module in (model, source, provider, gateway)
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Section)
        ]
        keys = {key for section in sections for key in section.model_fields}
        written = {line.lstrip("# ").split(" = ")[0] for line in TEMPLATE.splitlines()}
        tables = {
            "token",
            "keys",
            "pkcs11",
            "session",
            "gateway",
            "rule",
            "source",
            "mapping",
            "admission",
            "grafana",
            "web",
        }
        assert keys - tables - written == set()

    def test_its_commented_values_are_valid(self) -> None:
        """Taking the # away from a key gives a value that the key takes."""
        section = ""
        for line in TEMPLATE.splitlines():
            text = line.removeprefix("# ")
            if text.startswith("["):
                section = text.strip("[]# ")
            if not line.startswith("# ") or " = " not in line or not text[0].islower():
                continue
            key = text.split(" = ")[0]
            if not key.replace("_", "").isalpha() or section in ("", "source"):
                continue
            raw = {**MINIMAL, section: tomllib.loads(text)}
            if section == "grafana":
                raw["grafana"] = [{"url": "https://g", **tomllib.loads(text)}]
            if section == "keys.pkcs11":
                token = {"module": "/m.so", "token_label": "t", **tomllib.loads(text)}
                raw = {**MINIMAL, "keys": {"pkcs11": token}}
            if section == "gateway.rule":
                rule = {"allow": ["panel"], **tomllib.loads(text)}
                raw = {**MINIMAL, "gateway": {"rule": [rule]}}
            parse_settings(raw, {}, base=Path("/"), origin=f"template {key}")


@pytest.mark.parametrize(
    ("prefixes", "said"),
    [(("", ""), True), (("", "other|"), True), (("a|", "a|b|"), True), (("a|", "b|"), False)],
)
def test_prefixes_that_do_not_keep_people_apart_are_said(
    prefixes: tuple[str, str], said: bool
) -> None:
    two = [
        source(subject_prefix=prefixes[0]),
        source(name="other", issuer="https://idp2.example.com", subject_prefix=prefixes[1]),
    ]
    raw = {**MINIMAL, "source": two}
    told = warnings(parse_settings(raw, {}, base=Path("/"), origin="t"))
    assert any("subject_prefix" in sentence for sentence in told) is said
    assert any("one login or e-mail" in sentence for sentence in told)


@pytest.mark.parametrize(("key", "said"), [("short", True), ("sixteen-letters!", False)])
def test_guessable_keys_are_said_wherever_they_are(tmp_path: Path, key: str, said: bool) -> None:
    file = tmp_path / "keys"
    file.write_text(f"a-long-enough-secret-key\n{key}\n")
    file.chmod(0o600)
    for keys in ({"secret_keys": [key]}, {"secret_keys_file": "keys"}):
        raw = {**MINIMAL, "source": [{"type": "cookie", **keys}]}
        told = warnings(parse_settings(raw, {}, base=tmp_path, origin="t"))
        assert any("guessable" in sentence for sentence in told) is said


def test_what_is_wrong_alone_does_not_hide_what_is_wrong_together() -> None:
    found = problems_of(
        {
            **MINIMAL,
            "mapping": {
                "login_attribute_path": "a[",
                "allow_assign_grafana_admin": True,
                "skip_org_role_sync": True,
            },
            "source": [source(issuer="http://idp.example.com", leeway="soon", audience=["a"])],
            "grafana": [{"url": "https://a", "ttl": "2h"}, {"url": "https://b"}],
        }
    )
    assert found.keys() == {
        "mapping.login_attribute_path",
        "mapping",
        "source.0.leeway",
        "source.0",
        "grafana.0.ttl",
        "grafana",
    }


@pytest.mark.parametrize(
    ("url", "file"),
    [("sqlite:///state.db", "etc/state.db"), ("sqlite:///sub/state.db", "etc/sub/state.db")],
)
def test_a_relative_database_counts_from_its_file(tmp_path: Path, url: str, file: str) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    raw = {**MINIMAL, "database": url, "keys": {"encryption_keys": [key]}}
    settings = parse_settings(raw, {}, base=tmp_path / "etc", origin="t")
    assert key_store(settings).location == f"sqlite:///{tmp_path / file}"
    (tmp_path / "etc").mkdir()
    secret = tmp_path / "etc" / "database"
    secret.write_text(url)
    secret.chmod(0o600)
    raw = {**raw, "database": None, "database_file": "etc/database"}
    settings = parse_settings(raw, {}, base=tmp_path, origin="t")
    assert key_store(settings).location == f"sqlite:///{tmp_path / file}"
