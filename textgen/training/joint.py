"""The part of a run that one of several workers trains, on worker 0 and on the others."""

from __future__ import annotations

import contextlib
import dataclasses
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from textgen.config import ModelConfig, TrainingConfig, WorkersConfig
from textgen.corpus import EncodedCorpus
from textgen.errors import TextgenError, WorkerLostError
from textgen.model.pair_weights import PairWeights
from textgen.model.progress import SavedProgress
from textgen.model.results import Validation
from textgen.model.weights import ModelWeights
from textgen.runs.events import Reporter
from textgen.runs.find import run_argument
from textgen.runs.run import Run
from textgen.system import Interruption
from textgen.training.arguments import open_streams
from textgen.training.loop import Joint
from textgen.training.placement import Placement
from textgen.training.progress import Progress
from textgen.training.recipe import Recipe
from textgen.training.saving import CheckpointCallback, Interrupted, InterruptionCallback
from textgen.training.session import Session
from textgen.training.share import Share
from textgen.training.summary import summarize
from textgen.training.tensorboard import EventWriter
from textgen.training.workers.agreement import agree, fingerprint
from textgen.training.workers.cluster import Cluster
from textgen.training.workers.collectives import FAILURES, Collectives, abort, check_port, join
from textgen.training.workers.exchange import Rounds
from textgen.training.workers.parts import Part
from textgen.training.workers.shares import SharedHeldOut, SharedStreams
from textgen.training.workers.team import Team
from textgen.training.workers.together import AgreedEnd, AgreedInterruption, Decisions, Together

_EXCHANGE = ("exchange", "round", "outer_rate", "outer_momentum", "exchange_precision")
_SEEDS = 7919
"""Between the seeds of the workers' dropout masks."""

_MOMENT = 5.0
"""Seconds in which worker 0 tells the others who was lost."""


@contextlib.contextmanager
def joined(
    cluster: Cluster | None,
    config: WorkersConfig,
    reporter: Reporter,
    *,
    encoded: EncodedCorpus,
    given: Mapping[str, Any],
    seed: int,
    resumed: bool = False,
) -> Iterator[Team | None]:
    """Connects the workers of a run, compares what they have, and makes them one TensorFlow cluster.

    Args:
        cluster: the workers; None for one machine, on which nothing happens.
        config: the settings.
        reporter: is told what is waited for.
        encoded: the text.
        given: the settings of model and training that the user gave.
        seed: the seed.
        resumed: whether this worker continues a run.

    Yields:
        The team, which is left at the end; if the body fails, the others are told why.

    Raises:
        TrainingError: the workers differ, or do not find one another.
    """
    if cluster is None:
        yield None
        return
    check_port(cluster)
    waited = clock.monotonic()
    team = Team(cluster, config, reporter.waiting)
    team.waited = clock.monotonic() - waited
    try:
        agree(team, fingerprint(encoded, given, config, seed=seed), started=resumed)
        join(cluster)
        team.when_lost(abort)
        collectives = Collectives(cluster.size, timeout=config.worker_timeout)
        with tf.device("/CPU:0"):
            collectives.check()
        yield team
    except BaseException as error:
        team.leave(f"it left, {str(error).rstrip('.')}" if isinstance(error, TextgenError) else "it was interrupted")
        raise
    team.leave()


