"""The start of several workers: they find one another, compare what they have, and make a TensorFlow cluster."""

from __future__ import annotations

import contextlib
import time as clock
from collections.abc import Iterator, Mapping
from typing import Any

from textgen.config import WorkersConfig
from textgen.corpus import EncodedCorpus
from textgen.errors import TextgenError, TrainingError
from textgen.runs.events import Reporter
from textgen.training.workers.agreement import agree, fingerprint
from textgen.training.workers.cluster import Cluster
from textgen.training.workers.collectives import REACH, Collectives, abort, check_port, join
from textgen.training.workers.team import LEFT, Team


@contextlib.contextmanager
def joined(
    cluster: Cluster | None,
    config: WorkersConfig,
    reporter: Reporter,
    *,
    encoded: EncodedCorpus,
    given: Mapping[str, Any],
    seed: int,
    gpu: bool,
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
        gpu: whether this worker trains on a GPU.
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
        agree(team, fingerprint(encoded, given, config, seed=seed, gpu=gpu), started=resumed)
        join(cluster)
        team.when_lost(abort)
        # From here on each can be connected to.
        team.agree("joined", None, lambda _: None)
        team.watch_neighbour()
        try:
            Collectives(cluster.size, timeout=config.worker_timeout, gpu=gpu).check()
        except TrainingError as error:
            if team.lost is None:
                raise
            raise TrainingError(f"{team.sentence} {REACH}") from error
        yield team
    except BaseException as error:
        team.leave(f"{LEFT}{str(error).rstrip('.')}" if isinstance(error, TextgenError) else "it was interrupted")
        raise
    team.leave()
