"""Runs killed at random moments, also while a state is being written, resume to the same bits."""

import json
import random
import signal

import pytest
from campaigns import BARE, KEDRO, Campaign
from clones import clone

from nayer.synthesis.registry import METHODS

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def survive(campaign: Campaign, case: int) -> None:
    """Kill the command, type it again, and compare the results."""
    draw = random.Random(case)
    number, name = draw.randint(1, campaign.writes), SIGNALS[case % len(SIGNALS)]
    later = draw.choice(("", f":{draw.uniform(0, 0.02):.4f}")) if number < campaign.writes - 3 else ""
    campaign.empty()
    killed = campaign.type(FAULT=f"{name}:.resume:{number}{later}")
    assert killed.returncode in (-signal.Signals[name], 128 + signal.Signals[name]), killed.stderr
    assert "Traceback" not in killed.stderr
    said = campaign.goes_on()
    assert number == 1 or "going on in epoch" in said or "finished before" in said, "it must not start afresh"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Campaign:
    return Campaign(clone(tmp_path_factory.mktemp("runs")), KEDRO).undisturbed()


@pytest.fixture(scope="module", params=METHODS)
def bare(request, tmp_path_factory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp(request.param), (*BARE, request.param)).undisturbed()


@pytest.mark.campaign(short=3, long=60)
def test_a_killed_kedro_run_goes_on_to_the_same_student(case, runs):
    survive(runs, case)


@pytest.mark.campaign(short=4, long=60)
def test_a_killed_bare_distillation_goes_on_to_the_same_student(case, bare):
    survive(bare, case)


def test_the_kills_are_spread_over_all_stages(runs):
    """Otherwise the campaign would say nothing about one of them."""
    teacher = json.loads((runs.folder / "data/08_reporting/test/teacher_cost.json").read_text())
    assert teacher["images_seen"] > 0
    assert runs.writes > 40
