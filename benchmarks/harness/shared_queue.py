"""The queue of a study's runs that several machines share, kept in Optuna's storage (docs/decisions/013)."""

import time
import warnings
from collections.abc import Mapping, Set
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from harness.queue import Perform
from nayer.core.errors import Diverged, InputError, first_line

RUN, RESULT = "run", "result"
# A machine that was silent for the grace period is taken for dead, and its run goes back into the queue.
HEARTBEAT_SECONDS, GRACE_SECONDS = 30, 300
LOOKS, SECONDS_BETWEEN_LOOKS = 5, 0.5
OPEN = (TrialState.WAITING, TrialState.RUNNING)


def opened(store: str) -> RDBStorage:
    """The storage at an address; tries again where another machine creates it at the same time.

    Raises:
        InputError: the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
    for look in range(LOOKS):
        try:
            return RDBStorage(
                store,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
        except (SQLAlchemyError, ImportError) as error:
            if look + 1 == LOOKS or not isinstance(error, IntegrityError | OperationalError):
                raise InputError(
                    f"--store: '{store}' cannot be used ({first_line(error)}); give an address as sqlite:////path/queue.db."
                ) from error
            time.sleep(SECONDS_BETWEEN_LOOKS)
    raise AssertionError  # the last look returns or raises


class SharedQueue:
    """Runs by their keys: waiting, under way on some machine, or done with a result."""

    elsewhere = f"Under way elsewhere, or stopped by force less than {GRACE_SECONDS / 60:.0f} min ago"

    def __init__(self, name: str, store: str) -> None:
        self.study = optuna.create_study(
            study_name=name, storage=opened(store), load_if_exists=True, direction="maximize"
        )

    def add(self, asked: Mapping[str, str]) -> None:
        """Append runs, apart from those that are queued, or done as they are asked for now."""
        known = {trial.user_attrs[RUN] for trial in self.study.get_trials(deepcopy=False, states=OPEN)}
        known |= {key for key, result in self.results.items() if result["asked_sha256"] == asked.get(key)}
        for key in asked:
            if key not in known:
                self.study.enqueue_trial({}, user_attrs={RUN: key})

    @property
    def waiting(self) -> list[str]:
        """The keys of runs that nobody has begun, in their order."""
        return [trial.user_attrs[RUN] for trial in self.study.get_trials(deepcopy=False, states=[TrialState.WAITING])]

    def holds_any(self, wanted: Set[str]) -> bool:
        """Whether one of these runs waits; looks several times, as a run is briefly away while a machine passes it on.

        The run of a machine that has gone silent waits, too.
        """
        for look in range(LOOKS):
            optuna.storages.fail_stale_trials(self.study)
            if not wanted.isdisjoint(self.waiting):
                return True
            time.sleep(SECONDS_BETWEEN_LOOKS if look + 1 < LOOKS else 0)
        return False

    def running(self, wanted: Set[str]) -> list[str]:
        """Those of these runs that some machine is working on."""
        under_way = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return sorted({trial.user_attrs.get(RUN, "") for trial in under_way} & wanted)

    def shared(self, name: str) -> dict[str, Any]:
        """Values that the machines of a store share under this name."""
        found: dict[str, Any] = self.study.user_attrs.get(name, {})
        return found

    def share(self, name: str, value: Any) -> None:
        """Share a value under this name with all machines of the store."""
        self.study.set_user_attr(name, value)

    def agreed(self, name: str, own: str) -> str:
        """Value that the first machine gave under this name; on the first machine, `own`."""
        if name not in self.study.user_attrs:
            self.share(name, own)
        found: str = self.study.user_attrs[name]
        return found

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Results from all machines so far, by key; the last one of a run that was asked for again."""
        done = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return {trial.user_attrs[RUN]: trial.user_attrs[RESULT] for trial in done}

    def take(self, wanted: Set[str], perform: Perform) -> bool:
        """Do the next run, if one of these waits; a run that is stopped, diverges or is not among them waits again.

        The result of a machine that had gone silent, perhaps because it slept, is dropped: its run waits again, or
        another machine has it.
        """
        given_away = False

        def objective(trial: optuna.Trial) -> float:
            nonlocal given_away
            key = trial.user_attrs.get(RUN)
            if key is None:  # another machine was faster
                raise optuna.TrialPruned
            if key not in wanted:
                self.study.enqueue_trial({}, user_attrs={RUN: key})
                raise optuna.TrialPruned
            try:
                result = perform(key)
            except BaseException:
                self.study.enqueue_trial({}, user_attrs={RUN: key})
                raise
            try:
                trial.set_user_attr(RESULT, result)
            except UpdateFinishedTrialError:
                given_away = True
                raise
            return float(result["accuracy"])

        if not self.holds_any(wanted):
            return False
        try:
            self.study.optimize(objective, n_trials=1, catch=Diverged)
        except ValueError:  # raised by Optuna for a trial that it took for dead
            if not given_away:
                raise
        return True
