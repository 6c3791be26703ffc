"""A Grafana's own sign-in settings, made into an ``embedjwt.toml`` that knows the same people."""

from embedjwt.grafana.importing.build import Import, NothingToImport, import_grafana
from embedjwt.grafana.importing.draft import BUILT_IN, Carried, Left, ToDo

__all__ = ["BUILT_IN", "Carried", "Import", "Left", "NothingToImport", "ToDo", "import_grafana"]
