"""What an embedded panel, and a whole dashboard, ask of a Grafana: sets of path patterns.

Read in grafana/grafana: ``pkg/api/api.go`` (9 and 12), and in ``public/app`` and
``packages/grafana-runtime`` the callers that are named below. The sets are meant for Grafana 9
to 13, and were not run against each; ``rule_mode = "log"`` tells what one asks for beyond them.
Nothing in them changes a dashboard, a data source, a user or an organization.
"""

from __future__ import annotations

PANEL = (
    # The page of one panel; with a slug or without.
    "GET /d-solo/{dashboard}",
    "GET /d-solo/{dashboard}/*",
    # Scripts, styles, fonts, images, translations, and the files of plugins.
    "GET /public/**",
    # What the page is told at its start: in the page itself until 12, then also by request.
    "GET /api/frontend/settings",
    "GET /bootdata",
    # Language, time zone and theme; 13.
    "GET /apis/preferences.grafana.app/*/namespaces/*/preferences/merged",
    # Feature flags (OpenFeature, evaluated by POST); 12.
    "POST /apis/features.grafana.app/*/namespaces/*/ofrep/v1/evaluate/flags",
    "POST /apis/features.grafana.app/*/namespaces/*/ofrep/v1/evaluate/flags/*",
    # Plugins: the settings of those that are preloaded; the list of them, 12 (useMTPlugins).
    "GET /api/plugins/*/settings",
    "GET /apis/plugins.grafana.app/*/namespaces/*/metas",
    # The dashboard the panel is in: all versions; in the API server's form since 11 behind a flag,
    # by default since 12; the versions that this API server has, 13 (discovery.ts).
    "GET /api/dashboards/uid/{dashboard}",
    "GET /apis/dashboard.grafana.app/*/namespaces/*/dashboards/{dashboard}",
    "GET /apis/dashboard.grafana.app/*/namespaces/*/dashboards/{dashboard}/dto",
    "GET /apis/dashboard.grafana.app",
    # The folder it is in: since 12 a dashboard does not load without it (dashboard/api/v1.ts).
    "GET /api/folders/*",
    "GET /apis/folder.grafana.app/*/namespaces/*/folders/*",
    "GET /apis/folder.grafana.app/*/namespaces/*/folders/*/parents",
    # Library panels, until 11 also in dashboards.
    "GET /api/library-elements/*",
    # Queries (DataSourceWithBackend.ts); the query service behind queryServiceFromUI.
    "POST /api/ds/query",
    "POST /apis/query.grafana.app/*/namespaces/*/query",
    # Questions to a data source's plugin: variables, labels, fields. Some are asked by POST. By
    # uid since 9.0, by id before; below /apis since 12, behind a flag.
    "GET,POST /api/datasources/uid/*/resources/**",
    "GET,POST /api/datasources/*/resources/**",
    "GET,POST /apis/*/*/namespaces/*/datasources/*/resources/**",
    # Data sources without a backend part, through Grafana's proxy; by uid since 9.0, by id before.
    # Grafana refuses POSTs of its own to Prometheus and Elasticsearch here (ds_proxy.go).
    "GET,POST /api/datasources/proxy/uid/*/**",
    "GET,POST /api/datasources/proxy/*/**",
    # Links between data sources in a panel's results (CorrelationsWorker); 9.
    "GET /api/datasources/correlations",
    "GET /apis/correlations.grafana.app/*/namespaces/*/correlations",
    # Annotations on graphs; below /apis since 12, behind a flag.
    "GET /api/annotations",
    "GET /apis/annotation.grafana.app/*/namespaces/*/annotations",
    "GET /apis/annotation.grafana.app/*/namespaces/*/search",
    # The heart that shows an alert's state: unified alerting, and legacy alerting until 10.
    "GET /api/prometheus/grafana/api/v1/rules",
    "GET /api/alerts/states-for-dashboard",
    # Live: streamed data, over a WebSocket.
    "GET /api/live/ws",
    # Pictures of people who wrote an annotation.
    "GET /avatar/*",
    # What the page reports of itself: metrics; errors (/log until 9).
    "POST /api/frontend-metrics",
    "POST /log-grafana-javascript-agent",
    "POST /log",
    # Asked after a 401, until 9.
    "GET /api/login/ping",
)
"""What one embedded panel needs."""

DASHBOARD = (
    # The page of a dashboard; with a slug or without.
    "GET /d/{dashboard}",
    "GET /d/{dashboard}/*",
    # Whether it is shared publicly: shown beside its name, 9.3.
    "GET /api/dashboards/uid/{dashboard}/public-dashboards",
    # Annotations are offered by tag.
    "GET /api/annotations/tags",
    "GET /apis/annotation.grafana.app/*/namespaces/*/tags",
    # What is around a dashboard shows the person's own stars and organizations.
    "GET /api/user/stars",
    "GET /api/user/orgs",
)
"""What a whole dashboard, looked at, needs on top of its panels."""
