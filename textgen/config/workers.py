"""The settings of a run that several machines train together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from textgen.config.base import Config
from textgen.config.fields import require, setting

Exchange = Literal["rounds", "steps"]
ExchangePrecision = Literal["float32", "bfloat16"]

SLURM, ALONE = "slurm", "none"
_EXPECTED = f"host:port of each worker, separated by commas, {SLURM} or {ALONE}"

ROUND = 20
"""Steps of a round of two or three workers; four have a higher loss after rounds as long than after shorter ones."""

OVERLAP = 0
"""Steps of the next round in which the changes are sent: each costs some loss, which a fast link need not pay."""


_RECORDED = ("exchange", "round", "overlap", "outer_rate", "outer_momentum", "exchange_precision")


class WorkersConfig(Config):
    """Which workers train a run together, and how they exchange what they learn."""

    workers: str | None = setting(
        default=None,
        otherwise="TF_CONFIG, else one machine",
        expected=_EXPECTED,
        remedy="For example: host1:4001,host2:4001",
        help="Addresses of all workers, the same on each machine; slurm takes them from Slurm's variables.",
        details="Separated by commas. none trains alone whatever the environment says.",
    )
    worker: int | None = setting(
        default=None,
        ge=0,
        le=9999,
        otherwise="by the environment",
        help="Which of the workers this is, from 0; worker 0 saves the run.",
    )
    text_part: bool = setting(
        default=False,
        help="Each worker trains on its own part of the text, which it names; the vocabulary is that of all parts.",
        details="Worker 0's held-out text is the validation text, and its part's length that of an epoch.",
    )
    exchange: Exchange = setting(
        default="rounds",
        help="When workers exchange: changes of the weights after rounds of steps, or gradients in all steps.",
        details="steps computes what one machine would with as many times the batch and the shards.",
    )
    round: int | None = setting(
        default=None,
        ge=1,
        le=10**6,
        unit="steps",
        otherwise="20 for two or three workers, else 10",
        help="Steps that each worker takes by itself between exchanges.",
    )
    overlap: int = setting(
        default=OVERLAP,
        ge=0,
        le=10**6,
        unit="steps",
        help="Steps of the next round that are taken while the changes of a round are sent; 0 waits for them.",
        details="For slow links: it saves time and costs some loss.",
    )
    outer_rate: float = setting(
        default=1.0, gt=0, le=10, help="Factor on the mean of the workers' changes after a round."
    )
    outer_momentum: float | None = setting(
        default=None,
        ge=0,
        lt=1,
        otherwise="0.3 for two workers, 0.4 for three, else 0.5",
        help="Nesterov momentum of the changes from round to round.",
        details="After DiLoCo (Douillard et al. 2023), whose own 0.9 is too much for short runs.",
    )
    exchange_precision: ExchangePrecision | None = setting(
        default=None,
        otherwise="bfloat16 between CPUs, float32 between GPUs",
        help="Type of the changes that are sent after a round.",
    )
    worker_timeout: float = setting(
        default=60.0,
        ge=1,
        le=1e6,
        unit="seconds",
        help="Silence after which a worker counts as lost; then the others save and leave.",
    )
    rejoin: bool = setting(
        default=False, help="After a loss start again, wait for the lost worker, and go on from the last round."
    )
    start_timeout: float = setting(
        default=600.0, ge=1, le=1e6, unit="seconds", help="How long workers wait for one another at the start."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None:
            remedy = self.declared["workers"].remedy
            for address in self.addresses:
                require(is_address(address), "workers", _EXPECTED, self.workers, remedy)
            require(
                len(set(self.addresses)) == len(self.addresses),
                "workers",
                "different addresses",
                self.workers,
                "Workers on one machine need a port each.",
            )
        if self.worker is not None and self.addresses:
            require(
                self.worker < len(self.addresses),
                "worker",
                f"in [0, {len(self.addresses) - 1}], one of the {len(self.addresses)} workers",
                self.worker,
            )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the workers; empty if the environment has them.

        >>> WorkersConfig(workers="a:4001, b:4001").addresses
        ('a:4001', 'b:4001')
        """
        if self.workers in (None, SLURM, ALONE):
            return ()
        return tuple(each.strip() for each in str(self.workers).split(","))

    def steps(self, workers: int) -> int:
        """The steps of a round of a number of workers.

        >>> [WorkersConfig().steps(n) for n in (2, 3, 4, 8)], WorkersConfig(round=5).steps(8)
        ([20, 20, 10, 10], 5)
        """
        if self.round is not None:
            return self.round
        return ROUND if workers < 4 else ROUND // 2

    def ahead(self, workers: int) -> int:
        """The steps that are taken while changes are sent, fewer than a round has.

        >>> WorkersConfig().ahead(2), WorkersConfig(round=4, overlap=5).ahead(2)
        (0, 3)
        """
        return min(self.overlap, self.steps(workers) - 1)

    @property
    def recorded(self) -> dict[str, Any]:
        """How the workers exchange, as a run records it."""
        return {name: getattr(self, name) for name in _RECORDED}

    def as_before(self, recorded: Mapping[str, Any]) -> WorkersConfig:
        """The settings of a run that is continued: those that it recorded, where they have their defaults here.

        >>> WorkersConfig(round=5).as_before(WorkersConfig(round=9, overlap=3).recorded).recorded["overlap"]
        3
        """
        unchanged = {name for name in _RECORDED if getattr(self, name) == self.declared[name].default}
        return self.replace(**{name: recorded[name] for name in unchanged & set(recorded)})

    def momentum(self, workers: int) -> float:
        """The outer momentum of a number of workers.

        >>> [WorkersConfig().momentum(n) for n in (2, 3, 4, 8)]
        [0.3, 0.4, 0.5, 0.5]
        """
        if self.outer_momentum is not None:
            return self.outer_momentum
        return {1: 0.0, 2: 0.3, 3: 0.4}.get(workers, 0.5)


def is_address(text: str) -> bool:
    """Whether a text is host:port.

    >>> [is_address(text) for text in ("host1:4001", "[::1]:4001", "host1", "host1:x", ":4001", "host1:70000")]
    [True, True, False, False, False, False]
    """
    host, _, port = text.rpartition(":")
    return bool(host) and not set(host) & set(" /,") and port.isascii() and port.isdigit() and 0 < int(port) < 65536
