"""What will Grafana call them? Upstream documents to an identity, as Grafana's generic OAuth does.

Pure: no I/O, no clock. The rules are those of Grafana's
``pkg/login/social/connectors/{generic_oauth,social_base,org_role_mapper}.go``.
"""

from __future__ import annotations

from embedjwt.mapping.documents import TraceStep
from embedjwt.mapping.mapper import IdentityRefused, Mapper

__all__ = ["IdentityRefused", "Mapper", "TraceStep"]
