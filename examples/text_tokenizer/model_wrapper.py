"""How positive a text is, from 0 to 1: {"instances": ["a lovely day"]} gives {"predictions": [0.88]}.

The tokenizer is Python, the model a .tflite that takes numbers of words (make_model.py).
"""

import pathlib
import re
from typing import Annotated

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tflite_serving import Servable, TensorSpec

UNKNOWN = 0  # and padding


class Sentiment(Servable):

    def load(self):
        folder = pathlib.Path(self.servable_path)
        words = (folder / "vocabulary.txt").read_text().split()
        self.token_of = {word: token for token, word in enumerate(words, 1)}
        self.run = Interpreter(str(folder / "model.tflite")).get_signature_runner()

    def tokens(self, text):
        return [self.token_of.get(word, UNKNOWN) for word in re.findall(r"\w+", text.decode("utf-8").lower())]

    def predict_batch(self, *, text: Annotated[np.ndarray, TensorSpec("string", [None])]) \
            -> Annotated[dict, {"positive": TensorSpec("float32", [None])}]:
        rows = [self.tokens(row) for row in text]
        padded = np.full([len(rows), max([1, *map(len, rows)])], UNKNOWN, np.int32)
        for place, row in enumerate(rows):
            padded[place, :len(row)] = row
        return self.run(tokens=padded)
