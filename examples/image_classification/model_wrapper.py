"""Recognises handwritten digits in JPEG or PNG files: {"instances": [{"b64": "iVBORw0…"}]} gives the best labels of each and their scores.

model.tflite is tests/models/digits of this repository: 8x8 grey pixels, 0 (white) to 16 (black). Needs Pillow (requirements.txt).
"""

import io
import pathlib

import numpy as np
import PIL.Image
from ai_edge_litert.interpreter import Interpreter

from tflite_serving import InvalidArgument, Servable, Signature, TensorSpec


class ImageClassifier(Servable):
    """custom_model_config: labels (a file of one label a line), top (how many to answer)."""

    def load(self):
        folder = pathlib.Path(self.servable_path)
        self.labels = np.array((folder / self.config_obj.labels).read_text().split("\n")[:-1], object)
        self.top = int(self.config_obj.get("top", 3))
        self.run = Interpreter(str(folder / "model.tflite")).get_signature_runner()
        self.signatures = Signature(inputs={"image_bytes": TensorSpec("string", [None])},
                                    outputs={"labels": TensorSpec("string", [None, self.top]), "scores": TensorSpec("float32", [None, self.top])})

    def predict_batch(self, inputs):
        pixels = np.stack([_pixels(data) for data in inputs["image_bytes"]])
        scores = self.run(pixels=pixels)["probabilities"]
        best = np.argsort(-scores, axis=1)[:, :self.top]
        return {"labels": self.labels[best], "scores": np.take_along_axis(scores, best, axis=1)}


def _pixels(data):
    try:
        image = PIL.Image.open(io.BytesIO(data)).convert("L").resize((8, 8), PIL.Image.Resampling.BOX)
    except OSError as error:
        raise InvalidArgument(f"not an image: {error}") from None
    return (255 - np.asarray(image, np.float32).reshape(64)) * (16 / 255)
