"""The one way in which a text is made from a template of this package."""

from typing import Any

import jinja2

from nayer.core.formats import count, decimal, percent, points, times


def fill(package: str, template: str, **values: Any) -> str:
    """The template `<package>/<template>` with its values; what comes from outside is escaped as HTML.

    Markdown shows escaped text as it was meant, so a model card is as safe as the report.
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
