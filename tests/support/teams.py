"""Workers of one run as threads of one process."""

import threading
from collections.abc import Callable
from typing import Any

from ports import free_ports

from textgen.config import WorkersConfig
from textgen.errors import TextgenError
from textgen.training.workers.cluster import Cluster
from textgen.training.workers.team import Team

QUICK = {"worker_timeout": 1.0, "start_timeout": 20.0}


def as_threads(
    size: int, act: Callable[[Team], Any], addresses: dict[int, Any] | None = None, **config: float
) -> list[Any]:
    """What `act` returns or raises on each worker, all in threads."""
    first = free_ports(size + 1)
    common = tuple(f"127.0.0.1:{first + n}" for n in range(size))
    outcomes: list[Any] = [None] * size

    def work(index: int) -> None:
        own = (addresses or {}).get(index, lambda known: known)(common)
        team = None
        try:
            team = Team(Cluster(own, index), WorkersConfig(**{**QUICK, **config}))
            outcomes[index] = act(team)
        except TextgenError as error:
            outcomes[index] = error
        if team is not None:
            team.leave()

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
        assert not thread.is_alive(), "a worker hangs"
    return outcomes
