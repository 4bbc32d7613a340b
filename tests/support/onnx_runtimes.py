"""Runtimes of ONNX models: each makes a function from inputs to outputs, both by name, from a file's bytes."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

Arrays = dict[str, Any]
Runtime = Callable[[bytes], Callable[[Arrays], Arrays]]


def onnxruntime_of(data: bytes) -> Callable[[Arrays], Arrays]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def reference_of(data: bytes) -> Callable[[Arrays], Arrays]:
    evaluator = ReferenceEvaluator(onnx.load_from_string(data))
    return lambda inputs: dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def in_javascript(
    models: Sequence[bytes], calls: Sequence[Sequence[tuple[Arrays, Mapping[str, str]]]], folder: Path
) -> list[list[Arrays]]:
    """The outputs of calls of each model in onnxruntime-web; the test is skipped where that is not installed.

    Args:
        models: the files' bytes.
        calls: of each model, one after the other: the inputs, and the inputs that are outputs of the call before.
        folder: an empty one, for the files.
    """
    installed = os.environ.get("TEXTGEN_ONNXRUNTIME_WEB", "")
    if not (installed and shutil.which("node")):
        pytest.skip("TEXTGEN_ONNXRUNTIME_WEB names no folder where npm installed onnxruntime-web, or there is no node")
    cases = []
    for n, (data, each) in enumerate(zip(models, calls, strict=True)):
        path = folder / f"{n}.onnx"
        path.write_bytes(data)
        told = [
            {"inputs": {name: _told(np.asarray(array)) for name, array in inputs.items()}, "carried": dict(carried)}
            for inputs, carried in each
        ]
        cases.append({"model": str(path), "calls": told})
    line = ["node", str(Path(__file__).with_name("onnxruntime_web.cjs")), installed]
    done = subprocess.run(line, input=json.dumps(cases), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return [
        [{name: np.array(values, np.float32).reshape(dims) for name, (dims, values) in got.items()} for got in results]
        for results in json.loads(done.stdout)
    ]


def _told(array: np.ndarray) -> list[Any]:
    return [{"b": "bool", "i": "int64", "f": "float32"}[array.dtype.kind], array.shape, array.ravel().tolist()]
