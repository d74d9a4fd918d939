"""Which scenarios a project has."""

from nayer.core.project import scenarios


def test_what_a_command_that_was_killed_left_behind_is_no_scenario(tmp_path):
    for name in ("base", "local", "digits", "mine", "other.part"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    assert scenarios(tmp_path) == ["digits", "mine"]
