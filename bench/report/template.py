"""Every page is the `page.html.jinja` of its package, with the one style sheet in it."""

from __future__ import annotations

from importlib import resources

import jinja2
from markupsafe import Markup


def render(package: str, **values: object) -> str:
    """The page of a package, such as `bench.report`, with these values; one that the template lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    css = Markup(resources.files("bench.report").joinpath("page.css").read_text("utf-8"))
    return environment.get_template("page.html.jinja").render(css=css, **values)
