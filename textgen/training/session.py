"""The part of a run that one process trains: builds the model, runs the training loop and saves the results."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from textgen.corpus import EncodedCorpus
from textgen.corpus.batches import Streams
from textgen.corpus.pair_batches import PairBatches
from textgen.corpus.pairs import EncodedPairs
from textgen.corpus.record_batches import RecordStreams
from textgen.errors import CheckpointError, TrainingError
from textgen.model.description import CorpusDescription
from textgen.model.keras_file import layer_arrays
from textgen.model.metadata import Metadata
from textgen.model.pair_weights import PairWeights
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, PairCheckpoint
from textgen.model.results import Validation
from textgen.model.transfer import transfer, transfer_pairs
from textgen.model.weights import ModelWeights
from textgen.model.write import write_checkpoint
from textgen.runs.events import Reporter, Summary
from textgen.runs.find import run_argument
from textgen.runs.run import Run
from textgen.system import Interruption, counting_stops, interruptible
from textgen.training.best_model import BestModel
from textgen.training.calibration import Calibrate
from textgen.training.data import Validation as Held
from textgen.training.data import count_ids, known_hashes, open_held_out, permuted
from textgen.training.framework import untouched_random_numbers
from textgen.training.keras_model import assign_arrays, build_model
from textgen.training.loop import Joint, fit
from textgen.training.pair_model import build_pair_model
from textgen.training.placement import Placement
from textgen.training.planning import Planning
from textgen.training.progress import Progress
from textgen.training.recipe import Recipe
from textgen.training.recovery import DivergenceRecovery
from textgen.training.samples import write_sample
from textgen.training.saving import CheckpointCallback, Interrupted, InterruptionCallback
from textgen.training.schedule import Plan
from textgen.training.share import Share
from textgen.training.summary import summarize
from textgen.training.tensorboard import EventWriter
from textgen.training.time_budget import TimeBudget
from textgen.training.trainers import make_trainer
from textgen.training.workers.shares import SharedHeldOut, SharedStreams

_WHOLE_TIME = 0.1
"""Share of a time budget that scoring the whole validation text at the end may take; otherwise only the part is."""


class Session:
    """The part of a run that one process trains, for `train` and `resume`."""

    workers = 1
    """The number of processes that train the run together."""

    def __init__(
        self,
        run: Run,
        encoded: EncodedCorpus,
        recipe: Recipe,
        reporter: Reporter,
        callbacks: Sequence[keras.callbacks.Callback],
        placement: Placement,
        streams: Streams | RecordStreams | PairBatches | SharedStreams,
        tensorboard: str | bool,
    ) -> None:
        self.run, self.encoded, self.recipe, self.reporter = run, encoded, recipe, reporter
        self.config, self.model_config = recipe.training, recipe.model
        self.callbacks, self.sources = list(callbacks), encoded.places
        self.placement = placement
        shards = placement.shards(self.model_config, self.config)
        self.device = placement.description(self.config.batch_size, shards, given=self.config.shards is not None)
        # What "auto" chose is stored with the run: `resume` must compute the same. A GPU has no say in the shards.
        self.config = self.config.replace(
            precision=placement.compute_dtype.name, shards=shards if placement.kernels else self.config.shards
        )
        self.planning = Planning(placement, self.model_config, self.config)
        self.tensorboard = tensorboard
        self.held_out, self.whole = self._held_out()
        self.created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.progress: Progress
        with tf.device(self.placement.device), untouched_random_numbers():
            frequencies = count_ids(encoded)
            self.streams = permuted(streams, frequencies, encoded, self.config)
            build = build_pair_model if self.model_config.has_encoder else build_model
            self.model = build(self.model_config, seed=self.config.seed, frequencies=frequencies)
            self.trainer = make_trainer(
                self.model,
                self.model_config,
                self.config,
                encoded,
                placement,
                shards=shards,
                validation_streams=self.held_out.streams if self.held_out else 1,
                frequencies=frequencies if self.config.negatives else None,
                seed=self._mask_seed(),
                share=self._share(),
            )
        self.initial = self._model_arrays()
        self.record_hashes = known_hashes(encoded)
        self.best = BestModel(
            lambda: self.run.best, self.model, self.model_config, self.trainer, record_hashes=self.record_hashes
        )

    def _held_out(self) -> tuple[Held | SharedHeldOut | None, Held | SharedHeldOut | None]:
        """What each validation scores, and, where that is a part and there is time, the whole validation text."""
        each, whole = open_held_out(self.encoded, self.config, both=self.model_config.both)
        time = self.config.time
        if whole is not None and time is not None and self.planning.scoring(whole.targets) > _WHOLE_TIME * time:
            whole = None
        return each, whole

    def _mask_seed(self) -> int:
        """The seed of the dropout masks."""
        return self.config.seed

    def _share(self) -> Share | None:
        """The part of each batch that this process computes; None for all of it."""
        return None

    def start_from(self, base: Checkpoint | PairCheckpoint) -> None:
        """Starts from an existing model's weights; rows of what it does not know keep their initial values."""
        encoded = self.encoded
        found: ModelWeights | PairWeights
        if isinstance(base, PairCheckpoint):
            assert isinstance(encoded, EncodedPairs)
            found = transfer_pairs(
                base.weights,
                (base.source_tokenizer, base.tokenizer),
                PairWeights.from_arrays(self._model_arrays(), self.model_config),
                (encoded.source_tokenizer, encoded.tokenizer),
            )
        else:
            labels = () if encoded.records is None else encoded.records.labels
            known = base.metadata.corpus.labels
            found = transfer(
                base.weights, base.tokenizer, self._weights(), encoded.tokenizer, known_labels=known, labels=labels
            )
        self._assign(found.arrays())
        self.initial = self._model_arrays()

    def begin(self, started: float) -> None:
        """Makes the plan of a new run."""
        self.progress = Progress(plan=self._plan(), started=started)

    def extend(self) -> None:
        """Makes a new plan for a run that is continued to another end."""
        self.progress.plan = self._plan()

    def _plan(self) -> Plan:
        held_out = self.held_out.targets if self.held_out else 0
        return self.planning.plan(self.streams.batches_per_epoch, held_out, self._multiple())

    def _multiple(self) -> int:
        """What the number of steps between validations is a multiple of."""
        return 1

    def restore(
        self,
        weights: ModelWeights | PairWeights,
        arrays: dict[str, np.ndarray],
        progress: SavedProgress,
        history: Sequence[Validation],
        started: float,
    ) -> None:
        """Restores everything from the last state."""
        self._assign(weights.arrays())
        try:
            self.trainer.restore(arrays)
        except ValueError as error:
            raise CheckpointError(
                f"{self.run.last} does not fit its own settings ({error}). Start a new run from its weights: "
                f"textgen train ... --from {run_argument(self.run)}"
            ) from error
        self.progress = Progress.restored(progress, history, started=started)
        self.created = progress.created

    def fit(self) -> Run:
        """Trains to the end of the plan, and returns the run."""
        events = self._events()
        self._tell()
        saving = self._saving()
        with (
            interruptible() as asked,
            counting_stops(),
            tf.device(self.placement.device),
            closing(events) if events else nullcontext(),
        ):
            chain = self._chain(saving, events, asked)
            if not self.progress.finished:
                try:
                    self._train(chain)
                except Interrupted:
                    raise asked.error from None
        if saving.failure is not None:
            raise TrainingError(f"The last state could not be written: {saving.failure}")
        steps = self.progress.step
        self.reporter.finished(f"Done: {steps:,} step{'s'[: steps != 1]}.")
        return self.run

    def _tell(self) -> None:
        """Describes the run before its first step."""
        self.reporter.started(self._summary())

    def _summary(self) -> Summary:
        left = max((self.config.time or 0.0) - self.progress.seconds, 0.0)
        return summarize(
            self.encoded, self.held_out, self.recipe, device=self.device, run=str(self.run.path), left=left
        )

    def _saving(self, due: Callable[[], bool] | None = None) -> CheckpointCallback:
        return CheckpointCallback(
            self.progress,
            self.config,
            self.reporter,
            batches_per_epoch=self.streams.batches_per_epoch,
            save=self._save,
            sample=self._sample,
            due=due,
            workers=self.workers,
        )

    def _budget(self, reporter: Reporter, steers: Callable[[], bool] | None = None) -> TimeBudget:
        planning = self.planning
        return TimeBudget(
            self.progress,
            self.config,
            reporter,
            held_out=self.held_out.targets if self.held_out else 0,
            whole=self.whole.targets if self.whole else 0,
            weights=self.model_config.weights,
            scoring=planning.step_seconds(negatives=0) / planning.step_seconds(),
            last=planning.calibrating(),
            steers=steers,
            workers=self.workers,
        )

    def _recovery(self) -> DivergenceRecovery:
        return DivergenceRecovery(
            self.progress, self.reporter, vocab_size=self.model_config.vocab_size, best=self._back_to_best
        )

    def _chain(
        self, saving: CheckpointCallback, events: EventWriter | None, asked: Interruption
    ) -> list[keras.callbacks.Callback]:
        """The callbacks, in the order in which they are called."""
        return [
            self._budget(self.reporter),
            self._recovery(),
            saving,
            *([events] if events else []),
            InterruptionCallback(self.progress, saving, lambda: asked.requested),
            *self.callbacks,
        ]

    def _train(self, chain: Sequence[keras.callbacks.Callback], joint: Joint | None = None) -> None:
        fit(
            self.trainer,
            self.progress,
            chain,
            training=self.streams,
            held_out=self.held_out,
            whole=self.whole,
            calibrated=self.config.calibrate,
            earlier=self._calibrate_best if joint is None else None,
            joint=joint,
        )

    def _events(self) -> EventWriter | None:
        if self.tensorboard is False:
            return None
        return EventWriter(self.run.events_folder(self.tensorboard), self.progress, self.reporter)

    def _weights(self) -> ModelWeights:
        config = self.model_config
        return ModelWeights.from_arrays(self._model_arrays(), labelled=config.labels > 0, both=config.both)

    def _model_arrays(self) -> list[np.ndarray]:
        return layer_arrays(self.model, self.model_config)

    def _assign(self, arrays: Sequence[np.ndarray]) -> None:
        assign_arrays(self.model, self.model_config, arrays)

    def _sample(self, step: int) -> str:
        return write_sample(self._model_arrays(), self.model_config, self.encoded, seed=step)

    def _back_to_best(self) -> None:
        """Restores the best weights so far, or the initial ones."""
        weights = self.best.weights()
        self._assign(self.initial if weights is None else weights)

    def _calibrate_best(self, calibrate: Calibrate) -> None:
        """Calibrates an earlier best model, and notes its loss."""
        try:
            loss = self.best.calibrate(calibrate, step=self.progress.step)
        except CheckpointError as error:
            self.reporter.warned(f"{error} The best model is not calibrated.")
        else:
            self.progress.best = self.progress.best if loss is None else loss

    def _save(self, best: bool) -> None:
        metadata = self._metadata()
        if best:
            self.best.write(metadata, self.progress.logit_scales)
        else:
            self.best.retry()
        progress = self._saved_progress()
        write_checkpoint(
            self.run.last,
            self.model,
            metadata=replace(metadata, progress=progress),
            training_state=self._state(),
            record_hashes=self.record_hashes,
        )
        self.run.write_history(self.progress.history)

    def _saved_progress(self) -> SavedProgress:
        return self.progress.saved(sources=self.sources, created=self.created, tensorboard=self.tensorboard)

    def _state(self) -> dict[str, np.ndarray]:
        """The arrays from which training resumes."""
        return self.trainer.capture()

    def _metadata(self) -> Metadata:
        config = self.config
        return Metadata(
            model=self.model_config,
            tokenizer=self.encoded.tokenizer,
            training=config.to_json(),
            corpus=CorpusDescription.of(self.encoded),
            metrics=self.progress.metrics(
                batches_per_epoch=self.streams.batches_per_epoch,
                characters_per_step=self.workers * config.batch_size * config.sequence_length,
            ),
            history=tuple(self.progress.history),
            created=self.created,
            source_tokenizer=self.encoded.source_tokenizer if isinstance(self.encoded, EncodedPairs) else None,
        )
