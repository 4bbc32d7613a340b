"""Runtimes of ONNX models: each makes a function from inputs to outputs, both by name, from a file's bytes."""

from collections.abc import Callable
from typing import Any

import onnx
import onnxruntime
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
