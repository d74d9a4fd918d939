"""The studies that are here can be read, name what there is, and keep to the terms that their page states."""

import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from harness.charts import strip
from harness.queue import Queue
from harness.settings import Run, Study, busy
from harness.table import Table
from pydantic import ValidationError

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.distillation.config import DistillConfig
from nayer.scenarios import minutes
from nayer.synthesis.sample import SyntheticSample

STUDIES = Path(__file__).parents[3] / "benchmarks" / "studies"
FILES = [file for file in STUDIES.glob("*.yml") if file.stem != "published"]
MOST_TRIALS = 5


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_run_of_a_study_has_parameters_that_are_accepted(file):
    study = Study.read(file)
    runs = study.runs()
    assert len({run.key for run in runs}) == len(runs)
    for pair, setting in {(run.pair, run.setting) for run in runs}:
        DistillConfig.model_validate(study.distillation(pair, setting))
        study.lte(pair, setting)


def test_a_table_tells_its_machines_once_each_with_their_precision_and_the_number_of_their_runs(tmp_path):
    study, table = Study.read(STUDIES / "claim.yml"), Table(tmp_path)
    machine = {"processor": "P", "cores": 2, "threads": 1, "accelerator": None, "python": "3", "torch": "t"}
    machine["torchvision"] = "v"
    for run, precision in zip(study.runs(), ("bf16", "fp32", "fp32", None), strict=False):
        result = {"curve": [], "accuracy": 0.5, "precision": precision, "machine": machine}
        table.add(run, result)
    told = "processor P, cores 2, threads 1, accelerator none, python 3, torch t, torchvision v"
    assert table.machines() == [
        f"1 run: precision bf16, {told}",
        f"2 runs: precision fp32, {told}",
        f"1 run: precision not told, {told}",
    ]


def test_tuning_reads_validation_images_alone_and_gives_nayer_no_more_trials_than_others():
    study = Study.read(STUDIES / "claim.yml")
    assert not study.groups["tuning"].test
    trials = Counter(study.settings[name].method for name in study.groups["tuning"].settings)
    assert max(trials.values()) <= MOST_TRIALS
    assert trials["nayer"] == min(trials.values())
    assert not {100} & {seed for name, group in study.groups.items() if name != "tuning" for seed in group.seeds}


def test_an_ablation_differs_from_nayer_in_one_thing():
    study = Study.read(STUDIES / "claim.yml")
    base = study.distillation("fashion_mnist", "nayer")
    for name in study.groups["ablations"].settings:
        other, lte = study.distillation("fashion_mnist", name), study.lte("fashion_mnist", name)
        changed = [key for key in base["synthesis"] if base["synthesis"][key] != other["synthesis"][key]]
        differs = lte != study.lte("fashion_mnist", "nayer")
        assert len(changed) + differs == 1, name
        assert {key: base[key] for key in base if key != "synthesis"} == {
            key: other[key] for key in other if key != "synthesis"
        }


def test_what_a_step_costs_is_measured_once_for_settings_whose_steps_do_the_same_work():
    study = Study.read(STUDIES / "claim.yml")
    assert study.cost_name("cifar10", "try_cmi_3") == study.cost_name("cifar10", "cmi") == "cifar10 try_cmi_1"
    assert study.cost_name("cifar10", "try_dfq_2") == "cifar10 try_dfq_1", "another rate"
    assert study.cost_name("cifar10", "nayer_name_alone") == "cifar10 try_nayer_1", "another wording"
    assert study.cost_name("cifar10", "nayer_no_layer") == "cifar10 nayer_no_layer"
    changes = {"weight": 0.0, "student": {"steps": 3, "batch_size": 64, "start": "teacher"}, "other": {"rise": 0.3}}
    assert busy(changes) == {"weight": 0.0, "student": {"batch_size": 64}}
    timed = study.timed_runs()
    assert all(run.minutes and not study.settings[run.setting].baseline for run in timed)
    assert {run.setting for run in timed if run.pair == "cifar100"} >= {study.reference, "nayer_noise", "cmi"}


def test_a_strip_shows_the_first_classes_side_by_side_in_colour():
    labels = torch.arange(12).repeat_interleave(2)
    images = (20 * labels.to(torch.uint8)).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    found = strip(SyntheticSample(images, labels))
    assert found.shape == (4, 60, 3)
    assert found[0, 1::6].tolist() == [[20 * label] * 3 for label in range(10)]
    assert (found[:, 0] == 255).all(), "white between them"


