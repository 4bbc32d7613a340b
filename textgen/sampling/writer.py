"""The public API of a trained model: sampling, completion, scoring, classifying and adaptation, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

from textgen.config import (
    Adapt,
    AdaptationConfig,
    Controls,
    Fill,
    FillConfig,
    SamplingConfig,
    Unknown,
    keywords,
)
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.scoring import Score, score_text
from textgen.sampling.labels import Label, as_given, labels_of
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import Stream, Streams, write_samples
from textgen.sampling.suggestions import Suggestion, suggest
from textgen.sampling.trained_model import TrainedModel
from textgen.system import PathLike, path_list

if TYPE_CHECKING:
    from textgen.engine import Network
    from textgen.sampling.adapting import Progress
    from textgen.sampling.classifying import Classified
    from textgen.sampling.gaps.filling import Filling


class Writer(TrainedModel):
    """Writes, completes and scores text with a trained model, or with a mixture of several: see `mix`.

    A writer is immutable: its output depends on the arguments alone. A mixture has no `config`, `weights` and
    `metadata` of its own; its `members` have.

    Args:
        config: the network's shape.
        weights: its weights.
        tokenizer: its vocabulary.
        metadata: the checkpoint's metadata; None for the shape and the vocabulary alone.
        path: the checkpoint, if it came from one.
        adaptation: what `adapt` did, if it made this writer.

    Raises:
        ConfigError: weights, vocabulary and configuration do not match.
    """

    @keywords(Controls, defaults=SamplingConfig)
    def generate(self, prompt: str = "", *, logprobs: int = 0, **controls: Unpack[Controls]) -> Sample:
        """Writes one text.

        Args:
            prompt: the text to continue, of any length. An empty one starts a text as after a line break.
            logprobs: number of likeliest characters to record at each position, with the model's log-probabilities
                before any control; 0 records nothing.
            **controls: any field of `textgen.SamplingConfig`, such as `temperature`, `top_p`, `max_new_tokens`,
                `match` or `seed`; `help` of it says what they do and which values they take. `temperature`, `stop`,
                `contains`, `logit_bias` and `label` may also be lists, the last four a single text, and `logit_bias`
                and `label` dictionaries of numbers.

        Raises:
            TypeError: there is no control of that name.
            ConfigError: a value is out of its range, or no text fits `match` and the other constraints.
            UnknownCharacterError: the prompt holds characters that the model never saw, and `unknown` refuses them.

        Example:
            writer.generate("The sea ", max_new_tokens=300, temperature=0.8, seed=7).text
        """
        config = self.sampling(controls)
        return write_samples(*self._begun(prompt, config), logprobs=logprobs, labels=labels_of(self, config.label))[0]

    @keywords(Controls, defaults=SamplingConfig)
    def generate_many(
        self, prompt: str = "", *, count: int, logprobs: int = 0, **controls: Unpack[Controls]
    ) -> list[Sample]:
        """Writes several texts in one batch, many times as fast as one after the other.

        Text k depends on the seed and k alone; the first is that of `generate`. `count` is the number of texts, in
        [1, 65536]; the other arguments and errors are those of `generate`.
        """
        config = self.sampling(controls)
        labels = labels_of(self, config.label)
        return write_samples(*self._begun(prompt, config), count=count, logprobs=logprobs, labels=labels)

    @keywords(Controls, defaults=SamplingConfig)
    def stream(self, prompt: str = "", *, logprobs: int = 0, **controls: Unpack[Controls]) -> Stream:
        """Streams the text of `generate` piece by piece.

        The arguments and errors are those of `generate`; errors are raised by the call, not at the first piece.

        Returns:
            An iterator of the pieces; its `sample` is the sample so far, with the seed.
        """
        config = self.sampling(controls)
        return Stream(*self._begun(prompt, config), logprobs=logprobs, labels=labels_of(self, config.label))

    @keywords(Controls, defaults=SamplingConfig)
    def stream_many(self, prompt: str = "", *, count: int, logprobs: int = 0, **controls: Unpack[Controls]) -> Streams:
        """Writes the texts of `generate_many` side by side, a character of each at a time.

        The arguments and what is raised are as for `generate_many`; errors come at once, not at the first piece.

        Returns:
            An iterator of lists with a piece for each text; its `samples` are what has been written so far.
        """
        config = self.sampling(controls)
        labels = labels_of(self, config.label)
        return Streams(*self._begun(prompt, config), count=count, logprobs=logprobs, labels=labels)

    @keywords(Controls, defaults=SamplingConfig)
    def generate_records(
        self,
        count: int = 1,
        *,
        prompt: str = "",
        unique: bool = False,
        new: bool = False,
        any_label: bool = False,
        logprobs: int = 0,
        **controls: Unpack[Controls],
    ) -> list[Sample]:
        """Writes records with a model of records, each from its beginning to its end.

        Args:
            count: the number of records, in [1, 65536].
            prompt: the beginning of each.
            unique: no two of them are equal.
            new: none of them, with its prompt, is in the text of the run, neither trained on nor held out.
            any_label: each has a label drawn anew, as often as training records have it; instead of `label`.
            logprobs: as for `generate`.
            **controls: as for `generate`; a record has at most `max_new_tokens` characters.

        Returns:
            The records: of those that the seed gives, the first that are wanted. They are fewer than `count` where of
            1,000 records in a row, and ten times `count` more, none is wanted.

        Raises:
            RunError: with `new`, neither the checkpoint nor the run's text tells what is known.
            ConfigError: the model was trained on running text; otherwise as for `generate`.

        Example:
            for sample in textgen.load("names").generate_records(20, unique=True, new=True, seed=7):
                print(sample.text)
        """
        from textgen.sampling.records import draw_records

        config = self.sampling(controls)
        draws = draw_records(
            self, config, count, prompt=prompt, unique=unique, new=new, any_label=any_label, logprobs=logprobs
        )
        draws.run()
        return draws.samples

    @keywords(Fill, defaults=FillConfig)
    def fill(self, text: str, *, count: int = 1, **settings: Unpack[Fill]) -> list[Filling]:
        """Fills the gaps of a text with what fits both sides of each; see `textgen.sampling.gaps`.

        A gap is marked as `[3]`, three missing characters, `[1-10]`, one to ten, or `[...]`, an unknown number. The
        brackets can be chosen, and a character that stands for one missing one. Gaps are filled from left to right,
        each with what was chosen before; alternatives are ranked over all gaps of the text.

        Args:
            text: a text with at least one gap. A run on records reads it as records, whose ends count as text.
            count: the number of alternatives, in [1, 1000]; there may be fewer.
            **settings: any field of `textgen.config.FillConfig`, such as `longest`, `candidates`, `mask` or `sample`;
                `help` of it says what they do and which values they take.

        Returns:
            The fillings, the most probable first; with `sample`, in the order of the draws. Each has the whole `text`,
            the fillings as `gaps`, and its `probability` among those that were considered.

        Raises:
            ConfigError: the text has no gap, or one that is too long, or a setting is out of its range.
            UnknownCharacterError: the text holds characters that the model never saw, and `unknown` refuses them.

        Example:
            for found in textgen.load("poems").fill("The [3] was calm, and [...] still.", count=5):
                print(found.probability, found.gaps)
        """
        from textgen.sampling.gaps.filling import fill

        if "label" in settings:
            settings["label"] = as_given(settings["label"])
        return fill(self, text, FillConfig(**cast(dict[str, Any], settings)), count=count)

    @keywords(Controls, defaults=SamplingConfig)
    def generate_towards(
        self, ending: str, *, prompt: str = "", count: int = 1, **controls: Unpack[Controls]
    ) -> list[Sample]:
        """Writes texts that come to a given ending; see `textgen.sampling.gaps.towards`.

        Args:
            ending: how each text ends.
            prompt: how each begins; without one a model of both sides writes from the ending to the beginning.
            count: the number of texts, in [1, 65536]; text k depends on the seed and k alone.
            **controls: as for `generate`, without constraints and what says where a text ends; at most
                `max_new_tokens` characters come before the ending. Without a prompt `starts_with`, `contains`,
                `min_length` and `max_length` are of what comes before the ending, and `stop`, `include_stop` and
                `until` say where it begins.

        Returns:
            The texts, which have the ending and not the prompt in `text`.

        Raises:
            ConfigError: there is no prompt for a model of one side, the ending is empty, or a control is not possible.
            UnknownCharacterError: the texts hold characters that the model never saw, and `unknown` refuses them.

        Example:
            textgen.load("diary").generate_towards("and so to bed.", prompt="Up betimes, ", seed=7)[0].text
        """
        from textgen.sampling.gaps.towards import write_towards

        return write_towards(self, ending, self.sampling(controls), prompt=prompt, count=count)

    def suggest(
        self,
        text: str,
        *,
        n: int = 5,
        unknown: Unknown = "replace",
        ban: str = "",
        allow: str = "",
        label: Label | None = None,
    ) -> list[Suggestion]:
        """The likeliest continuations of `text` to the end of a word; see `textgen.sampling.suggestions.suggest`.

        `label` is as for `generate`: the labels of the record that the text begins.
        """
        limits = self.sampling({"ban": ban, "allow": allow, "label": label})
        return suggest(
            self.engine,
            self.tokenizer,
            self.as_trained(text),
            n=n,
            unknown=unknown,
            ban=limits.ban,
            allow=limits.allow,
            labels=labels_of(self, limits.label),
        )

    def score(
        self,
        text: str | Sequence[str],
        *,
        streams: int = 1,
        unknown: Unknown = "auto",
        label: Label | None = None,
    ) -> Score:
        """The log-probability of each character of `text`; see `textgen.engine.scoring.score_text`.

        `label` is as for `generate`: each record is scored as one with these labels, and without it as one with none.
        """
        several = isinstance(text, Sequence) and not isinstance(text, str)
        read = list(map(self.as_trained, text)) if several else self.as_trained(cast(str, text))
        return score_text(
            self.engine,
            self.tokenizer,
            read,
            streams=streams,
            unknown=unknown,
            reading=self.reading,
            labels=labels_of(self, as_given(label)),
        )

    def classify(self, texts: Sequence[str], *, uniform: bool = False, unknown: Unknown = "auto") -> list[Classified]:
        """The probability of each label given a text, for several texts, by Bayes' rule.

        It is in proportion to the label's prior times the probability of the text as a record with this label alone,
        its end included; see `textgen.sampling.classifying`. Where records have several labels, each is scored by
        itself, and their probabilities have the sum 1 all the same.

        Args:
            texts: the texts, each as one record.
            uniform: take all labels for equally likely beforehand; by default a label's prior is its share of the
                labels of the training records.
            unknown: how characters that the model never saw are treated: see `CharTokenizer.encode`.

        Returns:
            For each text a `Classified`, with `label`, its `probability`, and all `probabilities`.

        Raises:
            ConfigError: the model was not trained on records with labels, or `texts` is a single string.
            UnknownCharacterError: a text holds characters that the model never saw, and `unknown` refuses them.
            RunError: the checkpoint does not say how many records have each label, and `uniform` is not set.

        Example:
            for found in textgen.load("poems").classify(["The sea was calm.", "Once upon a midnight"]):
                print(found.label, found.probability)
        """
        from textgen.sampling.classifying import classify

        return classify(self, texts, uniform=uniform, unknown=unknown)

    @keywords(Adapt, defaults=AdaptationConfig)
    def adapt(
        self,
        text: str,
        *,
        unknown: Unknown = "auto",
        corpus: PathLike | Sequence[PathLike] = (),
        progress: Progress | None = None,
        **settings: Unpack[Adapt],
    ) -> Writer:
        """A writer adapted to a text, so that it predicts the text's names and style better.

        Dynamic evaluation (Krause et al. 2018): one pass over the text, with an update of the weights after each
        segment; see `textgen.engine.adaptation.rule`. This writer is not changed. Each member of a mixture adapts for
        itself. Of a model of both sides each half adapts, the backward one to the text from right to left, and the
        joint head stays as it is, so that it takes twice as long; of a member of a mixture the forward half.

        Args:
            text: at least one character; a few pages have a clear effect, a few lines hardly any.
            unknown: how characters that the model never saw are treated: see `CharTokenizer.encode`.
            corpus: current paths of the training text, files or folders; empty takes the recorded ones. Where the text
                is not available, the gradient statistics are those of `text`, and the new writer's
                `adaptation.problem` says why.
            progress: called with the stage ("reading", "statistics" or "adapting"), the amount done and the total.
            **settings: any field of `textgen.config.AdaptationConfig`, such as `learning_rate`, `segment` or `decay`;
                `help` of it says what they do and which values they take.

        Returns:
            Another writer, which describes the text in `adaptation`.

        Raises:
            ConfigError: a value is out of its range, the text is too long, or no character of it is left.
            UnknownCharacterError: the text holds characters that the model never saw, and `unknown` refuses them.
            RunError: `corpus` is given and is not the training text.
            TrainingError: the model diverged because the learning rate is too high.

        Example:
            writer = textgen.load("shakespeare").adapt(Path("my_play.txt").read_text())
            print(writer.generate("MIRA:", temperature=0.7).text)
        """
        from textgen.sampling.adapting import adapt_model

        config, sources = AdaptationConfig(**settings), path_list(corpus)
        return adapt_model(self, self.as_trained(text), config, corpus=sources, unknown=unknown, progress=progress)

    def _begun(self, prompt: str, config: SamplingConfig) -> tuple[Network, CharTokenizer, str, SamplingConfig]:
        return self.engine, self.tokenizer, self.as_trained(prompt), config
