"""The keys that every OAuth section has: who Grafana is to the provider, and how it asks.

``conf/defaults.ini``; ``pkg/login/social/connectors/common.go`` (``createOAuthConfig``).
"""

from __future__ import annotations

import re
from pathlib import Path

from embedjwt.grafana.importing.draft import (
    Carried,
    Draft,
    Left,
    Line,
    Reader,
    ToDo,
    as_list,
    without_password,
)
from embedjwt.grafana.importing.toml import Value
from embedjwt.grafana.ini import ini_bool
from embedjwt.grafana.oauth_settings import Setting

_TEXTS = ("name", "client_id")
_URLS = ("auth_url", "token_url", "api_url", "signout_redirect_url")
_SWITCHES = {"allow_sign_up": True, "auto_login": False}
_FILES = ("tls_client_cert", "tls_client_key", "tls_client_ca")
_LONGEST_NAME = 64

_WEAKER = {
    "use_pkce": (
        "embedjwt always protects the code with PKCE (S256)",
        "should the provider refuse code_challenge, write use_pkce = false",
    ),
    "use_refresh_token": (
        "embedjwt renews a session with a refresh token wherever the provider gives one, and "
        "learns so when it has ended",
        "use_refresh_token = false switches it off",
    ),
}
_LEFT = {
    "login_prompt": (
        "embedjwt first asks with prompt=none, and interactively only after a click",
        "",
    ),
    "icon": ("it is for the button on Grafana's login page; embedjwt shows names", ""),
    "validate_id_token": ("embedjwt verifies every ID token, always", ""),
    "jwk_set_bearer_token_file": (
        "embedjwt fetches the provider's keys without a token",
        "name a jwk_set_url that needs none",
    ),
    "managed_identity_client_id": ("only Azure's own identities use it", ""),
    "federated_credential_audience": ("only Azure's own identities use it", ""),
    "workload_identity_token_file": ("only Azure's own identities use it", ""),
}


def read_client(
    reader: Reader, draft: Draft, *, section: str, index: int, secret_file: str
) -> None:
    """Carries the client's keys into the draft.

    ``index`` is the number of the ``[[source]]``; ``secret_file`` is what a secret that stands in
    Grafana's own file is to be called.
    """
    carry_default(reader, draft, "enabled", True)
    for key in (*_TEXTS, *_URLS):
        carry_text(reader, draft, key, index)
    _read_secret(reader, draft, index, secret_file)
    _read_switches(reader, draft, index)
    for key in _FILES:
        _read_file_name(reader, draft, key, index)
    _read_client_authentication(reader, draft)
    if not reader.is_on("tls_skip_verify_insecure"):
        carry_default(reader, draft, "tls_skip_verify_insecure", False)
    else:
        origin = reader.origin("tls_skip_verify_insecure", section)
        reason = "anybody on the way could replace the provider's keys and sign in as anyone"
        do = "name the provider's CA in tls_client_ca; on a test machine, development = true and "
        draft.left.append(Left(origin, reason, do + "tls_skip_verify_insecure = true"))
    for key, (reason, do) in _LEFT.items():
        setting = reader.given(key)
        if setting is not None:
            draft.left.append(Left(setting.origin, reason, do))


def carry_default(reader: Reader, draft: Draft, key: str, value: bool) -> None:
    """Says that a switch is as embedjwt has it anyway."""
    setting = reader.given(key)
    if setting is not None:
        draft.carried.append(Carried(setting.origin, f"[[source]] {key}", value))


def carry_text(reader: Reader, draft: Draft, key: str, index: int) -> None:
    """Carries one text, or one URL, if anybody has set it or Grafana's default is in force."""
    setting, value = reader.given(key), reader.text(key)
    if not value and (setting is None or not setting.file):
        return
    if key == "name" and len(value) > _LONGEST_NAME:
        reason = f"a source's name has at most {_LONGEST_NAME} characters"
        draft.left.append(Left(reader.origin(key, "name"), reason, "give the source a name"))
        return
    put_source(draft, key, value, setting, index)