def test_a_name_that_stands_for_nothing_is_refused(tmp_path):
    text = (STUDIES / "recipes.yml").read_text().replace("settings: [recipe, new_views]", "settings: [recipe, gone]")
    (tmp_path / "study.yml").write_text(text)
    with pytest.raises(ValidationError, match="settings: there is no 'gone'"):
        Study.read(tmp_path / "study.yml")


def test_a_baseline_for_some_minutes_takes_as_many_steps_as_a_setting_that_is_named(tmp_path):
    text = (STUDIES / "claim.yml").read_text().replace("reference: try_nayer_1", "reference: null")
    (tmp_path / "study.yml").write_text(text)
    with pytest.raises(
        ValidationError, match=r"settings\.\w+: a baseline takes as many steps as a setting; name one by like"
    ):
        Study.read(tmp_path / "study.yml")


def test_the_recipe_that_is_held_to_the_goals_is_that_of_minutes():
    setting = Study.read(STUDIES / "levers.yml").settings["minutes"]
    recipe = minutes.recipe(ImageSpec(28, 1, (0.5,), (0.5,)), 10)
    learnt = {**recipe["student"], **minutes.from_its_teacher()}
    assert setting.distill["student"].items() <= learnt.items()
    assert learnt.keys() - setting.distill["student"].keys() == {"architecture", "steps", "cached_targets"}
    assert setting.warmup_share == minutes.WARMUP_SHARE["teacher"]


def test_a_queue_hands_out_each_run_once_and_takes_back_what_was_stopped(tmp_path):
    store = f"sqlite:///{tmp_path / 'queue.db'}"
    queue, other = Queue("study", store), Queue("study", store)
    queue.add(["a", "b"])
    other.add(["b", "a"])
    assert queue.waiting == ["a", "b"]

    def stopped(key: str) -> dict:
        raise InputError(f"{key} was stopped")

    with pytest.raises(InputError, match="a was stopped"):
        queue.take({"a", "b"}, stopped)
    assert other.waiting == ["b", "a"]
    other.take({"a"}, stopped)
    assert other.waiting == ["a", "b"], "it was another's"
    done = []
    for each in (other, queue):
        each.take({"a", "b"}, lambda key: done.append(key) or {"accuracy": 0.5, "of": key})
    assert done == ["a", "b"]
    assert queue.waiting == []
    assert {key: value["of"] for key, value in other.results.items()} == {"a": "a", "b": "b"}
    queue.take({"a"}, stopped)  # nothing is left to be taken
    queue.add(["a"])
    assert queue.waiting == [], "what is done is not done again"


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_a_run_that_another_machine_passes_on_is_waited_for(tmp_path):
    queue, other = (Queue("study", f"sqlite:///{tmp_path / 'queue.db'}") for _ in range(2))
    queue.add(["a"])
    other.study.ask()
    assert queue.waiting == []
    passed_on = threading.Timer(0.2, other.add, (["b"],))
    passed_on.start()
    assert queue.holds_any({"b"})
    passed_on.join()
    assert not queue.holds_any({"a"}), "that one is under way"


def test_a_table_has_a_row_an_epoch_and_the_end_in_the_last_and_no_run_twice(tmp_path):
    table = Table(tmp_path)
    assert table.done == set()
    run = Run(group="tier", pair="digits", setting="nayer", minutes=5.0, seed=0, test=True)
    curve = [
        {"epoch": epoch, "validation_accuracy_2000": 0.1 * epoch, "synthesis_seconds": 1.0, "student_seconds": 1.0}
        for epoch in (2, 3)
    ]
    result = {"curve": curve, "accuracy": 0.4, "judged_on": "test", "machine": {"cores": 2}, "synthesis_seconds": 9.0}
    for _ in range(2):
        table.add(run, result)
    table.add(run.model_copy(update={"setting": "real"}), {**result, "curve": []})
    rows = table.read()
    assert rows["epoch"].fillna(0).tolist() == [2, 3, 0]
    assert rows["accuracy"].notna().tolist() == [False, True, True]
    assert table.done == {"tier-digits-nayer-5min-s0", "tier-digits-real-5min-s0"}
    assert rows["synthesis_seconds"].tolist() == [1.0, 9.0, 9.0]
    assert "| tier | 5 | nayer | test | 1 | 40.00 |" in table.summary()
