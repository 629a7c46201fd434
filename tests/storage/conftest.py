from __future__ import annotations

from tests.hub_server import _running_hub, hub  # noqa: F401
