"""Settings that a Grafana takes without a word, and what is said of them."""

from __future__ import annotations

import pytest

from embedjwt.grafana.advice import advice
from embedjwt.grafana.verifier import read_ini, verify

GOOD = {
    "enabled": "true",
    "header_name": "X-JWT-Assertion",
    "url_login": "true",
    "jwk_set_url": "https://embed.example.com/j",
    "expect_claims": '{"iss": "https://embed.example.com", "aud": "grafana"}',
}


def settings(security="allow_embedding = true", version=(13, 1), **change):
    keys = {key: value for key, value in (GOOD | change).items() if value is not None}
    lines = "\n".join(f"{key} = {value}" for key, value in keys.items())
    return read_ini(f"[auth.jwt]\n{lines}\n[security]\n{security}\n", version=version)


def test_nothing_is_said_of_good_settings():
    assert advice(settings(signout_redirect_url="https://example.com")) == ()


NO_AUD = "expect_claims has no aud: no audience is checked, any token of this key set passes"
NO_ISS = "expect_claims has no iss: no issuer is checked"
NOT_IN_URL = (
    "url_login is off: only the header X-JWT-Assertion is read, a panel URL's ?auth_token= is "
    "ignored"
)
NO_KEY = "is ignored: Grafana reads no such key in [auth.jwt]"


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        pytest.param({"expect_claims": None}, [NO_AUD, NO_ISS], id="no-expect-claims"),
        pytest.param({"expect_claims": "{}"}, [NO_AUD, NO_ISS], id="empty"),
        pytest.param({"expect_claims": "null"}, [NO_AUD, NO_ISS], id="null"),
        pytest.param({"expect_claims": '{"iss": "i"}'}, [NO_AUD], id="no-aud"),
        pytest.param({"expect_claims": '{"iss": "i", "aud": []}'}, [NO_AUD], id="empty-aud"),
        pytest.param({"expect_claims": '{"aud": "a"}'}, [NO_ISS], id="no-iss"),
        pytest.param({"expect_claims": "{"}, [], id="left-to-the-verdict"),
        pytest.param(
            {"expect_claims": None, "expected_claims": GOOD["expect_claims"]},
            [NO_AUD, NO_ISS, f"expected_claims {NO_KEY}; the nearest key is expect_claims"],
            id="misspelt",
        ),
        pytest.param(
            {"enable_login_token": "true"},
            ["enable_login_token is ignored: no Grafana ever read it in [auth.jwt]"],
            id="dead",
        ),
        pytest.param(
            {"jwks_url": "x"}, [f"jwks_url {NO_KEY}; the nearest key is jwk_set_url"], id="near"
        ),
        pytest.param({"zzz": "x"}, [f"zzz {NO_KEY}"], id="far"),
        pytest.param(
            {"org_mapping": "a:1:Viewer", "version": (11, 6)},
            ["org_mapping is ignored: this Grafana does not read it, 12.0 is the first that does"],
            id="too-new",
        ),
        pytest.param({"url_login": None}, [NOT_IN_URL], id="header-only"),
        pytest.param({"url_login": "maybe"}, [NOT_IN_URL], id="no-yes"),
        pytest.param(
            {"security": ""},
            ['allow_embedding is not true in [security]: browsers say "Refused to display"'],
            id="no-frames",
        ),
        pytest.param(
            {"tls_skip_verify_insecure": "true"},
            ["tls_skip_verify_insecure is on: whoever sits between can put in keys of their own"],
            id="no-tls",
        ),
        pytest.param(
            {"jwk_set_url": "https://$__env{HOST}/j"},
            ["jwk_set_url: cannot expand $__env{HOST} here; put the value in for this check"],
            id="placeholder",
        ),
        pytest.param(
            {"enabled": "${ON}", "url_login": None},
            ["enabled: cannot expand ${ON} here; put the value in for this check"],
            id="disabled-by-a-placeholder",
        ),
        pytest.param(
            {"enabled": None, "enable": "true", "url_login": None},
            [f"enable {NO_KEY}; the nearest key is enabled"],
            id="disabled-by-a-typo",
        ),
    ],
)
def test_sentences(change, sentences):
    assert list(advice(settings(**change))) == sentences


def test_a_near_key_is_one_that_this_grafana_has():
    (sentence,) = advice(settings(org_maping="x", version=(11, 6)))

    assert "org_mapping" not in sentence


def test_nothing_is_said_of_a_file_without_the_section():
    assert advice(read_ini("app_mode = ${MODE}")) == ()


def test_a_verdict_has_them_whatever_it_is():
    refused = verify("", settings(url_login=None), {}, now=0)

    assert (refused.reason, refused.warnings) == ("no_token", (NOT_IN_URL,))
    assert refused.as_json()["warnings"] == [NOT_IN_URL]
    absent = verify("", read_ini("", name="g.ini"), {}, now=0)
    assert (absent.reason, absent.warnings) == ("disabled", ())
    assert absent.detail.startswith("g.ini has no [auth.jwt] section")
