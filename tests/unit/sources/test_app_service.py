"""The principal header of Azure App Service: of whose making it must be, and what it tells."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import sources_kit as kit
from front_door_kit import ENTRA, OID, SOAP, SUB, WS2008, principal

from embedjwt.config.problems import ConfigError
from embedjwt.errors import EmbedJWTError
from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.sources.app_service import MAX_LENGTH

PEER = "169.254.130.1"
WEB = {"trusted_proxies": ["169.254.128.0/17"]}
SOURCE = {"type": "proxy", "preset": "azure-app-service"}


def entra(*more: tuple[str, str], without: str = "") -> str:
    return principal([*(claim for claim in ENTRA if not claim[0].endswith(without or "\0")), *more])


def session_of(chain: Any, value: str, **beside: str) -> Any:
    headers = {"X-MS-CLIENT-PRINCIPAL": value}
    headers |= {f"X-MS-CLIENT-PRINCIPAL-{name.upper()}": text for name, text in beside.items()}
    return chain(SOURCE, **WEB).session(kit.request(headers, peer=PEER), kit.NOW)


def refusal(chain: Any, value: str, **beside: str) -> EmbedJWTError:
    with pytest.raises(EmbedJWTError) as refused:
        session_of(chain, value, **beside)
    return refused.value


def test_a_person_of_entra_id(chain) -> None:
    source = {**SOURCE, "subject_prefix": "az:"}
    request = kit.request({"X-MS-CLIENT-PRINCIPAL": entra()}, peer=PEER)
    session = chain(source, **WEB).session(request, kit.NOW)
    assert session.documents.id_token == {
        "aud": "6f0a1e2c-0000-4c1a-981c-ba1d25f0483d",
        "iss": "https://login.microsoftonline.com/8e2f/v2.0",
        "exp": kit.NOW + 600,
        "name": "Jäne Dœ",
        "preferred_username": "jane@example.com",
        "email": "jane@example.com",
        "sub": SUB,
        "oid": OID,
        "tid": "8e2f",
        "groups": ["f08bbbea", "14a87ffa"],
        "roles": ["Grafana.Editor"],
        "http://schemas.microsoft.com/claims/authnmethodsreferences": ["pwd", "mfa"],
    }
    assert (session.source, session.subject_prefix) == ("azure-app-service", "az:")
    assert session.expires_at == kit.NOW + 600
    assert session.ambient is True


def test_a_version_1_token_has_its_login_in_the_claim_name(chain) -> None:
    session = session_of(
        chain, entra((f"{SOAP}/name", "jane@contoso.com"), (f"{SOAP}/upn", "jane@contoso.com"))
    )
    claims = session.documents.id_token
    assert (claims["name"], claims["unique_name"], claims["upn"]) == (
        "Jäne Dœ",
        "jane@contoso.com",
        "jane@contoso.com",
    )


def test_a_person_of_another_provider(chain) -> None:
    claims = [
        (f"{SOAP}/nameidentifier", "1234"),
        (f"{SOAP}/name", "Jane Doe"),
        (f"{SOAP}/givenname", "Jane"),
        (f"{SOAP}/surname", "Doe"),
        (f"{SOAP}/emailaddress", "jane@example.com"),
    ]
    session = session_of(chain, principal(claims, auth_typ="google"), id="1234", name="Jane Doe")
    assert session.documents.id_token == {
        "sub": "google:1234",
        "name": "Jane Doe",
        "given_name": "Jane",
        "family_name": "Doe",
        "email": "jane@example.com",
    }
    assert session.expires_at is None


def test_one_group_or_role_is_a_list_too(chain) -> None:
    claims = session_of(chain, principal([("sub", "u1"), ("groups", "a"), ("role", "b")]))
    assert claims.documents.id_token == {"sub": "u1", "groups": ["a"], "roles": ["b"]}


def test_three_hundred_groups(chain) -> None:
    groups = [
        (f"{WS2008}/groups", f"{number:08x}-0000-4000-8000-000000000000") for number in range(300)
    ]
    found = session_of(chain, entra(*groups, without="groups")).documents.id_token["groups"]
    assert found == [group for _, group in groups]


@pytest.mark.parametrize(
    "claim",
    [
        (f"{SOAP}/nameidentifier", "other"),
        ("sub", "other"),
        ("oid", "other"),
        ("email", "admin@example.com"),
        (f"{SOAP}/emailaddress", "admin@example.com"),
        ("name", "Admin"),
        ("preferred_username", "admin@example.com"),
        ("exp", str(kit.NOW + 9999)),
    ],
)
def test_two_values_for_who_it_is_are_refused(chain, claim) -> None:
    assert refusal(chain, entra(claim)).code == "identity_header_invalid"


def test_the_same_value_twice_is_one(chain) -> None:
    assert session_of(chain, entra(("sub", SUB))).documents.id_token["sub"] == SUB


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (entra(without="nameidentifier"), "identity_header_missing"),
        (entra(("sub", ""), without="nameidentifier"), "identity_header_missing"),
        (principal([]), "identity_header_missing"),
        (principal(ENTRA, auth_typ=None), "identity_header_invalid"),
        (principal(ENTRA, auth_typ=""), "identity_header_invalid"),
        (principal(ENTRA, auth_typ="a:b"), "identity_header_invalid"),
        (principal([], claims=None), "identity_header_invalid"),
        (principal([], claims={"sub": "u1"}), "identity_header_invalid"),
        (principal([], claims=["sub"]), "identity_header_invalid"),
        (principal([("sub", 1)]), "identity_header_invalid"),
        (principal([(None, "x")]), "identity_header_invalid"),
        (principal([("sub", ["u1"])]), "identity_header_invalid"),
        (entra(("exp", "soon"), without="exp"), "identity_header_invalid"),
        (entra(("exp", "1.5"), without="exp"), "identity_header_invalid"),
        (entra(("exp", "-1"), without="exp"), "identity_header_invalid"),
        (entra(("exp", "9" * 12), without="exp"), "identity_header_invalid"),
        (entra(("exp", "\u0661"), without="exp"), "identity_header_invalid"),
        (entra() + "," + entra(), "identity_header_invalid"),
        (entra() + "!", "identity_header_invalid"),
        (entra()[:-1], "identity_header_invalid"),
        ("eyJ zdWIi", "identity_header_invalid"),
        ("\u00e4" * 4, "identity_header_invalid"),
        (base64.b64encode(b"[]").decode(), "identity_header_invalid"),
        (base64.b64encode(b"{").decode(), "identity_header_invalid"),
        (base64.b64encode(b"\xff").decode(), "identity_header_invalid"),
        (
            base64.b64encode(b'{"auth_typ":"aad","auth_typ":"x"}').decode(),
            "identity_header_invalid",
        ),
        (entra(("padding", "x" * MAX_LENGTH)), "identity_header_invalid"),
    ],
)
def test_refused(chain, value, code) -> None:
    refused = refusal(chain, value)
    assert (refused.code, refused.status) == (code, 401)
    assert "jane" not in refused.diagnostics()


@pytest.mark.parametrize(
    "beside",
    [
        {"id": OID},
        {"id": SUB},
        {"name": "jane@example.com"},
        {"id": OID, "name": "jane@example.com"},
        {"name": "J\u00c3\u00a4ne"},
    ],
)
def test_headers_beside_it_that_agree(chain, beside) -> None:
    assert session_of(chain, entra(), **beside).documents.id_token["sub"] == SUB


@pytest.mark.parametrize("beside", [{"id": "other"}, {"name": "admin@example.com"}])
def test_headers_beside_it_that_do_not(chain, beside) -> None:
    assert refusal(chain, entra(), **beside).code == "identity_header_invalid"


@pytest.mark.parametrize("peer", ["203.0.113.9", "127.0.0.1", ""])
def test_others_may_not_send_it(chain, peer) -> None:
    request = kit.request({"X-MS-CLIENT-PRINCIPAL": entra()}, peer=peer)
    with pytest.raises(EmbedJWTError) as refused:
        chain(SOURCE, **WEB).session(request, kit.NOW)
    assert refused.value.code == "peer_not_trusted"


@pytest.mark.parametrize("name", ["", "-id", "-name"])
def test_twins_are_refused(chain, name) -> None:
    request = kit.request({"X-MS-CLIENT-PRINCIPAL": entra()}, peer=PEER)
    request.environ[AMBIGUOUS_HEADERS] = frozenset({f"x-ms-client-principal{name}"})
    with pytest.raises(EmbedJWTError) as refused:
        chain(SOURCE, **WEB).session(request, kit.NOW)
    assert refused.value.code == "identity_header_ambiguous"


@pytest.mark.parametrize(
    "headers", [{}, {"X-MS-CLIENT-PRINCIPAL": " "}, {"X-MS-CLIENT-PRINCIPAL-ID": OID}]
)
def test_without_it_nobody_is_signed_in(chain, headers) -> None:
    with pytest.raises(EmbedJWTError) as refused:
        chain(SOURCE, **WEB).session(kit.request(headers, peer=PEER), kit.NOW)
    assert refused.value.code == "login_required"


def test_names_of_other_headers_have_no_meaning(chain) -> None:
    with pytest.raises(ConfigError) as refused:
        chain({**SOURCE, "user_header": "X-User"}, **WEB)
    assert refused.value.problems[0].key == "source.0.user_header"