class JointSession(Session):
    """A session of one of several workers.

    Args:
        team: the workers.
        exchange: how they exchange.
        run: the run; its folder is there on worker 0 alone.
        encoded: the text.
        recipe: worker 0's.
        reporter: is told of events.
        callbacks: the user's.
        placement: where this worker computes.
        tensorboard: as for `Session`.
        parts: on worker 0, what is recorded of the workers' own parts of the text, if they have some.
    """

    def __init__(
        self,
        team: Team,
        exchange: WorkersConfig,
        run: Run,
        encoded: EncodedCorpus,
        recipe: Recipe,
        reporter: Reporter,
        callbacks: Sequence[keras.callbacks.Callback],
        placement: Placement,
        tensorboard: str | bool,
        parts: Sequence[Part] = (),
    ) -> None:
        self.team, self.exchange, self.workers, self.parts = team, exchange, team.size, list(parts)
        self._collectives = Collectives(
            team.size,
            timeout=exchange.worker_timeout,
            gpu=not placement.kernels,
            precision=exchange.exchange_precision,
        )
        streams: Any = (
            open_streams(encoded, recipe.training)
            if exchange.text_part
            else SharedStreams(open_streams(encoded, recipe.training, workers=team.size), team.index, team.size)
        )
        super().__init__(run, encoded, recipe, reporter, callbacks, placement, streams, tensorboard)
        self._arrays: dict[str, np.ndarray] = {}
        self._same = False
        self._saved_step: int | None = None
        self.together: Together
        self._checkpoints: CheckpointCallback
        self.rounds: Rounds | None = None
        if exchange.exchange == "rounds":
            self.rounds = Rounds(
                self.model,
                self.model_config,
                self._collectives,
                rate=exchange.outer_rate,
                momentum=exchange.momentum(team.size),
            )

    def _held_out(self) -> tuple[SharedHeldOut | None, SharedHeldOut | None]:
        each, whole = (
            None if held is None else SharedHeldOut(held, self.team.index, self.team.size)
            for held in super()._held_out()
        )
        return each, whole

    def _mask_seed(self) -> int:
        # Of one batch that all compute, each takes its part of the same masks.
        return self.config.seed + (_SEEDS * self.team.index if self.exchange.exchange == "rounds" else 0)

    def _share(self) -> Share | None:
        if self.exchange.exchange == "rounds":
            return None
        size = self.config.batch_size
        return Share(self.team.index * size, self.team.size * size, self._collectives.sum_gradients)

    def _multiple(self) -> int:
        return 1 if self.exchange.exchange == "steps" else self.exchange.round

    def restore(
        self,
        weights: ModelWeights | PairWeights,
        arrays: dict[str, np.ndarray],
        progress: SavedProgress,
        history: Sequence[Validation],
        started: float,
    ) -> None:
        """Restores everything from the last state; the other workers get theirs when training begins."""
        super().restore(weights, arrays, progress, history, started)
        self._arrays = arrays
        self._same = (progress.workers or {}).get("count") == self.team.size
        self._saved_step = self.progress.step
        if not self._same:
            before = (progress.workers or {}).get("count", 1)
            self.reporter.warned(
                f"The run had {before} worker{'s'[: before != 1]} before and has {self.team.size} now: it goes on, but "
                "does not repeat what it would have done."
            )

    def lead(self) -> None:
        """On worker 0: sends the others what they need to follow."""
        job = {
            "model": self.model_config.to_json(),
            "training": self.config.to_json(),
            "exchange": {name: getattr(self.exchange, name) for name in _EXCHANGE},
            "progress": self._saved_progress().to_json(),
            "whole": self.whole is not None,
            "run": self.run.name,
        }
        self.team.tell("job", job)

    def follow(self, progress: SavedProgress, *, whole: bool) -> None:
        """On the other workers: takes the plan and the counters of worker 0."""
        self.progress = Progress.restored(progress, [], started=clock.monotonic())
        if not whole:
            self.whole = None

    def fit(self) -> Run:
        """Trains to the end of the plan, and returns the run."""
        if self.team.leads:
            self.lead()
        return super().fit()

    def _tell(self) -> None:
        if not self.team.leads:
            self.reporter.joined(worker=self.team.index, run=self.run.name)
            return
        left = max((self.config.time or 0.0) - self.progress.seconds, 0.0)
        told = summarize(
            self.encoded, self.held_out, self.recipe, device=self.device, run=str(self.run.path), left=left
        )
        self.reporter.started(dataclasses.replace(told, workers=self._in_words()))

    def _in_words(self) -> str:
        exchange = self.exchange
        own = " of their own parts of the text" if exchange.text_part else ""
        batch = f"{self.team.size} with {self.config.batch_size} streams each{own}"
        if exchange.exchange == "steps":
            return f"{batch}, gradients summed in every step"
        momentum = exchange.momentum(self.team.size)
        return f"{batch}, changes averaged every {exchange.round} steps, outer momentum {momentum:g}"

    def _saving(self, due: Callable[[], bool] | None = None) -> CheckpointCallback:
        return super()._saving(due or (lambda: self.together.saving))

    def _chain(
        self, saving: CheckpointCallback, events: EventWriter | None, asked: Interruption
    ) -> list[keras.callbacks.Callback]:
        self._checkpoints = saving
        together = self.together = Together(
            self.team,
            self.exchange,
            self.progress,
            self.rounds,
            self._recovery(),
            Decisions(save=saving.is_due, asked=lambda: asked.requested),
        )
        last = AgreedEnd(together)
        if not self.team.leads:
            budget = self._budget(Reporter(), steers=lambda: False)
            return [budget, together, AgreedInterruption(together), *self.callbacks, last]
        return [
            self._budget(self.reporter, steers=together.due),
            together,
            saving,
            *([events] if events else []),
            InterruptionCallback(self.progress, saving, lambda: together.stopping),
            *self.callbacks,
            last,
        ]

    def _train(self, chain: Sequence[keras.callbacks.Callback], joint: Joint | None = None) -> None:
        try:
            self.together.restore(self.trainer, self._arrays, same=self._same)
            super()._train(chain, joint or self.together)
        except (*FAILURES, WorkerLostError) as error:
            # What failed is known at once, who it was a moment later.
            if not self.team.await_loss(self.team.config.worker_timeout + _MOMENT):
                raise WorkerLostError(f"The workers cannot exchange any more ({error}). {self._saved()}") from error
            assert self.team.lost is not None
            raise WorkerLostError(f"{self.team.sentence} {self._saved()}", worker=self.team.lost[0]) from error
        except Interrupted:
            # All end here, each in its own time.
            self.team.leave()
            raise

    def _saved(self) -> str:
        """After the loss of a worker: saves the last round, if it is not saved, and says how to go on."""
        name = run_argument(self.run) if self.team.leads else self.run.name
        again = f"To go on, start all workers again, worker 0 with --resume {name}."
        if not self.team.leads:
            return again
        progress, step = self.progress, self.together.exchanged
        if self.rounds is not None:
            self.rounds.go_back()
            progress.step = step
            self.trainer.steps_done.assign(step)
        elif progress.plan.halves(progress.step):
            # The first half of the step may have been learned.
            step = self._saved_step or 0
        else:
            step = progress.step
        if step > (self._saved_step or 0):
            self._checkpoints.save()
        if not self._saved_step:
            return "Nothing has been saved yet."
        return f"Everything up to step {self._saved_step:,} is saved. {again}"

    def _save(self, best: bool) -> None:
        super()._save(best)
        self._saved_step = self.progress.step

    def _saved_progress(self) -> SavedProgress:
        kept = {"count": self.team.size} | {name: getattr(self.exchange, name) for name in _EXCHANGE}
        if self.parts:
            kept["parts"] = self.parts
        return dataclasses.replace(super()._saved_progress(), workers=kept)

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | self.together.arrays()


