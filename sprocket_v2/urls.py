"""All routes, from the table in routes.py."""

from __future__ import annotations

from sprocket_v2.routes import patterns

urlpatterns = patterns()
handler404 = "sprocket_v2.pages.not_found"
handler500 = "sprocket_v2.pages.fault"
