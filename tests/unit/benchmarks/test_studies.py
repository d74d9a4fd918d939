"""The studies of this project can be read, name only what exists, and keep to the terms that their pages state."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import harness.bench
import harness.run
import harness.shared_queue
import pytest
import torch
from harness.bench import KINDS, Bench
from harness.cost import Cost
from harness.locks import held
from harness.queue import LocalQueue
from harness.run import Job, counted
from harness.settings import Run, Study, busy
from harness.shared_queue import SharedQueue
from harness.strips import strip
from harness.table import Table
from harness.teachers import recipe
from harness.tracking import Tracker
from omegaconf import OmegaConf
from optuna.trial import TrialState
from pydantic import ValidationError

from nayer.core.errors import Diverged, InputError, Interrupted
from nayer.core.images import ImageSpec
from nayer.core.nested import flatten
from nayer.distillation.config import DistillConfig
from nayer.engine.progress import NullReporter
from nayer.evaluation.cost import machine
from nayer.scenarios import minutes
from nayer.scenarios.method import by_method
from nayer.synthesis.sample import SyntheticSample

STUDIES = Path(__file__).parents[3] / "benchmarks" / "studies"
FILES = [file for file in STUDIES.glob("*.yml") if file.stem != "published"]
MOST_TRIALS = 5
ASKED = "a digest of what is asked for"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_run_of_a_study_has_parameters_that_are_accepted(file):
    study = Study.read(file)
    runs = study.runs()
    assert len({run.key for run in runs}) == len(runs)
    for pair, setting in {(run.pair, run.setting) for run in runs}:
        DistillConfig.model_validate(study.distillation(pair, setting))
        study.lte(pair, setting)


def test_a_teacher_of_one_name_is_made_by_one_recipe_whichever_study_comes_first():
    made: dict[str, dict] = {}
    for study in map(Study.read, FILES):
        for name, spec in study.teachers.items():
            if spec.seed is not None:
                assert made.setdefault(name, recipe(spec)) == recipe(spec), f"{name} of {study.name}"


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


def test_runs_that_end_at_the_same_time_are_both_in_the_table(tmp_path, monkeypatch):
    run, read = Run(group="tier", pair="digits", setting="nayer", minutes=5.0, seed=0, test=True), Table.read
    monkeypatch.setattr(Table, "read", lambda self: [read(self), time.sleep(0.05)][0])
    added = [run.model_copy(update={"seed": seed}) for seed in range(4)]
    result = {"curve": [], "accuracy": 0.5, "machine": {}}
    threads = [threading.Thread(target=Table(tmp_path / "new").add, args=(each, result)) for each in added]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Table(tmp_path / "new").done == {each.key for each in added}


def test_settings_that_are_tried_once_run_from_the_first_seed_alone():
    group = {"pair": "digits", "minutes": [2, 4], "seeds": [7, 8], "settings": ["nayer"], "once": ["other"]}
    study = Study.model_validate(
        {
            "name": "one",
            "results": "docs",
            "teachers": {"t": {"scenario": "digits", "architecture": "wrn-16-2"}},
            "pairs": {"digits": {"teacher": "t"}},
            "settings": {name: {"method": "nayer"} for name in ("nayer", "other")},
            "groups": {"tier": group},
        }
    )
    run = [(each.setting, each.minutes, each.seed) for each in study.runs()]
    of_two, of_four = ([("nayer", m, 7), ("other", m, 7), ("nayer", m, 8)] for m in (2, 4))
    assert run == of_two + of_four
    with pytest.raises(ValueError, match="settings: there is no 'gone'"):
        Study.model_validate(study.model_dump() | {"groups": {"tier": group | {"once": ["gone"]}}})


def test_tuning_reads_validation_images_alone_and_gives_nayer_no_more_trials_than_others():
    study = Study.read(STUDIES / "claim.yml")
    assert not study.groups["tuning"].test
    trials = Counter(study.settings[name].method for name in study.groups["tuning"].settings)
    assert max(trials.values()) <= MOST_TRIALS
    assert trials["nayer"] == min(trials.values())
    assert not {100} & {seed for name, group in study.groups.items() if name != "tuning" for seed in group.seeds}


def test_an_ablation_differs_in_one_thing_from_what_it_is_held_against():
    study = Study.read(STUDIES / "claim.yml")
    beside = {
        "nayer_fixed": "nayer_one_life",
        "nayer_plain_noise": "nayer_noise",
        "nayer_beside": "nayer_no_layer",
    }  # all others are compared with `nayer`
    for name in study.groups["ablations"].settings:
        base = study.distillation("fashion_mnist", beside.get(name, "nayer"))
        other, lte = study.distillation("fashion_mnist", name), study.lte("fashion_mnist", name)
        changed = [key for key in base["synthesis"] if base["synthesis"][key] != other["synthesis"][key]]
        differs = lte != study.lte("fashion_mnist", "nayer")
        assert len(changed) + differs == 1, name
        assert {key: base[key] for key in base if key != "synthesis"} == {
            key: other[key] for key in other if key != "synthesis"
        }


def test_what_a_step_costs_is_measured_once_for_settings_whose_steps_do_the_same_work():
    study = Study.read(STUDIES / "claim.yml")

    def synthesis(setting: str) -> str:
        return study.cost_names("cifar10", setting)["synthesis"].removeprefix("synthesis, cifar10 ")

    def student(setting: str) -> str:
        return study.cost_names("cifar10", setting)["student"].removeprefix("student, cifar10 ")

    assert synthesis("try_cmi_3") == synthesis("cmi") == "try_cmi_1"
    assert synthesis("try_dfq_2") == "try_dfq_1", "another rate"
    assert synthesis("nayer_name_alone") == "try_nayer_1", "another wording"
    assert synthesis("nayer_noise") == "try_nayer_1", "other rows, multiplied alike"
    assert synthesis("nayer_no_layer") == "nayer_no_layer"
    assert student("cmi") == student("nayer_no_layer") == student("adi") == "try_nayer_1", (
        "images of a memory are alike"
    )
    assert [student(each) for each in ("dafl", "dfq", "zskt")] == ["try_dafl_1", "try_dfq_1", "try_zskt_1"]
    changes = {"bn_weight": 0.0, "student": {"steps": 3, "batch_size": 64, "start": "teacher"}, "other": {"rise": 0.3}}
    assert busy(changes) == {"bn_weight": 0.0, "student": {"batch_size": 64}}
    shares = {"student": {"refreshed_targets": 0.5, "priority": 1.0, "temperature": 4.0}, "ce_weight": 0.5}
    assert busy(shares) == {"student": {"refreshed_targets": 0.5, "priority": 1.0}}
    timed = study.timed_runs()
    assert all(run.minutes and not study.settings[run.setting].baseline for run in timed)
    assert {run.setting for run in timed if run.pair == "cifar100"} >= {study.reference, "nayer_noise", "cmi"}


def test_a_start_that_takes_time_is_measured_pair_by_pair_and_no_other():
    study = Study.read(STUDIES / "levers.yml")
    assert study.cost_names("cifar10", "reconstructed")["start"] == "start, cifar10"
    assert set(study.cost_names("cifar10", "start_early")) == {"synthesis", "student"}
    assert sorted(key for keys in KINDS.values() for key in keys) == sorted(Cost.model_fields)


def test_a_strip_shows_the_first_classes_side_by_side_in_colour():
    labels = torch.arange(12).repeat_interleave(2)
    images = (20 * labels.to(torch.uint8)).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    found = strip(SyntheticSample(images, labels), classes=12)
    assert found.shape == (4, 60, 3)
    assert found[0, 1::6].tolist() == [[20 * label] * 3 for label in range(10)]
    assert (found[:, 0] == 255).all(), "white between them"
    lacking = strip(SyntheticSample(images[labels != 1], labels[labels != 1]), classes=12)
    assert lacking[0, 1::6].tolist() == [[255] * 3 if label == 1 else [20 * label] * 3 for label in range(10)]
    assert strip(SyntheticSample(images[:2], labels[:2]), classes=3).shape == (4, 18, 3)


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


@pytest.mark.parametrize(("name", "method"), [("minutes", "nayer"), ("common_10", "fast_dfkd")])
def test_a_recipe_that_is_held_to_the_goals_is_what_minutes_writes(name, method):
    study = Study.read(STUDIES / "levers.yml")
    setting = study.settings[name]
    for pair, size, channels in (("fashion_mnist", 28, 1), ("cifar10", 32, 3)):
        recipe = minutes.recipe(ImageSpec(size, channels, (0.5,) * channels, (0.5,) * channels), 10)
        recipe["student"] |= minutes.from_its_teacher(features=True)
        recipe = by_method(method, recipe)
        base = OmegaConf.load(STUDIES.parents[1] / "conf" / "base" / "parameters_distill.yml").distill
        used = flatten(DistillConfig.model_validate(OmegaConf.to_container(OmegaConf.merge(base, recipe))).model_dump())
        held = flatten(DistillConfig.model_validate(study.distillation(pair, name)).model_dump())
        free = {"warmup_epochs", "epochs", "probe_images", "student.steps", "student.architecture"}
        free |= {"synthesis.batches", "synthesis.warmup_batches", "augmentation.padding"}
        assert {key for key in used | held if used.get(key) != held.get(key)} <= free
    assert setting.warmup_share == minutes.WARMUP_SHARE["reconstructed"]
    assert {pair.epochs for pair in study.pairs.values()} == {minutes.MOST_EPOCHS}


def test_a_shared_queue_hands_out_each_run_once_and_takes_back_what_was_stopped(tmp_path):
    store = f"sqlite:///{tmp_path / 'queue.db'}"
    queue, other = SharedQueue("study", store), SharedQueue("study", store)
    queue.add(dict.fromkeys(["a", "b"], ASKED))
    other.add(dict.fromkeys(["b", "a"], ASKED))
    assert queue.waiting == ["a", "b"]

    def stopped(key: str) -> dict:
        raise InputError(f"{key} was stopped")

    with pytest.raises(InputError, match="a was stopped"):
        queue.take({"a", "b"}, stopped)
    assert other.waiting == ["b", "a"]
    assert other.take({"a"}, stopped)
    assert other.waiting == ["a", "b"], "it was another's"
    done = []
    for each in (other, queue):
        assert each.take(
            {"a", "b"}, lambda key: done.append(key) or {"accuracy": 0.5, "of": key, "asked_sha256": ASKED}
        )
    assert done == ["a", "b"]
    assert queue.waiting == []
    assert {key: value["of"] for key, value in other.results.items()} == {"a": "a", "b": "b"}
    assert not queue.take({"a"}, stopped), "nothing is left to be taken"
    queue.add({"a": ASKED})
    assert queue.waiting == [], "what is done is not done again"
    other.add({"a": "a digest of something else"})
    assert queue.waiting == ["a"], "of a study that was changed since it is"


def test_the_queue_of_one_machine_hands_out_each_run_once_and_takes_back_what_was_stopped(tmp_path):
    done = set()
    queue, other = (LocalQueue(tmp_path, lambda: done) for _ in range(2))
    for each in (queue, other):
        each.add(dict.fromkeys(["a", "b"], ASKED))
        each.add(dict.fromkeys(["b", "a"], ASKED))
    taken = []

    def meanwhile(key: str) -> dict:
        assert other.running({"a", "b"}) == ["a"]
        assert other.take({"a", "b"}, ended)
        assert not other.take({"a", "b"}, ended), "one is under way, the other done"
        return ended(key)

    def ended(key: str) -> dict:
        taken.append(key)
        done.add(key)
        return {}

    def stopped(key: str) -> dict:
        raise InputError(f"{key} was stopped")

    with pytest.raises(InputError, match="a was stopped"):
        queue.take({"a", "b"}, stopped)
    assert queue.take({"a", "b"}, meanwhile)
    assert taken == ["b", "a"]
    assert not queue.take({"a", "b"}, ended)
    assert queue.running({"a", "b"}) == []


def test_a_run_that_another_process_ends_while_the_queue_looks_is_not_taken(tmp_path):
    told = iter([set(), {"a"}])
    queue = LocalQueue(tmp_path, lambda: next(told))
    queue.add({"a": ASKED})
    assert not queue.take({"a"}, lambda key: pytest.fail("it is done"))


def test_the_run_of_a_process_that_was_killed_can_be_taken_at_once(tmp_path):
    script = "import pathlib, sys, time; from harness.queue import LocalQueue; queue = LocalQueue(pathlib.Path("
    script += "sys.argv[1]), set); queue.add({'a': ''}); queue.take({'a'}, lambda _: print('taken', flush=True)"
    script += " or time.sleep(60))"
    command = [sys.executable, "-c", script, str(tmp_path)]
    queue = LocalQueue(tmp_path, set)
    queue.add({"a": ASKED})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment()) as child:
        assert child.stdout.readline() == "taken\n"
        assert not queue.take({"a"}, lambda key: pytest.fail("another is at it"))
        assert queue.running({"a"}) == ["a"]
        child.kill()
    taken = []
    assert queue.take({"a"}, lambda key: taken.append(key) or {})
    assert taken == ["a"]


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_a_run_that_another_machine_passes_on_is_waited_for(tmp_path):
    queue, other = (SharedQueue("study", f"sqlite:///{tmp_path / 'queue.db'}") for _ in range(2))
    queue.add({"a": ASKED})
    other.study.ask()
    assert queue.waiting == []
    passed_on = threading.Timer(0.2, other.add, ({"b": ASKED},))
    passed_on.start()
    assert queue.holds_any({"b"})
    passed_on.join()
    assert not queue.holds_any({"a"}), "that one is under way"


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_the_run_of_a_machine_that_was_killed_waits_again_when_it_has_been_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.shared_queue, "GRACE_SECONDS", 2)
    monkeypatch.setattr(harness.shared_queue, "LOOKS", 1)
    queue, other = (SharedQueue("study", f"sqlite:///{tmp_path / 'queue.db'}") for _ in range(2))
    queue.add({"a": ASKED})
    trial = queue.study.ask()
    queue.study._storage.record_heartbeat(trial._trial_id)
    assert not other.holds_any({"a"})
    assert other.running({"a", "b"}) == ["a"]
    time.sleep(3)
    assert other.holds_any({"a"})
    assert other.running({"a", "b"}) == []


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_a_machine_whose_run_was_given_to_another_while_it_slept_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.shared_queue, "LOOKS", 1)
    queue, other = (SharedQueue("study", f"sqlite:///{tmp_path / 'queue.db'}") for _ in range(2))
    queue.add({"a": ASKED})

    def asleep(key: str) -> dict:
        (trial,) = other.study.get_trials(states=[TrialState.RUNNING])
        other.study.tell(trial.number, state=TrialState.FAIL)
        other.add({key: ASKED})
        return {"accuracy": 0.5, "asked_sha256": ASKED}

    assert queue.take({"a"}, asleep)
    assert queue.results == {}
    assert other.take({"a"}, lambda key: {"accuracy": 0.6, "asked_sha256": ASKED})
    assert queue.results["a"]["accuracy"] == 0.6


@pytest.mark.filterwarnings("ignore:Heartbeat", "ignore:Argument")
@pytest.mark.parametrize("store", [None, "queue.db"], ids=["one machine", "several"])
def test_a_run_that_goes_astray_is_told_when_the_others_are_done_and_stays_to_be_done(tmp_path, monkeypatch, store):
    monkeypatch.setattr(harness.shared_queue, "LOOKS", 1)
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)
    study = Study.read(STUDIES / "claim.yml")
    runs = [run for run in study.runs() if run.group == "tier1" and run.seed == 0 and run.setting in ("cmi", "nayer")]
    bench = Bench(study, store and f"sqlite:///{tmp_path / store}", "cpu", tmp_path)
    bench.table, performed = Table(tmp_path), []
    monkeypatch.setattr(bench, "measured", lambda runs: {})

    def perform(run, costs):
        performed.append(run.setting)
        if run.setting == runs[0].setting:
            raise Diverged(f"{run.key} went astray")
        return {"curve": [], "accuracy": 0.5, "machine": {}, "asked_sha256": bench.asked(run)}

    monkeypatch.setattr(bench, "perform", perform)
    for _ in range(2):
        with pytest.raises(Diverged, match=f"{runs[0].key} went astray"):
            bench.work(runs)
    assert performed == [*(run.setting for run in runs), runs[0].setting], "each once, then what is left"
    assert bench.done() == {runs[1].key}


def test_a_run_is_in_mlflow_before_the_table_says_that_it_is_done(tmp_path, monkeypatch):
    written = []

    class Tracked:
        def write(self, run, result):
            written.append((run.key, bench.done()))

    monkeypatch.setattr(harness.bench, "tracker", lambda *_: Tracked())
    study = Study.read(STUDIES / "claim.yml")
    bench, run = Bench(study, None, "cpu", tmp_path), study.runs()[0]
    bench.table = Table(tmp_path)
    bench.record(run, {"curve": [], "accuracy": 0.5, "machine": {}})
    assert written == [(run.key, set())]
    assert bench.done() == {run.key}


def test_machines_of_one_store_share_what_the_first_of_them_said(tmp_path):
    queue, other = (SharedQueue("study", f"sqlite:///{tmp_path / 'queue.db'}") for _ in range(2))
    assert other.shared("costs") == {}
    queue.share("costs", {"student, digits nayer": {"student_step": 0.1}})
    assert other.shared("costs") == {"student, digits nayer": {"student_step": 0.1}}
    assert [queue.agreed("teacher a", "one"), other.agreed("teacher a", "two")] == ["one", "one"]


def test_a_store_that_cannot_be_used_is_one_sentence():
    with pytest.raises(InputError, match="--store: 'nonsense' cannot be used .*; give an address as sqlite:"):
        SharedQueue("study", "nonsense")


def test_a_step_is_not_measured_on_another_machine_than_those_it_is_compared_with(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)
    study = Study.read(STUDIES / "levers.yml")
    bench, here = Bench(study, None, "cpu", tmp_path), machine()
    bench.results = tmp_path
    other = {**here, "threads": here["threads"] + 1}
    kept = {
        "student, fashion_mnist published": {"machine": other},
        "student, cifar10_short published": {"machine": here},
    }
    (tmp_path / "costs.json").write_text(json.dumps(kept))
    monkeypatch.setattr(bench, "cost", lambda run: pytest.fail("nothing is measured"))
    runs = [run for run in study.runs() if run.pair == "fashion_mnist" and run.minutes]
    with pytest.raises(InputError, match="'synthesis, fashion_mnist published' is not in it, and the others") as error:
        bench.measured(runs)
    assert f"threads {other['threads']}, here {here['threads']}; measure it there" in str(error.value)
    bench.check_machine("cifar10_short", "another", kept)  # fine: measured on the same machine
    kept = {"student, cifar10_short published": {"machine": here, "precision": "fp16"}}
    with pytest.raises(InputError, match="were measured with precision fp16, here"):
        bench.check_machine("cifar10_short", "another", kept)


def test_a_row_of_other_settings_is_no_row_of_the_study_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)
    study = Study.read(STUDIES / "levers.yml")
    run = next(run for run in study.runs() if run.setting == "student")
    bench = Bench(study, None, "cpu", tmp_path)
    bench.table = Table(tmp_path)
    bench.table.add(run, {"curve": [], "accuracy": 0.5, "machine": {}, "asked_sha256": bench.asked(run)})
    bench.work([run])  # nothing is left to do
    study.settings["student"].distill["student"]["temperature"] = 3.0
    with pytest.raises(InputError, match=f"'{run.key}' was made of other settings than it has in the study; take its"):
        bench.work([run])


@pytest.mark.parametrize("setting", ["nayer", "kd_noise"])
def test_what_came_out_of_other_code_is_made_again(tmp_path, monkeypatch, setting):
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)
    study = Study.read(STUDIES / "claim.yml")
    run = next(run for run in study.runs() if (run.group, run.setting) == ("tier1", setting))
    bench, ran = Bench(study, None, "cpu", tmp_path), []
    bench.results = tmp_path

    def ends(file):
        ran.append(sorted(each.name for each in file.parent.iterdir()))
        (file.parent / "result.json").write_text('{"synthesis_steps": 1, "student_steps": 1, "curve": []}')
        (file.parent / "curve.json").write_text("[]")

    monkeypatch.setattr(bench, "run", ends)
    costs = json.loads((harness.bench.PROJECT / study.results / "costs.json").read_text())
    (tmp_path / "claim" / "runs" / run.key).mkdir(parents=True)
    bench.perform(run, costs)
    bench.perform(run, costs)
    assert len(ran) == 1, "what has come out is not made twice"
    monkeypatch.setattr(bench, "code", lambda run: "other")
    bench.perform(run, costs)
    assert ran == [["job.json"]] * 2, "the curve of the other is no part of the new one's"


def test_another_text_encoder_makes_another_table_and_so_another_job(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.bench, "tracker", lambda *_: None)
    study = Study.read(STUDIES / "claim.yml")
    run = next(run for run in study.runs() if (run.group, run.setting) == ("tier1", "nayer"))
    bench = Bench(study, None, "cpu", tmp_path)
    study.settings["nayer"].lte.update(encoder="one_hot")
    first = bench.embeddings(run)
    study.settings["nayer"].lte.update(encoder="random")
    second = bench.embeddings(run)
    assert first != second
    study.settings["nayer"].lte.update(encoder="one_hot")
    assert bench.embeddings(run) == first


def test_a_run_that_was_made_again_stands_in_mlflow_beside_the_first_and_none_does_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    tracker, run = Tracker("study"), Study.read(STUDIES / "claim.yml").runs()[0]
    result = {"curve": [], "accuracy": 0.5, "judged_on": "test", "machine": {}, "finished": "2026-11-25T03:01:04"}
    for _ in range(2):
        tracker.write(run, result)
    tracker.write(run, {**result, "accuracy": 0.6, "finished": "2026-11-28T03:01:04"})
    found = tracker.client.search_runs([tracker.experiment], f"tags.mlflow.runName = '{run.key}'")
    assert sorted(each.data.metrics["accuracy"] for each in found) == [0.5, 0.6]


def test_a_run_ends_with_the_process_that_started_it_and_keeps_its_seconds(tmp_path):
    with pytest.raises(Interrupted), counted(tmp_path / "seconds.json"):
        raise Interrupted("stopped", 15)
    first = json.loads((tmp_path / "seconds.json").read_text())
    with counted(tmp_path / "seconds.json") as wall:
        time.sleep(0.05)
    assert wall[0] >= first + 0.05
    script = "import signal, time; from harness.run import end_with_parent; end_with_parent(); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, env=child_environment())
    child.stdin.close()
    assert child.wait(timeout=60) == -signal.SIGTERM
    script = "import threading; from harness.run import end_with_parent; threading.Thread("
    script += "target=end_with_parent, daemon=True).start()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, env=child_environment())
    assert child.wait(timeout=60) == 0, "it ends by itself while the other is there"


def test_a_run_waits_until_its_process_that_was_there_before_has_ended(tmp_path, monkeypatch):
    job = Job(
        folder=str(tmp_path),
        teacher="",
        embeddings=None,
        scenario="test",
        distill={},
        baseline=None,
        seed=0,
        test=False,
        device="cpu",
        made_by={},
    )
    (tmp_path / "job.json").write_text(job.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["run", str(tmp_path / "job.json")])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(harness.run, "perform", lambda job: {"accuracy": 0.5})
    begun = threading.Thread(target=harness.run.main)
    with held(tmp_path / "lock", "", NullReporter()):
        begun.start()
        time.sleep(0.5)
        assert not (tmp_path / "result.json").exists()
    begun.join()
    assert json.loads((tmp_path / "result.json").read_text()) == {"accuracy": 0.5}


def test_a_commit_is_named_whole_and_of_what_is_no_repository_none(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.bench, "PROJECT", tmp_path)
    assert harness.bench.commit() == ""
    for command in ("init -q", "-c user.name=n -c user.email=e commit -q --allow-empty -m m"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    (tmp_path / "result.csv").write_text("one")
    assert len(harness.bench.commit()) == 40, "what comes out does not change what a run does"
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "parameters.yml").write_text("one")
    assert harness.bench.commit().endswith("+")


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(STUDIES.parent)}


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
