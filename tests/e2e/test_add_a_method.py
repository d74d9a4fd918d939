"""The steps of docs/add-a-method.md work as written."""

import re
import shutil

import pandas as pd
from clones import PROJECT

PAGE = PROJECT / "docs" / "add-a-method.md"


def test_a_method_of_twenty_lines_is_a_file_and_a_line_in_the_registry(project, typed):
    file, line = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (path,) = re.findall(r"^`(src/\S+)`:$", PAGE.read_text(), flags=re.MULTILINE)
    (run, check) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0].splitlines()
    body = file[file.index("class Plain(Method") :]
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(('"', "def ", "class "))]) <= 30
    shutil.copytree(PROJECT / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    (project / path).write_text(file)
    registry = project / "src/nayer/synthesis/registry.py"
    added = "from nayer.synthesis.methods.plain import Plain\n"
    text = registry.read_text().replace('    "dafl": Dafl,\n', f'    "dafl": Dafl,\n{line}')
    first = "from nayer.synthesis.methods.dafl"
    registry.write_text(text.replace(first, f"{added}{first}"))
    environment = {"PYTHONPATH": str(project / "src")}
    done = typed(*run.split(), **environment)
    assert done.returncode == 0, done.stderr
    reports = project / "data/08_reporting/test"
    assert pd.read_csv(reports / "distill_history.csv")["ce"].notna().all()
    assert "by Plain (docs/add-a-method.md)" in (reports / "report.html").read_text()
    checked = typed(*check.split(), "-p", "no:cacheprovider", **environment)
    assert checked.returncode == 0, checked.stdout
