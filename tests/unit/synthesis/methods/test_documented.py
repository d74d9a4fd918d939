"""The method in docs/add-a-method.md keeps to the present contracts; tests/e2e runs it through all stages."""

import re
from pathlib import Path
from typing import Any

from nayer.synthesis.method import TOTAL

PAGE = Path(__file__).parents[4] / "docs" / "add-a-method.md"


def test_the_method_of_the_page_makes_a_batch(make_method, student):
    (source, _) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    written: dict[str, Any] = {"__name__": "plain"}
    exec(compile(source, PAGE, "exec"), written)  # trusted: the project's own page
    config = written["PlainConfig"](method="plain", batches=1, warmup_batches=1, batch_size=6, steps=2)
    batch = written["Plain"](make_method("nayer").context, config).step(student)
    assert batch.images.shape == (6, 1, 8, 8)
    assert set(batch.losses) == {"ce", TOTAL}
