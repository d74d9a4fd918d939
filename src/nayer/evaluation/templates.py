"""Fills the package's templates; the only place that does, so that all escape and format alike."""

from typing import Any

import jinja2

from nayer.core.formats import count, decimal, percent, points, times


def fill(package: str, template: str, **values: Any) -> str:
    """Fill the template `<package>/<template>` with values, which are escaped as HTML.

    Markdown renders escaped text as intended, so a model card is as safe as the report.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": count, "decimal": decimal, "points": points, "times": times}
    return environment.get_template(template).render(**values)
