"""Keras callback that has all workers exchange, and do what worker 0 decides."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from textgen.config import WorkersConfig
from textgen.model.results import Validation
from textgen.training.progress import Progress
from textgen.training.recovery import DivergenceRecovery
from textgen.training.saving import Interrupted
from textgen.training.schedule import Plan
from textgen.training.trainer import Trainer
from textgen.training.workers.exchange import Rounds
from textgen.training.workers.team import Team

_BETWEEN = 10
"""Steps after which workers that exchange in every step ask worker 0 what to do."""

STATE = "workers/{:04d}"
"""The name of a worker's state among the arrays of a checkpoint."""


class Decisions(NamedTuple):
    """What is asked of a worker's session when worker 0 decides.

    Args:
        save: whether the last state is due to be saved.
        asked: whether this process was asked to end.
        keep: on a worker other than 0, is called after a validation that was the best one so far.
    """

    save: Callable[[], bool]
    asked: Callable[[], bool]
    keep: Callable[[], None]


class Together(keras.callbacks.Callback):
    """Exchanges at the end of each round, and has all workers do what worker 0 decides.

    After `on_train_batch_end`, `saving` and `stopping` say what was decided for this step.

    Args:
        team: the workers.
        config: how they exchange.
        progress: the run's counters; plan and rates are worker 0's.
        rounds: the outer optimizer; None where gradients are summed in every step.
        recovery: tells divergence, and recovers from it.
        decisions: what worker 0 decides by; elsewhere `save` is not used.
        ahead: the steps of the next round that are taken while changes are sent; 0 waits for them.

    Attributes:
        states: the other workers' states when they last were gathered, and `states_step`, the step of that.
        exchanged: the step of the last exchange that is complete.
        wanted: whether a callback of this worker has asked for the end, and `ending`, whether all end here.
    """

    def __init__(
        self,
        team: Team,
        config: WorkersConfig,
        progress: Progress,
        rounds: Rounds | None,
        recovery: DivergenceRecovery,
        decisions: Decisions,
        ahead: int = 0,
    ) -> None:
        super().__init__()
        self.team, self.progress, self.rounds = team, progress, rounds
        self.saving = self.stopping = self.ending = self.wanted = False
        self.states: dict[str, np.ndarray] = {}
        self.states_step: int | None = None
        self.exchanged = self._launched = progress.step
        self._ahead = ahead
        self._every = config.steps(team.size) if rounds is not None else _BETWEEN
        self._recovery, self._decisions = recovery, decisions
        self._diverged = False

    def set_model(self, model: Any) -> None:
        """Keras's; the recovery has no place of its own among the callbacks."""
        super().set_model(model)
        self._recovery.set_model(model)

    def due(self) -> bool:
        """Whether the workers exchange, or ask worker 0, after the step that is done."""
        return self.progress.step % self._every == 0 or self.progress.round_done

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the round where it is due."""
        del batch, logs
        self._diverged = self._diverged or self._recovery.diverged()
        self.saving, due, progress, rounds = False, self.due(), self.progress, self.rounds
        if rounds is not None and rounds.pending and (due or progress.step >= self._launched + self._ahead):
            rounds.settle()
            self.exchanged = self._launched
        if not due:
            return
        here = {"asked": self._decisions.asked(), "diverged": self._diverged, "wanted": self.wanted}
        decided = self.team.agree("round", here, self._decide)
        self._take(decided)
        self._diverged = False
        if decided["recover"]:
            self._recover()
        elif rounds is not None and self._ahead and not (decided["end"] or progress.round_done):
            rounds.launch()
            self._launched = progress.step
        elif rounds is not None:
            rounds.exchange(last=progress.finished)
        if rounds is None or not rounds.pending:
            self.exchanged = progress.step
        self.saving, self.stopping, self.ending = decided["save"], decided["stop"], decided["end"]
        if self.saving:
            self._gather()

    def add(self, trainer: Trainer) -> None:
        """Replaces the sums behind the trainer's mean loss, and of a calibration, by those of all workers."""
        variables = [*trainer.metrics[0].variables, trainer.loss_at_scales]
        own = [np.asarray(each, np.float64).ravel().tolist() for each in variables]

        def total(all_of: list[list[list[float]]]) -> list[list[float]]:
            return [np.sum(each, 0).tolist() for each in zip(*all_of, strict=True)]

        for variable, value in zip(variables, self.team.agree("loss", own, total), strict=True):
            variable.assign(np.reshape(np.asarray(value), variable.shape))

    def ended(self, trainer: Trainer) -> None:
        """After a validation: all stop if worker 0 does, and know what it knows.

        Raises:
            Interrupted: one was asked to end in this round; all is saved.
        """
        progress = self.progress
        row = progress.history[-1].to_json() if self.team.leads else None
        told = self.team.tell("stop", [bool(trainer.stop_training), progress.best, progress.waits, row])[0]
        if not self.team.leads:
            better = told[1] < progress.best
            trainer.stop_training, progress.best, progress.waits = told[:3]
            progress.history.append(Validation.from_json(told[3]))
            if better:
                self._decisions.keep()
        if self.stopping and not (progress.finished or trainer.stop_training):
            raise Interrupted

    def go_back(self) -> int:
        """Where workers exchange by rounds: sets the weights to those of the last exchange; its step."""
        assert self.rounds is not None
        if self.rounds.go_back():
            self.exchanged = self._launched = max(self._launched, self.exchanged)
        return self.exchanged

    def share_weights(self, model: Any) -> None:
        """Gives all workers worker 0's weights."""
        weights = model.get_weights()
        flat = np.concatenate([each.ravel() for each in weights]) if self.team.leads else None
        _, data = self.team.tell("weights", None, flat.tobytes() if flat is not None else b"")
        if flat is None:
            parts = np.split(np.frombuffer(data, np.float32), np.cumsum([each.size for each in weights])[:-1])
            model.set_weights([part.reshape(each.shape) for part, each in zip(parts, weights, strict=True)])

    def restore(self, trainer: Trainer, arrays: Mapping[str, np.ndarray], *, same: bool) -> None:
        """Gives each worker its state of a run that is continued, and all of them worker 0's weights.

        Args:
            trainer: this worker's.
            arrays: those of the checkpoint, on worker 0.
            same: on worker 0, whether the run has the workers that it had; otherwise those of whom nothing is known
                begin with worker 0's optimizer and a recurrent state of zero.

        Raises:
            ValueError: an array is missing or of another shape.
        """
        self.share_weights(trainer.plain)
        if not self.team.leads:
            data = self.team.tell("states")[1]
            known = unpacked(data) if data else {}
            trainer.restore({**trainer.capture(), **known})
            if self.rounds is not None:
                self.rounds.restore(known)
            return
        if not arrays:
            if self.rounds is not None:
                self.rounds.begin()
            self.team.tell("states")
            return
        spare = {name: value for name, value in arrays.items() if not name.startswith(("state/", "workers/"))}
        if self.rounds is not None:
            self.rounds.restore(arrays if same else {})
            spare |= self.rounds.capture()
        each = [b""]
        for n in range(1, self.team.size):
            own = arrays.get(STATE.format(n)) if same else None
            each.append(packed({**spare, **({} if own is None else unpacked(own.tobytes()))}))
        self.team.tell("states", None, each)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds of the workers besides worker 0's own: their states, as far as they are of this step.

        Each state is a file of NumPy's kind, as an array of bytes.
        """
        known = {} if self.rounds is None else self.rounds.capture() | self.rounds.own()
        return known | (self.states if self.states_step == self.progress.step else {})

    def _decide(self, reports: list[dict[str, Any]]) -> dict[str, Any]:
        """Worker 0's decision after a round."""
        progress, recover = self.progress, any(each["diverged"] for each in reports)
        if recover:
            self._recovery.count()
        stop, end = (any(each[name] for each in reports) for name in ("asked", "wanted"))
        return {
            "plan": dataclasses.asdict(progress.plan),
            "rate_factor": progress.rate_factor,
            "recoveries": progress.recoveries,
            "recover": recover,
            "stop": stop,
            "end": end,
            "save": stop or end or progress.round_done or self._decisions.save(),
        }

    def _take(self, decided: Mapping[str, Any]) -> None:
        self.progress.plan = Plan(**decided["plan"])
        self.progress.rate_factor, self.progress.recoveries = decided["rate_factor"], decided["recoveries"]

    def _recover(self) -> None:
        """All go back to the best weights."""
        self._recovery.restore()
        self.share_weights(self.model.plain)
        if self.rounds is not None:
            self.rounds.begin()

    def _gather(self) -> None:
        """Sends this worker's state to worker 0, which keeps those of the others."""
        state = self.model.capture()
        if self.rounds is None:
            state = {name: value for name, value in state.items() if name.startswith("state/")}
        else:
            self.rounds.complete()
            self.exchanged = self.progress.step
            state |= self.rounds.own()
            if self.progress.round_done or self.ending:
                # The mean loss begins anew after the validation.
                state |= {name: np.zeros_like(value) for name, value in state.items() if name.startswith("loss/")}
        each = self.team.collect("state", None, b"" if self.team.leads else packed(state))
        self.states = {STATE.format(n): np.frombuffer(data, np.uint8) for n, (_, data) in enumerate(each) if n}
        self.states_step = self.progress.step


class AgreedInterruption(keras.callbacks.Callback):
    """Ends training on a worker other than 0 where all of them are interrupted; worker 0 saves."""

    def __init__(self, together: Together) -> None:
        super().__init__()
        self._together = together

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Raises `Interrupted` if it was decided so."""
        del batch, logs
        if self._together.stopping and not self._together.progress.round_done:
            raise Interrupted


class AgreedEnd(keras.callbacks.Callback):
    """The last callback: where one of the user's asks for the end, all workers end after the round."""

    def __init__(self, together: Together) -> None:
        super().__init__()
        self._together = together

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Replaces what this worker's callbacks asked for by what all agreed on."""
        del batch, logs
        self._together.wanted = self._together.wanted or bool(self.model.stop_training)
        self.model.stop_training = self._together.ending


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as the bytes of an uncompressed `.npz`.

    >>> unpacked(packed({"state/0000": np.arange(3)}))
    {'state/0000': array([0, 1, 2])}
    """
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, np.ndarray]:
    """The inverse of `packed`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
