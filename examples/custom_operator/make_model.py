"""Makes model.tflite, with the environment of tests/models: python examples/custom_operator/make_model.py"""

import pathlib
import struct
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests/models"))

import tflite_writer  # noqa: E402

graph = tflite_writer.Graph()
x = graph.tensor("x", "float32", [1, 3], dynamic=[0])
y = graph.tensor("y", "float32", [1, 3], dynamic=[0])
graph.op("CUSTOM", [x], [y], custom="UnitRows", custom_options=struct.pack("<f", 1e-6))
(FOLDER / "model.tflite").write_bytes(graph.finish([x], [y], signature="serving_default"))
