"""Makes model.tflite and vocabulary.txt, with the environment of tests/models: python examples/text_tokenizer/make_model.py"""

import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests/models"))

import numpy as np  # noqa: E402
from converter import convert_function, spec, tf  # noqa: E402

WEIGHTS = {"lovely": 2, "good": 1.5, "great": 2, "happy": 2, "best": 2, "fine": 1, "love": 2, "nice": 1.5, "better": 0.5, "not": -1, "bad": -1.5,
           "awful": -2, "sad": -2, "worst": -2, "poor": -1.5, "hate": -2, "never": -1, "worse": -1, "broken": -1.5, "slow": -1}


def positive(tokens):
    """The logistic function of the sum of the words' weights; token 0 has none."""
    weights = tf.constant(np.float32([0, *WEIGHTS.values()]))
    return {"positive": tf.sigmoid(tf.reduce_sum(tf.gather(weights, tokens), axis=-1))}


(FOLDER / "vocabulary.txt").write_text("\n".join(WEIGHTS) + "\n")
(FOLDER / "model.tflite").write_bytes(convert_function(positive, spec("tokens", [None, None], tf.int32)))
