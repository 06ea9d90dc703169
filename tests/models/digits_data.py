"""The handwritten digits that scikit-learn carries, split for training and test."""

import functools

from ai_edge_litert.interpreter import Interpreter
import numpy as np

SIDE = 8
PIXELS = SIDE * SIDE
MAX_PIXEL = 16
CLASSES = 10


@functools.cache
def load():
    """Train pixels and digits, then test pixels and digits; pixels are float32 0..16."""
    # Here, so that all else can be made without scikit-learn.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    pixels, digits = load_digits(return_X_y=True)
    train_pixels, test_pixels, train_digits, test_digits = train_test_split(
        pixels.astype(np.float32), digits, test_size=0.25, random_state=0, stratify=digits)
    return train_pixels, train_digits, test_pixels, test_digits


def to_input(data, pixels):
    """Pixels in the element type of a digits model's input, by its scale and zero point."""
    details = Interpreter(model_content=data).get_input_details()[0]
    if details["dtype"] == np.float32:
        return pixels
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(pixels / scale) + zero_point,
                   limits.min, limits.max).astype(details["dtype"])


def accuracy(data):
    """The share of the test split that a digits model recognises, run by LiteRT."""
    _, _, test_pixels, test_digits = load()
    runner = Interpreter(model_content=data).get_signature_runner("serving_default")
    answers = runner(pixels=to_input(data, test_pixels))["probabilities"]
    return float(np.mean(np.argmax(answers, axis=-1) == test_digits))
