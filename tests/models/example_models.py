"""Models that parse serialized tf.Examples, and what TensorFlow itself answers to some.

The converter leaves ParseExample and ParseExampleV2 in a file as custom operators, which
LiteRT's own interpreters cannot run: so TensorFlow's answers are kept beside each model.
"""

import base64
import copy
import functools
import json

import numpy as np

import converter
from converter import convert_function, spec, tf
import tflite_writer

SERIALIZED = spec("inputs", [None], tf.string)
WEIGHTS = np.float32([[1, -1], [0.5, 2], [-2, 0.25]])


def feature(*values):
    """A Feature of the kind that its first value has."""
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
        deterministic=True)


def dense(inputs):
    """Every type, required and with defaults, of one and of more dimensions."""
    parsed = tf.io.parse_example(inputs, {
        "x": tf.io.FixedLenFeature([3], tf.float32),
        "pair": tf.io.FixedLenFeature([1, 2], tf.float32, default_value=[[0.5, -0.5]]),
        "number": tf.io.FixedLenFeature([], tf.int64, default_value=7),
        "text": tf.io.FixedLenFeature([2], tf.string, default_value=["none", ""])})
    return {"doubled": 2.0 * parsed["x"], "pair": parsed["pair"] + 1.0,
            "number": parsed["number"] * 2, "text": parsed["text"]}


def first_version(inputs):
    """The same operator's older form, which has each key as an input of its own."""
    parsed = tf.raw_ops.ParseExample(
        serialized=inputs, names=tf.constant([], tf.string), sparse_keys=[tf.constant("many")],
        dense_keys=[tf.constant("x"), tf.constant("number")],
        dense_defaults=[tf.constant([], tf.float32), tf.constant([7], tf.int64)],
        sparse_types=[tf.int64], dense_shapes=[[3], [1]])
    many = tf.SparseTensor(parsed.sparse_indices[0], parsed.sparse_values[0],
                           parsed.sparse_shapes[0])
    return {"doubled": 2.0 * parsed.dense_values[0], "number": parsed.dense_values[1],
            "many": tf.sparse.to_dense(many, -1)}


def sparse(inputs):
    """Sparse and ragged features: as many values as each Example brings, perhaps none at all."""
    parsed = tf.io.parse_example(inputs, {
        "x": tf.io.FixedLenFeature([3], tf.float32), "many": tf.io.VarLenFeature(tf.int64),
        "words": tf.io.VarLenFeature(tf.string), "ragged": tf.io.RaggedFeature(tf.float32)})
    return {"scores": parsed["x"] @ WEIGHTS, "values": parsed["many"].values,
            "dense": tf.sparse.to_dense(parsed["many"], -1), "words": parsed["words"].values,
            "ragged": parsed["ragged"].values, "splits": parsed["ragged"].row_splits}


def classifier(inputs):
    """Scores and classes, as an estimator exports them."""
    parsed = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([3], tf.float32)})
    scores = tf.nn.softmax(parsed["x"] @ WEIGHTS)
    return {"scores": scores,
            "classes": tf.tile(tf.constant([["no", "yes"]]), [tf.shape(scores)[0], 1])}


def regressor(inputs):
    parsed = tf.io.parse_example(inputs, {
        "x": tf.io.FixedLenFeature([1], tf.float32, default_value=[10.0])})
    return {"outputs": 0.5 * parsed["x"] + 2.0}


FULL = {"x": feature(1.0, 2.0, 3.0)}
EXAMPLES = {
    "dense": (dense, [
        example(**FULL), example(x=feature(-1.0, 0.0, 0.5), number=feature(-5)),
        example(**FULL, text=feature(b"a", b"\xff\x00"), pair=feature(3.0, 4.0))]),
    "first_version": (first_version, [
        example(**FULL), example(**FULL, number=feature(1 << 40), many=feature(4, 5))]),
    "sparse": (sparse, [
        example(**FULL, many=feature(1), words=feature(b"a", b"")), example(**FULL),
        example(**FULL, many=feature(2, 3, 4), ragged=feature(0.5, 1.5))]),
    "classifier": (classifier, [example(**FULL), example(x=feature(0.0, 0.0, 1.0))]),
    "regressor": (regressor, [example(x=feature(2.0)), example()]),
}


@functools.cache
def convert_example_model(name):
    def configure(tflite_converter):
        tflite_converter.allow_custom_ops = True
    return convert_function(EXAMPLES[name][0], SERIALIZED, configure=configure)


def answers(name):
    """[{"examples": serialized, "outputs": TensorFlow's answer}]: the Examples together, each
    alone, and for sparse features those without a value."""
    function, examples = EXAMPLES[name]
    cases = [examples, *([each] for each in examples)]
    lines = []
    for case in cases:
        outputs = function(tf.constant(case))
        lines.append({
            "examples": [base64.b64encode(each).decode() for each in case],
            "outputs": {key: {"shape": value.shape.as_list(), "values": plain(value.numpy())}
                        for key, value in outputs.items()}})
    return ("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n").encode()


def plain(array):
    values = array.ravel().tolist()
    return [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in values]


def with_legacy_signatures(keep_table):
    """The classifier with the signatures that TensorFlow Serving reads: names, and methods, of
    their own; tensors with and without ":0". With the schema's own signatures or without."""
    data = convert_example_model("classifier")
    model = tflite_writer.unpack(data)
    graph = model.subgraphs[0]
    names = {key: graph.tensors[index].name.decode() for key, index in (
        [("inputs", graph.inputs[0])] +
        [(entry.name.decode(), entry.tensorIndex) for entry in model.signatureDefs[0].outputs])}
    if not keep_table:
        model.signatureDefs = None
        data = tflite_writer.pack(model)
    cut = {key: name.removesuffix(":0") for key, name in names.items()}
    return tflite_writer.with_metadata(data, "signature_defs_metadata", tflite_writer.flexbuffer({
        "serving_default": signature_def("classify", {"inputs": cut["inputs"]},
                                         {k: names[k] for k in ("scores", "classes")}),
        "raw": signature_def("predict", {"examples": names["inputs"]},
                             {"probabilities": names["scores"]})}))


def with_signature_of_no_graph():
    """A signature of the schema's own table is over a graph that is not there, and one of the
    metadata has the same key."""
    model = tflite_writer.unpack(with_legacy_signatures(True))
    lost = copy.copy(model.signatureDefs[0])
    lost.signatureKey, lost.subgraphIndex = "raw", 100_000_000
    model.signatureDefs.append(lost)
    return tflite_writer.pack(model)


def signature_def(method, inputs, outputs):
    definition = tf.compat.v1.MetaGraphDef().signature_def["-"]
    definition.method_name = f"tensorflow/serving/{method}"
    for side, names in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for key, name in names.items():
            side[key].name = name
    return definition.SerializeToString()
