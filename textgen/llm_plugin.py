"""The plugin of `llm` (llm.datasette.io): each run in the folder `checkpoints` is a model, `textgen/NAME`.

    llm -m textgen/poems "The sea" -o temperature 0.5

The entry point in the group `llm` names this module, so `llm` imports it whenever it starts, and asks for the models:
neither loads NumPy. A run is read when it is first asked to write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import llm
from pydantic import Field, create_model

from textgen.config import SamplingConfig, Setting
from textgen.errors import RunError, TextgenError, UnknownCharacterError
from textgen.runs.find import list_runs

if TYPE_CHECKING:
    from textgen.runs.run import Run
    from textgen.sampling.sampler import Stream
    from textgen.sampling.writer import Writer


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Registers each run that `textgen runs` lists, with a model for `await`, but for those on pairs."""
    # `llm` is more than these models, and must work in a folder whose runs cannot be listed.
    with contextlib.suppress(RunError):
        for run in list_runs():
            if not _is_on_pairs(run):
                register(TextgenModel(run), AsyncTextgenModel(run))


def _is_on_pairs(run: Run) -> bool:
    """Whether a run turns one text into another; False where its file does not say so, which is told when it is used.

    `Run.metadata` would need NumPy. Only a stored member is read, so that none is larger than the file.
    """
    try:
        with zipfile.ZipFile(run.checkpoint) as archive:
            member = archive.getinfo("textgen.json")
            found = json.loads(archive.read(member)) if member.compress_type == zipfile.ZIP_STORED else {}
        return bool(found["model"].get("encoder_layers"))
    except Exception:  # Whatever a damaged file leads to: `llm` is more than this run.
        return False


def _type(declared: Setting) -> Any:
    """The annotation of an option: a setting's type with its range."""
    kind: Any = Literal[tuple(declared.choices)] if declared.choices else declared.kind
    if declared.kind in (int, float):
        bounds = {name: getattr(declared, name) for name in ("ge", "gt", "le", "lt")}
        kind = Annotated[kind, Field(**{name: bound for name, bound in bounds.items() if bound is not None})]
    # None stands for an option that is not given, so that the log holds only those that were.
    return kind | list[kind] | None if declared.several else kind | None


def _option(declared: Setting) -> tuple[Any, Any]:
    default = f" Default: {declared.default_text}." if declared.default_text else ""
    # `llm` keeps the last of an option that is given several times.
    description = declared.line.replace("can be given several times", "in Python a list gives several")
    return _type(declared), Field(default=None, description=description + default)


_FIELDS: Any = {name: _option(declared) for name, declared in SamplingConfig.declared.items()}

Options: Any = create_model("Options", __base__=llm.Options, **_FIELDS)
"""The fields of `SamplingConfig`."""


class _Run:
    """What the two kinds of models share.

    Args:
        run: the run's folder.
    """

    can_stream = True

    def __init__(self, run: Run) -> None:
        self.model_id = f"textgen/{run.name}"
        self._run = run
        self._writer: Writer | None = None

    def _begin(self, prompt: llm.Prompt) -> tuple[str, Stream]:
        """The text to continue, and the stream that continues it.

        Raises:
            ModelError: the run cannot be read, or refuses the text or the options.
        """
        if prompt.system:
            raise llm.ModelError(
                f"{self.model_id} continues a text and takes no system prompt. Write what it should continue instead."
            )
        text = _whole(prompt)
        controls = prompt.options.model_dump(exclude_none=True)
        with _explained():
            if self._writer is None:
                from textgen.sampling.loading import load

                self._writer = load(self._run.checkpoint)
            return text, self._writer.stream(text, **controls)


class TextgenModel(_Run, llm.Model):
    """A run as a model that `llm` prompts; see `register_models`."""

    Options = Options

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str]:
        """Continues the text piece by piece."""
        del stream, conversation
        text, pieces = self._begin(prompt)
        with _explained():
            yield from pieces
        _report(response, text, pieces)


class AsyncTextgenModel(_Run, llm.AsyncModel):
    """As `TextgenModel`, for an event loop, which goes on while another thread computes."""

    Options = Options

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
    ) -> AsyncGenerator[str, None]:
        """Continues the text piece by piece."""
        del stream, conversation
        text, pieces = await asyncio.to_thread(self._begin, prompt)
        with _explained():
            while piece := await asyncio.to_thread(next, pieces, ""):
                yield piece
        _report(response, text, pieces)


def _whole(prompt: llm.Prompt) -> str:
    """The text of a conversation so far, with nothing in between: each prompt is written where the text had ended."""
    from llm.parts import TextPart

    parts = [part for message in prompt.messages if message.role in ("user", "assistant") for part in message.parts]
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _report(response: llm.Response | llm.AsyncResponse, text: str, stream: Stream) -> None:
    """Tells `llm` the lengths, in characters, and what repeats the text, for its log."""
    sample = stream.sample
    response.set_usage(input=len(text), output=len(sample.text))
    response.response_json = {"seed": sample.seed, "finish_reason": sample.finish_reason}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Raises our errors as `llm`'s, which it shows without a traceback, in the words of its command line."""
    try:
        yield
    except UnknownCharacterError as error:
        them = "them" if len(error.characters) > 1 else "it"
        remedy = f"Remove {them}, or pass -o unknown skip to drop {them} or -o unknown replace to replace {them}."
        raise llm.ModelError(f"{error.message} {remedy if error.remedy else ''}".rstrip()) from error
    except TextgenError as error:
        raise llm.ModelError(str(error)) from error