def settled(config: WorkersConfig, saved: SavedProgress) -> WorkersConfig:
    """The settings of a run that is continued: those that it had, where the defaults are not changed."""
    before = saved.workers or {}
    kept = {n: before[n] for n in _EXCHANGE if n in before and getattr(config, n) == config.declared[n].default}
    return config.replace(**kept)


def follow(
    team: Team,
    config: WorkersConfig,
    encoded: EncodedCorpus,
    reporter: Reporter,
    callbacks: Sequence[keras.callbacks.Callback],
    placement: Placement,
    checkpoints: str | Path,
) -> Run:
    """Trains what worker 0 leads, on another worker.

    Returns:
        The run by its name; its files are on worker 0's machine.

    Raises:
        WorkerLostError: another worker is no longer there.
        KeyboardInterrupt: one of the workers was interrupted.
    """
    job = team.tell("job")[0]
    model, training = ModelConfig.from_json(job["model"]), TrainingConfig.from_json(job["training"])
    placement = dataclasses.replace(placement, compute_dtype=tf.as_dtype(training.precision))
    run = Run(Path(checkpoints) / job["run"])
    recipe = Recipe(model=model, training=training, reason="as worker 0", budget="as worker 0")
    session = JointSession(
        team, config.replace(**job["exchange"]), run, encoded, recipe, reporter, callbacks, placement, tensorboard=False
    )
    session.follow(SavedProgress.from_json(job["progress"]), whole=job["whole"])
    return session.fit()
