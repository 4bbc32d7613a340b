"""A multinomial naive Bayes classifier on character n-grams, by scikit-learn where it is installed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec

_LENGTHS = (1, 5)
_SMOOTHING = (0.01, 0.03, 0.1, 0.3, 1.0)
_FOLDS = 3


def has_naive_bayes() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def naive_bayes(texts: Sequence[str], labels: Sequence[Sequence[str]], asked: Sequence[str]) -> list[str]:
    """Learns from texts with their labels, and tells those of others.

    The features are the counts of all n-grams of 1 to 5 characters. The smoothing is the one of 0.01, 0.03, 0.1, 0.3
    and 1 with the highest accuracy in three-fold cross-validation. The prior is the labels' frequencies.

    Args:
        texts: at least one.
        labels: those of each text, at least one; a text with several counts once for each.
        asked: the texts to classify.

    Returns:
        The most probable label of each of `asked`.

    Raises:
        ImportError: scikit-learn is not installed.

    >>> naive_bayes(["The sea", "the see", "Once", "Once more"], [["k"], ["k"], ["p"], ["p"]], ["the sea!", "once"])
    ['k', 'p']
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.naive_bayes import MultinomialNB

    vectorizer = CountVectorizer(analyzer="char", ngram_range=_LENGTHS, lowercase=False)
    repeated = [text for text, each in zip(texts, labels, strict=True) for _ in each]
    known = [label for each in labels for label in each]
    features = vectorizer.fit_transform(repeated)
    model = MultinomialNB()
    if len(known) >= _FOLDS:
        folds = KFold(_FOLDS, shuffle=True, random_state=0)
        model = GridSearchCV(model, {"alpha": list(_SMOOTHING)}, cv=folds)
    with warnings.catch_warnings():
        # That some labels are rare is for the reader of the result to judge.
        warnings.simplefilter("ignore")
        model.fit(features, known)
    return [str(label) for label in model.predict(vectorizer.transform(asked))]
