"""Counts what the server does, and tells it as Prometheus reads it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """How often durations were at most so long.

    Args:
        name: of the metric.
        help: what it measures.
    """

    def __init__(self, name: str, help: str) -> None:  # noqa: A002
        self.name, self.help = name, help
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Counts a duration."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def lines(self) -> list[str]:
        """The histogram in Prometheus's text."""
        found, total = [], 0
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self._counts, strict=True):
            total += count
            found.append(f'{self.name}_bucket{{le="{bound}"}} {total}')
        head = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} histogram"]
        return [*head, *found, f"{self.name}_sum {self._sum:.6f}", f"{self.name}_count {total}"]


class Metrics:
    """The figures of one server.

    Attributes:
        first: seconds from a request to its first character.
        steps: seconds of the steps of the running batches.
        pauses: seconds between two steps while texts are being written.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._counts: Counter[str] = Counter()
        self._gauges: dict[str, float] = {}
        self.first = Histogram("textgen_first_character_seconds", "Time from a request to its first character.")
        self.steps = Histogram("textgen_step_seconds", "Time to write one character of each running text.")
        self.pauses = Histogram("textgen_pause_seconds", "Time between two steps while texts are being written.")

    def request(self, endpoint: str, status: int) -> None:
        """Counts a response."""
        with self._lock:
            self._requests[endpoint, status] += 1

    def count(self, name: str, number: int = 1) -> None:
        """Adds to a counter: one of `_COUNTERS`."""
        with self._lock:
            self._counts[name] += number

    def set(self, name: str, number: float) -> None:
        """Sets a gauge: one of `_GAUGES`."""
        self._gauges[name] = number

    def text(self) -> str:
        """All figures in Prometheus's text."""
        lines = ["# HELP textgen_requests_total Responses.", "# TYPE textgen_requests_total counter"]
        with self._lock:
            for (endpoint, status), count in sorted(self._requests.items()):
                lines.append(f'textgen_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}')
            counts = dict(self._counts)
        for name, told in _COUNTERS.items():
            full = f"textgen_{name}_total"
            lines += [f"# HELP {full} {told}", f"# TYPE {full} counter", f"{full} {counts.get(name, 0)}"]
        for name, told in _GAUGES.items():
            full = f"textgen_{name}"
            lines += [f"# HELP {full} {told}", f"# TYPE {full} gauge", f"{full} {self._gauges.get(name, 0):g}"]
        for histogram in (self.first, self.steps, self.pauses):
            lines += histogram.lines()
        return "\n".join(lines) + "\n"


_COUNTERS = {
    "prompt_characters": "Characters of prompts that were read.",
    "characters": "Characters that were written.",
    "texts": "Texts that came to their end.",
    "cancelled": "Requests whose client left.",
    "recalls": "Draws that were too close to trust a batch with.",
    "loads": "Models that were loaded.",
}

_GAUGES = {
    "running_texts": "Texts being written.",
    "reading_prompts": "Prompts being read.",
    "waiting_requests": "Requests in the queue.",
    "loaded_models": "Models in memory.",
    "model_bytes": "Memory of the loaded models.",
}
