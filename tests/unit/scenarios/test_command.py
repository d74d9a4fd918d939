"""`kedro scenario`, as it is typed."""

import pytest
from click.testing import CliRunner

from nayer.scenarios.command import scenario


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        (["--minutes", "30"], "MINUTES"),
        (["--method", "cmi", "--like", "digits"], "METHOD, LIKE"),
        (["--test-data", "digits"], "TEST_DATA"),
    ],
)
def test_what_is_said_of_a_new_scenario_is_refused_without_a_teacher(said, keys, tmp_path, monkeypatch):
    (tmp_path / "conf" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(scenario, ["mine", *said])
    assert found.exit_code == 1
    assert found.output == (f"Error: {keys}: only for a new scenario; give its TEACHER as well, or NAME alone.\n")
    assert not list((tmp_path / "conf" / "mine").iterdir())