def put_source(draft: Draft, key: str, value: Value, setting: Setting | None, index: int) -> None:
    """Writes a line of the source; what only Grafana's machine knows becomes a thing to do."""
    if setting is not None:
        shown = without_password(value) if isinstance(value, str) else value
        draft.carried.append(Carried(setting.origin, f"[[source]] {key}", shown))
        todo = unknown(setting, f"source.{index}.{key}")
        if todo is not None:
            draft.todo.append(todo)
            value = value or f"$__file{{{setting.file}}}"
    draft.source.append(Line(key, value))


def unknown(setting: Setting, key: str) -> ToDo | None:
    """What is to be put in where a value stands in a file or a variable of Grafana's machine."""
    if setting.file:
        return ToDo(key, f"put in what {setting.file} says on Grafana's machine", blocks=True)
    if setting.unknown:
        return ToDo(key, f"put in what {setting.unknown} is on Grafana's machine", blocks=True)
    return None


def _read_secret(reader: Reader, draft: Draft, index: int, secret_file: str) -> None:
    setting = reader.given("client_secret")
    if setting is None:
        return
    if setting.unknown:
        draft.source.append(Line("client_secret_file", secret_file, live=False))
        do = (
            f"only Grafana's machine knows {setting.unknown}: put the secret into a file of its "
            f"own (mode 0600) and name it, or set EMBEDJWT_SOURCE__{index}__CLIENT_SECRET"
        )
        draft.todo.append(ToDo(f"source.{index}.client_secret_file", do, blocks=True))
        return
    name = setting.file or secret_file
    draft.source.append(Line("client_secret_file", name))
    draft.carried.append(Carried(setting.origin, "[[source]] client_secret_file", None))
    if not setting.file:
        draft.secret = setting.value
    elif not Path(name).is_file():
        do = f"{name} is not on this machine: bring the secret here"
        draft.todo.append(ToDo(f"source.{index}.client_secret_file", do, blocks=True))


def _read_switches(reader: Reader, draft: Draft, index: int) -> None:
    for key, default in _SWITCHES.items():
        setting = reader.given(key)
        if setting is None:
            continue
        if setting.unknown:
            put_source(draft, key, setting.value, setting, index)
        elif ini_bool(setting.value, default) != default:
            put_source(draft, key, not default, setting, index)
        else:
            carry_default(reader, draft, key, default)
    for key, (reason, do) in _WEAKER.items():
        setting = reader.given(key)
        if setting is not None and not ini_bool(setting.value, False):
            draft.left.append(Left(f"{setting.origin} = false", reason, do))
        else:
            carry_default(reader, draft, key, True)


def _read_file_name(reader: Reader, draft: Draft, key: str, index: int) -> None:
    setting = reader.given(key)
    if setting is None:
        return
    put_source(draft, key, setting.value, setting, index)
    if setting.value and not Path(setting.value).is_file():
        do = f"{setting.value} is not on this machine: bring the file here and name it"
        draft.todo.append(ToDo(f"source.{index}.{key}", do, blocks=True))


def _read_client_authentication(reader: Reader, draft: Draft) -> None:
    style = reader.given("auth_style")
    if style is not None and re.fullmatch("inparams|inheader", style.value.lower()):
        put_source(draft, "auth_style", style.value, style, 0)
    elif style is not None:
        draft.carried.append(Carried(style.origin, "[[source]] auth_style", "AutoDetect"))
    method = reader.given("client_authentication")
    if method is None:
        return
    if method.value in ("none", "client_secret_post"):
        to = "[[source]] client_secret_file"
        draft.carried.append(Carried(method.origin, to, method.value))
    else:
        reason = "embedjwt proves who it is with a client secret or a certificate"
        do = "make a client secret at the provider and name its file in client_secret_file"
        draft.left.append(Left(method.origin, reason, do))


def carry_list(reader: Reader, draft: Draft, key: str, index: int) -> None:
    """Carries a list of the source, as Grafana splits it."""
    setting = reader.given(key)
    if setting is not None:
        put_source(draft, key, as_list(setting.value), setting, index)
