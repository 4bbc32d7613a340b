"""The part of a run that one of several workers trains, on worker 0 and on the others."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from textgen.config import ModelConfig, TrainingConfig, WorkersConfig
from textgen.corpus import EncodedCorpus
from textgen.errors import RunError, WorkerLostError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.model.pair_weights import PairWeights
from textgen.model.progress import SavedProgress
from textgen.model.read import read_metadata
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
from textgen.training.tensorboard import EventWriter
from textgen.training.workers.collectives import FAILURES, Collectives
from textgen.training.workers.exchange import Rounds
from textgen.training.workers.keeping import kept_run
from textgen.training.workers.parts import Part
from textgen.training.workers.shares import SharedHeldOut, SharedStreams
from textgen.training.workers.team import Team
from textgen.training.workers.together import STATE, AgreedEnd, AgreedInterruption, Decisions, Together, packed

_SEEDS = 7919
"""Between the seeds of the workers' dropout masks."""

_MOMENT = 5.0
"""Seconds in which worker 0 tells the others who was lost."""


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
            precision=exchange.exchange_precision or ("bfloat16" if placement.kernels else "float32"),
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
        self._begun = 0
        self._described: CorpusDescription | None = None
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
        return 1 if self.exchange.exchange == "steps" else self.exchange.steps(self.team.size)

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
        self._begun = self.progress.step
        # Less where another worker had kept a newer state.
        self._saved_step = getattr(read_metadata(self.run.last).progress, "step", None)
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
            "exchange": self.exchange.recorded,
            "progress": self._saved_progress().to_json(),
            "history": [row.to_json() for row in self.progress.history],
            "parts": self.parts,
            "corpus": CorpusDescription.of(self.encoded).to_json(),
            "whole": self.whole is not None,
            "run": self.run.name,
        }
        self.team.tell("job", job)

    def follow(self, job: Mapping[str, Any]) -> None:
        """On the other workers: takes the plan and the counters of worker 0."""
        progress = SavedProgress.from_json(job["progress"])
        history = [Validation.from_json(row) for row in job["history"]]
        self.progress = Progress.restored(progress, history, started=clock.monotonic())
        self.created, self._begun = progress.created, progress.step
        if not job["whole"]:
            self.whole = None
        if self.exchange.text_part:
            # What is saved if worker 0 is lost is continued with worker 0's part.
            self.parts, self.sources = job["parts"], progress.sources
            self._described = CorpusDescription.from_json(job["corpus"])

    def fit(self) -> Run:
        """Trains to the end of the plan, and returns the run."""
        if self.team.leads:
            self.lead()
        return super().fit()

    def _tell(self) -> None:
        if not self.team.leads:
            self.reporter.joined(worker=self.team.index, run=self.run.name)
            return
        self.reporter.started(dataclasses.replace(self._summary(), workers=self._in_words()))

    def _in_words(self) -> str:
        exchange = self.exchange
        own = " of their own parts of the text" if exchange.text_part else ""
        batch = f"{self.team.size} with {self.config.batch_size} streams each{own}"
        if exchange.exchange == "steps":
            return f"{batch}, gradients summed in every step"
        steps, momentum = exchange.steps(self.team.size), exchange.momentum(self.team.size)
        return f"{batch}, changes averaged every {steps} steps, outer momentum {momentum:g}"

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
            Decisions(save=saving.is_due, asked=lambda: asked.requested, keep=self._keep_best),
            # On a GPU the sum would have to wait for the steps.
            ahead=self.exchange.ahead(self.team.size) if self.placement.kernels else 0,
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
            if self.team.needs_keeping and (step := self._go_back()) > self._begun:
                with contextlib.suppress(RunError):
                    again = self._keep(step) or again
            return again
        if self._go_back() > (self._saved_step or 0):
            self._checkpoints.save()
        if not self._saved_step:
            return "Nothing has been saved yet."
        return f"Everything up to step {self._saved_step:,} is saved. {again}"

    def _go_back(self) -> int:
        """Goes back to what all workers had in common last; its step, or 0 where that is not known."""
        progress, step = self.progress, self.progress.step
        if self.rounds is not None:
            progress.step = step = self.together.go_back()
            self.trainer.steps_done.assign(step)
        elif progress.plan.halves(step):
            # The first half of the step may have been learned.
            return 0
        return step

    def _keep(self, step: int) -> str | None:
        """On worker 1, where worker 0 was lost: saves the run here, and says so; None if it cannot be saved."""
        addresses = list(self.team.cluster.addresses)
        addresses[:2] = addresses[1::-1]
        with kept_run(self.run.name, self.run.path.parent, created=self.created, step=step) as (self.run, there):
            if there < step:
                if self.best.unwritten is None and not self.run.best.is_file():
                    # The best model is on worker 0's disk alone: the next one counts as the best.
                    self.progress.best = math.inf
                self._checkpoints.save()
                if self._checkpoints.failure is not None:
                    return None
        own, more = (" PART", " --text-part, where PART is worker 0's") if self.exchange.text_part else ("", "")
        return (
            f"Everything up to step {max(step, there):,} is saved here, in {self.run.path}. To go on, start all "
            f"workers again, this one with: textgen train{own} --resume {run_argument(self.run)} --workers "
            f"{','.join(addresses)} --worker 0{more}"
        )

    def _keep_best(self) -> None:
        """On worker 1: keeps the best model in memory, should worker 0 be lost."""
        if self.team.index == 1:
            self.best.keep(self._metadata(), self.progress.logit_scales)

    def _save(self, best: bool) -> None:
        with contextlib.nullcontext() if self.rounds is None else self.rounds.common():
            super()._save(best)
        self._saved_step = self.progress.step

    def _saved_progress(self) -> SavedProgress:
        kept = {"count": self.team.size} | self.exchange.recorded
        if self.parts:
            kept["parts"] = self.parts
        return dataclasses.replace(super()._saved_progress(), workers=kept)

    def _state(self) -> dict[str, np.ndarray]:
        state = super()._state() | self.together.arrays()
        if self.team.leads:
            return state
        # The recurrent state is that of this worker's streams, and worker 0's is lost.
        own = {name: value for name, value in state.items() if name.startswith("state/")}
        kept = np.frombuffer(packed(own), np.uint8)
        return state | {name: np.zeros_like(value) for name, value in own.items()} | {STATE.format(1): kept}

    def _metadata(self) -> Metadata:
        metadata = super()._metadata()
        return metadata if self._described is None else dataclasses.replace(metadata, corpus=self._described)


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
    session.follow(job)
    return session.fit()
