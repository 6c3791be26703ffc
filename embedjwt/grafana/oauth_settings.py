"""How a Grafana signs people in, read from its own files: ``grafana.ini`` and ``GF_…`` variables.

Sources: ``pkg/setting/setting.go`` (files, then variables; an empty value sets nothing),
``pkg/setting/expanders.go`` (``$__env{…}``, ``$__file{…}``, ``${…}``), and ``run.sh`` of Grafana's
container image (``GF_…__FILE``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from embedjwt.grafana.ini import IniError, ini_bool, parse_ini

CONNECTORS = (
    "auth.generic_oauth",
    "auth.github",
    "auth.gitlab",
    "auth.google",
    "auth.azuread",
    "auth.okta",
)
"""The sections that this reads as session sources, in the order in which Grafana lists them."""

OTHER_LOGINS = ("auth.grafana_com", "auth.grafananet", "auth.saml", "auth.ldap", "auth.proxy")
"""The sections that sign people in, too, and have nothing to be carried over."""

_SECTIONS = frozenset(
    {
        *CONNECTORS,
        *OTHER_LOGINS,
        *("auth.anonymous", "auth.jwt", "auth", "security", "server", "users"),
    }
)
_PREFIXES = {f"GF_{name.replace('.', '_').upper()}_": name for name in _SECTIONS}

_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_HELM = re.compile(
    r"""^[ \t]*["']?(?:grafana\.ini|auth\.generic_oauth)["']?:[ \t]*$""", re.MULTILINE
)
_REFERENCE = re.compile(r"\$(|__\w+)\{([^}]+)\}")
_ESCAPED = re.compile(r'\\([\\"$`])')


@dataclass(frozen=True, slots=True)
class Setting:
    """One value, as far as it is known away from Grafana's machine.

    ``origin`` is what to call it: ``[auth.github] scopes``, or a variable's name. ``file`` is the
    path of the file that holds the value, ``unknown`` the first reference (``${…}``) that stands in
    it still.
    """

    value: str
    origin: str
    file: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class GrafanaSettings:
    """The sections that matter here; keys without a value are not there."""

    sections: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)

    def section(self, name: str) -> Mapping[str, Setting]:
        """A section's settings, none where it is missing."""
        return self.sections.get(name, {})

    def is_on(self, section: str, key: str, default: bool = False) -> bool:
        """A switch, as go-ini reads it."""
        setting = self.section(section).get(key)
        return default if setting is None else ini_bool(setting.value, default)


def read_grafana_files(files: Iterable[tuple[str, str]]) -> GrafanaSettings:
    """What these files, each a name and a text, say together.

    Of two files of a kind the later wins; variables win over every ini file. A reference to a
    variable that one of the files sets is put in; the environment of this process counts for
    nothing. Raises ``IniError`` at a line that cannot be read.
    """
    sections: dict[str, dict[str, Setting]] = {}
    environment: dict[str, str] = {}
    for name, text in files:
        if _is_environment(text):
            environment |= _read_environment(text, name)
        else:
            for section, key, setting in _read_ini(text, name):
                sections.setdefault(section, {})[key] = setting
    for section, key, setting in _overrides(environment):
        sections.setdefault(section, {})[key] = setting
    return GrafanaSettings(
        {
            section: {
                key: known
                for key, setting in settings.items()
                if (known := _expanded(setting, environment)).value or known.file
            }
            for section, settings in sections.items()
        }
    )


def _read_ini(text: str, name: str) -> Iterator[tuple[str, str, Setting]]:
    try:
        sections = parse_ini(text)
    except IniError as error:
        raise IniError(f"{name}, {error.detail}", hint=_other_kind(text)) from error
    if _SECTIONS.isdisjoint(sections) and (hint := _other_kind(text)):
        raise IniError(f"{name} is no grafana.ini", hint=hint)
    for section in sorted(_SECTIONS.intersection(sections)):
        for key, value in sections[section].items():
            if value:
                yield section, key, Setting(value, f"[{section}] {key}")


def _other_kind(text: str) -> str:
    """What to do about a file that holds Grafana's settings in another form."""
    if _HELM.search(text):
        return "it looks like Helm values; what is wanted is the grafana.ini that they make"
    if "GF_AUTH_" in text:
        return "variables are read from lines KEY=VALUE, when there is nothing else in the file"
    return ""


def _is_environment(text: str) -> bool:
    """Whether every line assigns a variable, and one of them is Grafana's."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    matches = [_ASSIGNMENT.fullmatch(line) for line in lines]
    return None not in matches and any(m is not None and m[1].startswith("GF_") for m in matches)


def _read_environment(text: str, name: str) -> dict[str, str]:
    """``KEY=VALUE`` lines as a shell, or Compose, reads them, as far as one line goes."""
    found = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        match = _ASSIGNMENT.fullmatch(line.strip())
        if match is not None:
            found[match[1]] = _unquoted(match[2].strip(), f"{name}, line {number}")
    return found


def _unquoted(text: str, where: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"'):
        return re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip()
    inside = r"[^']*" if quote == "'" else r'(?:[^"\\]|\\.)*'
    match = re.fullmatch(rf"{quote}({inside}){quote}(?:[ \t]*#.*)?", text)
    if match is None:
        raise IniError(f"{where}: a value that opens with {quote} needs to close with it")
    return match[1] if quote == "'" else _ESCAPED.sub(r"\1", match[1])


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Setting]]:
    for variable, value in environment.items():
        prefix = max((p for p in _PREFIXES if variable.startswith(p)), key=len, default="")
        if not prefix or not value:
            continue
        key = variable.removeprefix(prefix).lower()
        if key.endswith("__file"):
            yield _PREFIXES[prefix], key.removesuffix("__file"), Setting("", variable, file=value)
        else:
            yield _PREFIXES[prefix], key, Setting(value, variable)


def _expanded(setting: Setting, environment: Mapping[str, str]) -> Setting:
    """The setting with known variables put in."""

    def put_in(match: re.Match[str]) -> str:
        of_environment = match[1] in ("", "__env")
        return environment.get(match[2], match[0]) if of_environment else match[0]

    value = _REFERENCE.sub(put_in, setting.value)
    left = _REFERENCE.search(value)
    if left is not None and left[1] == "__file" and left[0] == value:
        return replace(setting, value="", file=left[2])
    return replace(setting, value=value, unknown="" if left is None else left[0])
