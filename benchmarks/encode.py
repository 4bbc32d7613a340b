"""Reading a large table: speed and memory of encoding JSON Lines, with and without the ids in the cache.

    python -m benchmarks.encode                            # 1 GB, which it makes in a temporary folder
    python -m benchmarks.encode --megabytes 200 --file big.jsonl

The file has an object a line: `text`, 40 to 260 characters cut at random from the bundled prose (its accents and dashes
as they are), `label`, one of four, and `id`, a number. It is read as `textgen train FILE --text-field text
--label-field label` reads it, in a process of its own for each row of the table:

- new: nothing is in the cache yet, the ids are written to it;
- cached: the same again, where only the file's SHA-256 is computed; small files are not cached.

MB/s counts the file's bytes, by the wall clock and by the process's own time; MB is the most memory it held at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import harness
from textgen.config import CorpusConfig

_BLOCK = 20_000
"""Lines written at once."""


def make(path: Path, size: int) -> None:
    """Writes JSON Lines of at least so many bytes."""
    text = (harness.ROOT / "corpora" / "marrow_haven.txt").read_text(encoding="utf-8")
    drawn, written = Random(1), 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < size:
            places = [(drawn.randrange(len(text) - 260), drawn.randrange(40, 261)) for _ in range(_BLOCK)]
            lines = [
                json.dumps(
                    {"text": text[start : start + length], "label": "abcd"[start % 4], "id": start}, ensure_ascii=False
                )
                for start, length in places[: max(1, (size - written) // 100)]
            ]
            written += file.write("\n".join(lines) + "\n")


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """Encodes the file, and says how long it took and what it held."""
    from textgen.corpus import encode_corpus, open_corpus

    del name
    corpus = open_corpus(settings["file"], config=CorpusConfig(text_field="text", label_field="label"))
    wall, own = time.perf_counter(), time.process_time()
    encoded = encode_corpus(corpus, cache=Path(settings["cache"]))
    assert encoded.records is not None
    return {
        "seconds": time.perf_counter() - wall,
        "own seconds": time.process_time() - own,
        "records": len(encoded.records),
        "MB": harness.peak_megabytes(),
    }


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--megabytes", type=float, default=1000.0)
    parser.add_argument("--file", help="the file; it is made where there is none, and kept")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    size = 100_000 if arguments.smoke else int(arguments.megabytes * 1e6)
    rows, results = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(arguments.file) if arguments.file else Path(scratch) / "table.jsonl"
        if not path.is_file():
            print(f"  making {size / 1e6:,.0f} MB", file=sys.stderr)
            make(path, size)
        total = path.stat().st_size / 1e6
        settings = {"file": str(path), "cache": f"{scratch}/cache", "smoke": arguments.smoke}
        for name in ("new", "cached"):
            found = harness.child(__file__, contender, name, settings)
            assert found is not None
            speeds = [total / max(found[each], 1e-6) for each in ("seconds", "own seconds")]
            results[name] = {**found, "MB/s": speeds[0], "MB/s of its own time": speeds[1]}
            rows.append(
                [name, f"{found['records']:,.0f}", *(f"{speed:,.1f}" for speed in speeds), f"{found['MB']:,.0f}"]
            )
    headings = ["ids", "records", "MB/s", "MB/s of its own time", "MB resident at most"]
    text = harness.table(headings, rows) + f"\n\n{total:,.0f} MB of JSON Lines."
    harness.report("encode", text, {"megabytes": total, **results}, arguments.out)


if __name__ == "__main__":
    main()
