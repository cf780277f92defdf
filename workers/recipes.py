"""Say by which recipe an organization's pictures are rendered: its own, else that of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from workers.imaging.variants import Recipe, parse

log = structlog.get_logger(__name__)


def usual_recipe(text: str) -> Recipe:
    """Read THUMBNAILS. Raises ValueError with a sentence for the operator."""
    try:
        return parse(text)
    except ValueError as mistake:
        raise ValueError(f"Settings cannot be used:\n  - THUMBNAILS {mistake}.") from None


def recipe_for(organization: Mapping[str, Any], usual: Recipe) -> Recipe:
    """Return the recipe of an organization. One that a later release no longer reads costs nobody a picture."""
    text = organization.get("thumbnails")
    if not text:
        return usual
    try:
        return parse(text)
    except ValueError as mistake:
        log.warning("recipe cannot be read", organization_id=organization["_id"], reason=str(mistake))
        return usual
