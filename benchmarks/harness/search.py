"""Levers of a study chosen together: Optuna suggests their values, trial by trial, by validation accuracy."""

import hashlib
import json
from typing import Any

import optuna
import pandas as pd
from omegaconf import OmegaConf
from optuna.trial import TrialState

from harness.bench import Bench
from harness.settings import WORK, Group, Range, Run, Setting, Study
from harness.shared_queue import opened
from nayer.core.errors import Diverged, InputError, first_line
from nayer.core.files import write_atomically
from nayer.core.nested import flatten

ASKED = "asked"
KEPT = ("images", "student_steps", "synthesis_seconds", "student_seconds", "commit", "machine")


class Search:
    """Performs a search; its trials stay in the study's store, so that it continues where it was stopped.

    Raises:
        InputError: the stored trials belong to another search, or the base is outside the space.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.name, self.study = bench, name, bench.study
        self.asked, self.file = bench.study.searches[name], bench.results / f"search_{name}.csv"
        self.trials = optuna.create_study(
            study_name=f"{self.study.name} {name}",
            storage=opened(bench.store or f"sqlite:///{bench.folder / 'queue.db'}"),
            load_if_exists=True,
            direction="maximize",
        )
        said = self.asked.model_dump_json(exclude={"trials"}) + self.study.settings[self.asked.base].model_dump_json()
        if self.trials.user_attrs.get(ASKED, said) != said:
            raise InputError(
                f"searches.{name}: its trials so far were of another space or base; name the new one anew."
            )
        self.trials.set_user_attr(ASKED, said)
        self.trials.enqueue_trial(self.base(), skip_if_exists=True)

    def base(self) -> dict[str, Any]:
        """Values of the searched levers in the base setting.

        Raises:
            InputError: one of them lies outside the space.
        """
        search, setting = self.asked, self.study.settings[self.asked.base]
        distill = self.study.distillation(search.pair, search.base)
        pair = self.study.pairs[search.pair].model_dump()
        shares = {
            key: value for each in (pair, setting.model_dump()) for key, value in each.items() if value is not None
        }
        values = flatten({"synthesis": distill["synthesis"], "distill": distill}) | shares
        found = {key: values.get(key) for key in search.space}
        for key, value in found.items():
            if not holds(search.space[key], value):
                raise InputError(
                    f"searches.{self.name}.space.{key}: {value}, as {search.base} has it, is not in it; the search "
                    "begins there."
                )
        return found

    def work(self) -> None:
        """Do trials until there are enough; a stopped trial continues where it was."""
        while self.left():
            # A new one each time: a resumed process would otherwise draw what the one before it drew.
            self.trials.sampler = optuna.samplers.TPESampler(seed=len(self.trials.trials), multivariate=True)
            self.trials.optimize(self.objective, n_trials=1)
            self.write()

    def left(self) -> int:
        """Number of trials neither done nor under way; a trial of a machine that has gone silent is not under way."""
        optuna.storages.fail_stale_trials(self.trials)
        begun = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return max(0, self.asked.trials - len(self.trials.get_trials(deepcopy=False, states=begun)))

    def objective(self, trial: optuna.Trial) -> float:
        """Validation accuracy of one choice of values; a choice with which no run is possible counts as tried."""
        values = {key: suggest(trial, key, each) for key, each in self.asked.space.items()}
        try:
            self.bench.study, run = chosen(self.study, self.name, values)
            result = self.bench.perform(run, self.bench.measured([run]))
        except (InputError, Diverged) as error:
            trial.set_user_attr("said", first_line(error))
            self.bench.reporter.warn(f"{trial.number}: {first_line(error)}")
            raise optuna.TrialPruned from error
        except BaseException:
            self.trials.enqueue_trial(values)
            raise
        for key in KEPT:
            trial.set_user_attr(key, result[key])
        return float(result["accuracy"])

    def write(self) -> None:
        """Write all trials as a table beside the study's."""
        found = table(self.trials)
        write_atomically(self.file, lambda part: found.to_csv(part, index=False, float_format="%.6g"))

    def summary(self) -> str:
        """The best trials, and how much each lever matters."""
        found = table(self.trials)
        if found.empty:
            return "no trial is finished"
        best = found.sort_values("accuracy", ascending=False).head(5)[["trial", "accuracy", *self.asked.space]]
        lines = [best.to_string(index=False, float_format="{:.4g}".format)]
        done = self.trials.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if len(done) > len(self.asked.space) and len({trial.value for trial in done}) > 1:
            shares = optuna.importance.get_param_importances(self.trials)
            lines.append(
                "Of the differences in accuracy, by lever: " + ", ".join(f"{k} {v:.0%}" for k, v in shares.items())
            )
        return "\n\n".join(lines)


def chosen(study: Study, name: str, values: dict[str, Any]) -> tuple[Study, Run]:
    """The study with a setting of these values added, and the run of that setting."""
    search = study.searches[name]
    setting = changed(study.settings[search.base], values)
    work = repr([kind(setting) for kind in WORK.values()])
    # Costs are kept under the first setting whose steps do the same work: add one whose name depends on the work alone.
    settings = {**study.settings, f"{name}_{short(work)}": setting, f"{name}_{short(json.dumps(values))}": setting}
    own = list(settings)[-1]
    group = Group(pair=search.pair, minutes=[search.minutes], seeds=[search.seed], settings=[own], test=False)
    known = study.model_copy(update={"settings": settings, "groups": {**study.groups, name: group}})
    return known, Run(group=name, pair=search.pair, setting=own, minutes=search.minutes, seed=search.seed, test=False)


def changed(setting: Setting, values: dict[str, Any]) -> Setting:
    """A setting with some of its values replaced, by dotted keys."""
    said = OmegaConf.create(setting.model_dump())
    for key, value in values.items():
        OmegaConf.update(said, key, value)
    found: Any = OmegaConf.to_container(said)
    return Setting.model_validate(found)


def holds(space: list[Any] | Range, value: Any) -> bool:
    """Whether a lever may have that value."""
    return space.low <= value <= space.high if isinstance(space, Range) else value in space


def suggest(trial: optuna.Trial, key: str, space: list[Any] | Range) -> Any:
    """A lever's next value."""
    if not isinstance(space, Range):
        return trial.suggest_categorical(key, space)
    if space.whole:
        return trial.suggest_int(key, round(space.low), round(space.high), log=space.log)
    return trial.suggest_float(key, space.low, space.high, log=space.log)


def short(text: str) -> str:
    """A short digest of a text, as a name for something that has none."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def table(trials: optuna.Study) -> pd.DataFrame:
    """Finished trials, one per row, in their order."""
    rows = []
    for trial in trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        machine = trial.user_attrs.get("machine", {})
        said = {"machine": ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None)}
        rows.append({"trial": trial.number, "accuracy": trial.value, **trial.params, **trial.user_attrs, **said})
    return pd.DataFrame(rows)
