"""Shared code of the examples that write: words as token ids, and back."""

import numpy as np

PADDING, END = 0, 1  # ids that stand for no word


class Vocabulary:
    """The words of some sentences, and their ids.

    Args:
        sentences: Sentences that have all words.
    """

    def __init__(self, sentences):
        words = {word for sentence in sentences for word in sentence.split()}
        self.words = ["(padding)", "(end)", *sorted(words)]

    def ids(self, sentences, behind=()):
        """Return the ids of sentences, padded at their ends, `(sentences, length)`.

        Args:
            sentences: The sentences.
            behind: Ids that follow each of them.
        """
        known = {word: index for index, word in enumerate(self.words)}
        rows = [[*map(known.get, text.split()), *behind] for text in sentences]
        padded = np.full((len(rows), max(map(len, rows))), PADDING, "int32")
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values
        return padded

    def teacher_forcing(self, prompts, answers):
        """Return inputs, targets and their weights: the next word of each answer."""
        both = [" ".join(pair) for pair in zip(prompts, answers, strict=True)]
        ids = self.ids(both, behind=[END])
        read, said = ids[:, :-1], ids[:, 1:]
        lengths = np.array([len(prompt.split()) for prompt in prompts])
        is_answer = np.arange(1, ids.shape[1]) >= lengths[:, None]
        return read, said, (is_answer & (said != PADDING)).astype("float32")

    def sentences(self, ids):
        """Return the sentences of ids, each up to its end."""
        rows = [[self.words[index] for index in row] for row in ids]
        ends = [row.index("(end)") if "(end)" in row else len(row) for row in rows]
        return [" ".join(row[:end]) for row, end in zip(rows, ends, strict=True)]
