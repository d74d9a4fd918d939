"""From a stranger's checkpoint and a list of class names to a champion, as in docs/bring-your-own-teacher.md."""

import json
import shutil
import sys
from pathlib import Path

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ASSETS = Path(__file__).parents[1] / "assets"
SAID = ("--class-names", "names.txt", "--image-size", "8", "--normalisation", "0.5/0.5")
LOOSE = "promote.gate.least_top1=0.0,promote.gate.least_agreement=0.0"


def bring(project: Path, typed) -> None:
    shutil.copy(ASSETS / "plain_teacher.py", project)
    (project / "names.txt").write_text("\n".join(NAMES))
    assert typed(sys.executable, "plain_teacher.py", "teacher.pth").returncode == 0


def test_a_strangers_checkpoint_becomes_a_promoted_student(typed, project):
    bring(project, typed)
    scenario = ("kedro", "scenario", "mine", "--teacher", "teacher.pth", "--architecture", "plain_teacher:SmallNet")
    made = typed(*scenario, *SAID, "--test-data", "digits", "--like", "test")
    assert made.returncode == 0, made.stderr
    assert "plain_teacher:SmallNet, 10 classes, 1x8x8" in made.stdout
    assert (project / "conf/mine/dvc.yaml").is_file()
    for command in (("kedro", "run", "--env", "mine"), ("kedro", "run", "--env", "mine", "--pipelines", "promote")):
        done = typed(*command, *(("--params", LOOSE) if "promote" in command else ()))
        assert done.returncode == 0, done.stderr
    assert "'nayer-mine' is champion" in done.stdout
    metrics = json.loads((project / "data/08_reporting/mine/metrics.json").read_text())
    assert metrics["teacher"]["top1"] > 0.9, "the weights arrived, and so did the normalisation"


REGISTER = """
import mlflow, numpy, torch
from plain_teacher import SmallNet
saved = torch.load("teacher.pth")["state_dict"]
network = SmallNet()
network.load_state_dict({name.removeprefix("module."): value for name, value in saved.items()})
example = numpy.zeros((2, 1, 8, 8), numpy.float32)
with mlflow.start_run():
    mlflow.pytorch.log_model(
        network.eval(), name="net", registered_model_name="shop", serialization_format="pt2", input_example=example,
        signature=mlflow.models.infer_signature(example, numpy.zeros((2, 10), numpy.float32)),
        metadata={"class_names": "zero one two three four five six seven eight nine".split()},
    )
mlflow.MlflowClient().set_registered_model_alias("shop", "live", 1)
"""


def test_a_registered_teacher_tells_its_names_and_its_alias_becomes_a_version(typed, project):
    bring(project, typed)
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    assert typed(sys.executable, "-c", REGISTER, **store).returncode == 0
    scenario = ("kedro", "scenario", "shop", "--teacher", "models:/shop@live", "--normalisation", "0.5/0.5")
    made = typed(
        *scenario, "--architecture", "plain_teacher:SmallNet", "--test-data", "digits", "--like", "test", **store
    )
    assert made.returncode == 0, made.stderr
    assert "weights: models:/shop/1" in (project / "conf/shop/parameters_teacher.yml").read_text()
    done = typed("kedro", "run", "--env", "shop", **store)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((project / "data/08_reporting/shop/metrics.json").read_text())
    assert metrics["teacher"]["top1"] > 0.9


def test_half_of_it_without_any_data_is_a_challenger_and_no_claim(typed, project):
    bring(project, typed)
    scenario = ("kedro", "scenario", "alone", "--teacher", "teacher.pth", "--architecture", "plain_teacher:SmallNet")
    made = typed(*scenario, *SAID, "--like", "test", "--student", "half")
    assert made.returncode == 0, made.stderr
    assert "The student, half:plain_teacher:SmallNet, has" in made.stderr
    done = typed("kedro", "run", "--env", "alone")
    assert done.returncode == 0, done.stderr
    assert "synthetic images only" in done.stdout
    refused = typed("kedro", "run", "--env", "alone", "--pipelines", "promote")
    assert refused.returncode == 1
    assert "promote.allow_unlabelled" in refused.stderr
    allowed = typed(
        "kedro", "run", "--env", "alone", "--pipelines", "promote", "--params", "promote.allow_unlabelled=true"
    )
    assert allowed.returncode == 0, allowed.stderr
    assert "is challenger" in allowed.stdout


def test_what_is_missing_or_wrong_about_a_teacher_is_named(typed, project):
    bring(project, typed)
    scenario = ("kedro", "scenario", "mine", "--teacher", "teacher.pth")
    for options, words in (
        (SAID, "ARCHITECTURE: is missing"),
        (("--architecture", "wrn-16-1", *SAID), "set teacher.architecture"),
        (("--architecture", "plain_teacher:Nothing", *SAID), "plain_teacher:Nothing"),
    ):
        done = typed(*scenario, *options)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert not (project / "conf/mine").exists()
