"""HTML pages: templates in ``assets/pages``, filled in by Jinja2, which escapes every value."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from core.assets import PAGES

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        template: its file in ``assets/pages``.
        values: what its names stand for; a name without a value is a defect and raises.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
