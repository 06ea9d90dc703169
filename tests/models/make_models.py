#!/usr/bin/env python3
"""Makes the small models that the tests and the examples serve.

    make_models.py [NAME ...] [--out DIR]   make the named models, or all, into DIR
    make_models.py --check [NAME ...]       make nothing; run what lies in DIR (check_models.py)
    make_models.py --bench-models DIR       make the larger models of the benchmark into DIR

One function a model; its docstring says what the model is for. README.md lists what came out.
"""

import argparse
import functools
import json
import pathlib
import sys

from ai_edge_litert import schema_py_generated as schema
import numpy as np

import bench_models
import check_models
import converter
from converter import DEFAULT_SIGNATURE, SEED, convert, convert_function, spec, tf
import digits_data
import example_models
import tflite_writer


# {model name: {path below DIR: function returning the file's bytes}}
MODELS = {}


def model(function):
    """Registers a function that makes `NAME.tflite`, NAME being the function's name."""
    MODELS[function.__name__] = {f"{function.__name__}.tflite": function}
    return function


# --- Signatures, names and shapes -------------------------------------------------------------


@model
def half_plus_two():
    """y = 0.5 x + 2, the model of TensorFlow Serving's own examples: its documented requests
    and answers hold here word for word."""
    return convert_function(lambda x: {"y": 0.5 * x + 2.0}, spec("x", [None]))


@model
def half_plus_two_1x1():
    """The same from before signatures: no signature table, a fixed shape [1,1], and only the
    tensor names `x` and `y` to go by."""
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1, 1])
    product = graph.tensor("product", "float32", [1, 1])
    y = graph.tensor("y", "float32", [1, 1])
    graph.op("MUL", [x, graph.constant("half", np.float32([0.5]))], [product],
             schema.MulOptionsT())
    graph.op("ADD", [product, graph.constant("two", np.float32([2.0]))], [y],
             schema.AddOptionsT())
    return graph.finish([x], [y])


@model
def no_signature_collide():
    """No signature table, and outputs that have one name once the `:N` is cut off."""
    graph = tflite_writer.Graph()
    a = graph.tensor("serving_default_a:0", "float32", [1], dynamic=[0])
    b = graph.tensor("serving_default_b:0", "float32", [1], dynamic=[0])
    outputs = [graph.tensor(f"StatefulPartitionedCall:{i}", dtype, [1], dynamic=[0])
               for i, dtype in enumerate(("float32", "float32", "bool"))]
    graph.op("ADD", [a, b], [outputs[0]], schema.AddOptionsT())
    graph.op("MUL", [a, b], [outputs[1]], schema.MulOptionsT())
    graph.op("GREATER", [a, b], [outputs[2]])
    return graph.finish([a, b], outputs)


@model
def multi_io():
    """Two inputs and three outputs, one of another type and rank: columnar and row requests."""
    def function(a, b):
        return {"sum": a + b, "prod": a * b, "cls": tf.argmax(a + b, axis=-1)}
    return convert_function(function, spec("a", [None, 3]), spec("b", [None, 3]))


@model
def multi_signature():
    """Three signatures over one 64 KiB matrix: the choice of a signature, and that the
    signatures of a model share their weights.

    The matrix is a reflection, its own inverse, so that `decode` undoes `encode`.
    """
    normal = np.random.default_rng(SEED).normal(size=128)
    normal /= np.linalg.norm(normal)
    module = tf.Module()
    module.weights = tf.Variable(
        (np.eye(128) - 2 * np.outer(normal, normal)).astype(np.float32))

    def encode(x):
        return {"code": x @ module.weights}

    def decode(code):
        return {"x": code @ module.weights}

    def encode_with_energy(x):
        code = x @ module.weights
        return {"code": code, "energy": tf.reduce_sum(code * code, axis=-1)}

    module.encode = tf.function(encode, input_signature=[spec("x", [None, 128])])
    module.decode = tf.function(decode, input_signature=[spec("code", [None, 128])])
    module.default = tf.function(encode_with_energy, input_signature=[spec("x", [None, 128])])
    return convert(module, {DEFAULT_SIGNATURE: module.default, "encode": module.encode,
                            "decode": module.decode})


@model
def inference():
    """Classify, Regress and MultiInference on dense inputs: three signatures that can be asked
    for classes, one for numbers, and one for each reason why a signature cannot."""
    names = tf.constant(["age", "width", "height"])

    def three(age, size):
        return tf.concat([age[:, None], size], axis=1)

    def best(age, size):
        return tf.argmax(three(age, size), axis=1)

    def named(age, size):
        columns = tf.cast(0 * three(age, size), tf.int32) + [0, 1, 2]
        return {"classes": tf.gather(names, columns), "scores": three(age, size)}

    functions = {
        DEFAULT_SIGNATURE: lambda age, size: {"scores": three(age, size)},
        "named": named,
        "best": lambda age, size: {"classes": tf.gather(names, best(age, size))[:, None]},
        "sum": lambda age, size: {"outputs": tf.reduce_sum(three(age, size), 1, keepdims=True)},
        # Outputs that are not what they should be:
        "no_names": lambda age, size: {"a": 2 * age, "b": 2 * size},
        "three_outputs": lambda age, size: {**named(age, size), "a": 2 * age},
        "class_numbers": lambda age, size: {"classes": best(age, size)[:, None]},
        "score_numbers": lambda age, size: {"scores": best(age, size)[:, None]},
        "flat_scores": lambda age, size: {"scores": 2 * age},
        "one_class": lambda age, size: {
            "classes": tf.gather(names, best(age, size))[:, None], "scores": three(age, size)},
        "one_row": lambda age, size: {"scores": tf.reduce_sum(three(age, size), 0, keepdims=True)},
        "whole_number": lambda age, size: {"outputs": best(age, size)},
        "two_numbers": lambda age, size: {"outputs": 2 * size},
        "one_number": lambda age, size: {"outputs": tf.reduce_sum(age, keepdims=True)},
    }
    module = tf.Module()
    module.functions = {
        key: tf.function(function, input_signature=[spec("age", [None]), spec("size", [None, 2])])
        for key, function in functions.items()}
    return convert(module, module.functions)


@model
def named_signature():
    """Its one signature is not called `serving_default`."""
    module = tf.Module()
    module.function = tf.function(lambda x: {"y": x + 3.0}, input_signature=[spec("x", [None])])
    return convert(module, {"add_three": module.function})


@model
def shared_output():
    """One tensor under two output names. LiteRT's C API gives both the second name, and of
    two buffers fills only the last."""
    def function(x):
        return {"first": x + 1.0, "second": x + 1.0}
    return convert_function(function, spec("x", [None]))


@model
def passthrough():
    """An output that is the input itself. Given a buffer of its own for it, LiteRT takes that
    one for the input too, and answers from whatever was in it."""
    return convert_function(lambda x: {"same": x, "double": 2.0 * x}, spec("x", [None]))


@model
def constant_output():
    """Outputs that no input reaches, as classifiers have for their labels."""
    def function(x):
        return {"labels": tf.constant(["low", "high"]), "limits": tf.constant([0.0, 1.0]),
                "y": 2.0 * x}
    return convert_function(function, spec("x", [None]))


@model
def unused_input():
    """An input that no operator reads must be asked for, and may have any size."""
    return convert_function(lambda x, ignored: {"y": 2.0 * x}, spec("x", [None]),
                            spec("ignored", [None]))


@model
def scalar():
    """y = 2 x + 1 on rank 0: no first dimension to batch by, no row form in JSON."""
    return convert_function(lambda x: {"y": 2.0 * x + 1.0}, spec("x", []))


@model
def class_labels():
    """A classifier whose classes are named in TFLite metadata, the archive behind the model."""
    data = convert_function(lambda x: {"scores": tf.nn.softmax(x[:, 1:])}, spec("x", [None, 4]))
    return tflite_writer.with_class_labels(data, check_models.CLASS_LABELS)


# --- Element types and strings ------------------------------------------------------------------


def swap_columns(dtype):
    """y is x with its two columns swapped, in one element type: that type's way in and out.

    The one operator that runs for nearly every type is a slice with a step of -1. It tells an
    answer from an echo, and computes nothing that could round.
    """
    graph = tflite_writer.Graph()
    x = graph.tensor("x", dtype, [1, 2], dynamic=[0])
    y = graph.tensor("y", dtype, [1, 2], dynamic=[0])
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = 0b11  # both dimensions from end to end
    limits = graph.constant("limits", np.int32([0, 0]))
    graph.op("STRIDED_SLICE", [x, limits, limits, graph.constant("steps", np.int32([1, -1]))],
             [y], options)
    return graph.finish([x], [y], DEFAULT_SIGNATURE)


for _dtype in check_models.ELEMENT_TYPES:
    MODELS[f"type_{_dtype}"] = {f"type_{_dtype}.tflite": functools.partial(swap_columns, _dtype)}


@model
def string_scalar():
    """One string of rank 0 in and out, under a name that REST answers in base64."""
    graph = tflite_writer.Graph()
    text = graph.tensor("text", "string", [])
    text_bytes = graph.tensor("text_bytes", "string", [])
    graph.op("RESHAPE", [text, graph.constant("shape", np.zeros([0], np.int32))], [text_bytes])
    return graph.finish([text], [text_bytes], DEFAULT_SIGNATURE)


@model
def string_cube():
    """Strings of rank 3, reversed along the last dimension: text and base64 output at once."""
    def function(text):
        backwards = text[:, :, ::-1]
        return {"reversed": backwards, "reversed_bytes": text[:, ::-1, :]}
    return convert_function(function, spec("text", [None, 2, 3], tf.string))


@model
def string_reshape():
    """Strings [n,2,3] to [n,6]. For strings the runtime fixes this shape in the run: what it
    says about the output before is wrong for every n but 1."""
    return convert_function(lambda text: {"rows_bytes": tf.reshape(text, [-1, 6])},
                            spec("text", [None, 2, 3], tf.string))


@model
def string_lookup():
    """Numbers in, strings out: a table of labels."""
    labels = tf.constant(["zero", "one", "two", "drei \u2462", ""])
    return convert_function(lambda index: {"label_bytes": tf.gather(labels, index)},
                            spec("index", [None], tf.int32))


@model
def string_equal():
    """Strings in, booleans out."""
    return convert_function(lambda answer: {"is_yes": tf.equal(answer, "yes")},
                            spec("answer", [None], tf.string))


# --- Batching ---------------------------------------------------------------------------------


@model
def fixed_batch_1():
    """A dense layer exported for a batch of exactly 1, whose graph runs at any batch."""
    generator = np.random.default_rng(SEED)
    weights = generator.normal(size=[4, 3]).astype(np.float32)
    bias = generator.normal(size=[3]).astype(np.float32)
    return convert_function(lambda x: {"y": tf.nn.softmax(x @ weights + bias)},
                            spec("x", [1, 4]))


def sum_pairs(batch):
    """y[:, i] = x[:, i] + x[:, i + 2] by way of a reshape to a constant [batch,2,2]."""
    return convert_function(
        lambda x: {"y": tf.reduce_sum(tf.reshape(x, [batch, 2, 2]), axis=1)},
        spec("x", [batch, 4]))


@model
def baked_batch():
    """A reshape with the batch of 1 baked in: the runtime refuses every other batch."""
    return sum_pairs(1)


@model
def baked_batch_2():
    """A reshape with a batch of 2 baked in: not even one row alone can run."""
    return sum_pairs(2)


@model
def row_mixing():
    """Softmax down the batch: every row's answer depends on the other rows, so that requests
    must never be put together."""
    return convert_function(lambda x: {"y": tf.nn.softmax(x, axis=0)}, spec("x", [None, 4]))


@model
def string_mixing():
    """Rows that change each other's answers, but only where one is the word that the graph knows:
    all others it cannot tell apart."""
    def function(answer):
        is_yes = tf.cast(tf.equal(answer, "yes"), tf.float32)
        return {"above_mean": is_yes - tf.reduce_mean(is_yes)}
    return convert_function(function, spec("answer", [None], tf.string))


@model
def rows_reversed():
    """Every row's answer is another row, whatever is in it."""
    return convert_function(lambda text: {"reversed": text[::-1]}, spec("text", [None], tf.string))


@model
def dim0_mismatch():
    """Two outputs of which one has two rows for each row asked: cannot be split by request."""
    return convert_function(lambda x: {"same": -x, "doubled": tf.concat([x, x], axis=0)},
                            spec("x", [None, 2]))


# --- State, control flow, shapes known late ----------------------------------------------------


def running_total(shape):
    """total = the sum of all x of all calls so far, kept in a variable."""
    module = tf.Module()
    module.total = tf.Variable(0.0, name="total")

    def function(x):
        total = module.total.assign_add(tf.reduce_sum(x))
        return {"total": tf.zeros_like(x) + total}

    def configure(tflite_converter):
        tflite_converter.experimental_enable_resource_variables = True
    return convert_function(function, spec("x", shape), module=module, configure=configure)


@model
def stateful():
    """A resource variable (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE): each call adds its x
    and returns the total. One caller's data reaches the next caller's answer."""
    return running_total([1])


@model
def stateful_batch():
    """The same with an open batch. The variable makes the output's shape unknown until the
    run: LiteRT asks for room for one row and then writes all of them."""
    return running_total([None])


@model
def stateful_tensor():
    """A variable tensor: a recurrent layer that remembers the last call, h = x + h / 2.
    LiteRT's C API refuses the whole file, so a server has to say why."""
    time, units = 3, 2
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1, time, units])
    y = graph.tensor("y", "float32", [1, time, units])
    state = graph.tensor("state", "float32", [1, units], is_variable=True)
    weights = graph.constant("weights", np.eye(units, dtype=np.float32))
    recurrent = graph.constant("recurrent", 0.5 * np.eye(units, dtype=np.float32))
    bias = graph.constant("bias", np.zeros(units, np.float32))
    graph.op("UNIDIRECTIONAL_SEQUENCE_RNN", [x, weights, recurrent, bias, state], [y],
             schema.SequenceRNNOptionsT())
    return graph.finish([x], [y], DEFAULT_SIGNATURE)


@model
def while_loop():
    """A loop of as many steps as the request says: a run as long as a test of timeouts needs."""
    def function(trips):
        _, count = tf.while_loop(lambda i, count: i < trips,
                                 lambda i, count: (i + 1, count + 1.0), [0, 0.0])
        return {"count": count}
    return convert_function(function, spec("trips", [], tf.int32))


@model
def computed_shape():
    """What Keras exports for Flatten: a reshape whose batch the graph computes. The runtime
    learns the new shapes in the run: asked before it, LiteRT tells the output size of the run
    before, and the run writes past a buffer of that size."""
    weights = np.random.default_rng(SEED).normal(size=[4, 2]).astype(np.float32)

    def function(x):
        return {"y": tf.nn.softmax(tf.reshape(x, [tf.shape(x)[0], 4]) @ weights)}
    return convert_function(function, spec("x", [None, 2, 2]))


@model
def dynamic_output():
    """Indices and values of the positive numbers: as many rows as the data says, perhaps none."""
    def function(x):
        return {"index": tf.where(x > 0), "value": tf.boolean_mask(x, x > 0)}
    return convert_function(function, spec("x", [None]))


@model
def dynamic_signatures():
    """Outputs of a size that the data says: one alone, and one under two names beside one whose
    size is known; in a signature of its own each."""
    module = tf.Module()
    module.find = tf.function(lambda x: {"index": tf.where(x > 0)},
                              input_signature=[spec("x", [None, 2])])

    def function(x):
        index = tf.where(x > 0)
        return {"first": index, "second": index, "negated": -x}
    module.both = tf.function(function, input_signature=[spec("x", [None, 2])])
    return convert(module, {"find": module.find, DEFAULT_SIGNATURE: module.both})


@model
def dynamic_unique():
    """The distinct values and where each is: two outputs of one operator, of which one has a
    size that the data says."""
    def function(x):
        values, index = tf.unique(x)
        return {"values": values, "number": index}
    return convert_function(function, spec("x", [None], tf.int64))


@model
def dynamic_strings():
    """Strings picked by a mask: perhaps none."""
    return convert_function(lambda text, keep: {"kept_bytes": tf.boolean_mask(text, keep)},
                            spec("text", [None], tf.string), spec("keep", [None], tf.bool))


# --- What a server has to refuse, with the operator's name ---------------------------------------


def one_operator(*args, **kwargs):
    """y = an operator of x, such as the runtime may not have."""
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1, 4])
    y = graph.tensor("y", "float32", [1, 4])
    graph.op(*args, [x], [y], **kwargs)
    return graph.finish([x], [y], DEFAULT_SIGNATURE)


def library_operators():
    """y = TestScale(TestScale(x, k), k), each with options of its own; see
    src/runtime/test_operators.cc."""
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1, 2], dynamic=[0])
    half = graph.tensor("half", "float32", [1, 2], dynamic=[0])
    y = graph.tensor("y", "float32", [1, 2], dynamic=[0])
    k = graph.constant("k", np.float32([10, 20]))
    graph.op("CUSTOM", [x, k], [half], custom="TestScale", custom_options=b"scale 2.")
    graph.op("CUSTOM", [half, k], [y], custom="TestScale", custom_options=b"scale 3.")
    return graph.finish([x], [y], DEFAULT_SIGNATURE)


MODELS["refused"] = {
    "refused/flex_operator.tflite": lambda: one_operator("CUSTOM", custom="FlexErf"),
    "refused/custom_operator.tflite": lambda: one_operator("CUSTOM", custom="MyOperator"),
    "refused/library_operators.tflite": library_operators,
    "refused/new_version.tflite": lambda: one_operator("ABS", version=99),
    "refused/signature_of_no_graph.tflite": example_models.with_signature_of_no_graph,
}


# --- tf.Examples ---------------------------------------------------------------------------------


MODELS["examples"] = {
    **{f"examples/{name}.tflite": functools.partial(example_models.convert_example_model, name)
       for name in example_models.EXAMPLES},
    **{f"examples/{name}.json": functools.partial(example_models.answers, name)
       for name in example_models.EXAMPLES},
    "examples/legacy_signatures.tflite": lambda: example_models.with_legacy_signatures(True),
    "examples/legacy_signatures_only.tflite": lambda: example_models.with_legacy_signatures(False),
}


# --- Digits, the bundled example ------------------------------------------------------------------


@functools.cache
def trained_digits_network():
    """A convolutional network for 8x8 grey digits that takes the raw 0..16 pixels of a row."""
    tf.keras.utils.set_random_seed(SEED)
    layers, reshape = tf.keras.layers, tf.keras.ops.reshape
    pixels = layers.Input([digits_data.PIXELS])
    # Not Reshape and Flatten: those compute the batch into their shape (see computed_shape).
    x = reshape(pixels / digits_data.MAX_PIXEL, [-1, digits_data.SIDE, digits_data.SIDE, 1])
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(reshape(x, [-1, 3 * 3 * 32]))
    probabilities = layers.Dense(digits_data.CLASSES, activation="softmax")(x)
    network = tf.keras.Model(pixels, probabilities)
    network.compile("adam", "sparse_categorical_crossentropy")
    train_pixels, train_digits, _, _ = digits_data.load()
    network.fit(train_pixels, train_digits, batch_size=32, epochs=60, verbose=0)
    return network


def convert_digits(configure=None):
    return converter.convert_classifier(trained_digits_network(), "pixels", configure)


@functools.cache
def digits():
    """The bundled example: recognises a handwritten digit from 64 pixels of 0..16."""
    return convert_digits()


@functools.cache
def digits_int8():
    """The same network quantised throughout: int8 in and out, with scales and zero points."""
    train_pixels, _, _, _ = digits_data.load()

    def configure(tflite_converter):
        converter.quantise_int8(tflite_converter, "pixels", train_pixels[:200, np.newaxis])
    return convert_digits(configure)


def example_request(data):
    """A predict body for a digits model: the first digit of the test split."""
    _, _, test_pixels, _ = digits_data.load()
    row = digits_data.to_input(data, test_pixels[:1])[0]
    return json.dumps({"instances": [[int(v) for v in row]]}).encode() + b"\n"


MODELS["digits"] = {
    "digits/1/model.tflite": digits,
    "digits/example.json": lambda: example_request(digits()),
}
MODELS["digits_int8"] = {
    "digits_int8/1/model.tflite": digits_int8,
    "digits_int8/example.json": lambda: example_request(digits_int8()),
}


BENCH_MODELS = {
    "half_plus_two": {"half_plus_two.tflite": half_plus_two},
    "mlp_2048": {"mlp_2048.tflite": bench_models.mlp_2048},
    "mobilenet_v2_float": {"mobilenet_v2_float.tflite": bench_models.mobilenet_v2_float},
    "mobilenet_v2_int8": {"mobilenet_v2_int8.tflite": bench_models.mobilenet_v2_int8},
}


def write(models, names, directory):
    """Makes the files of the named models below a directory, and names each with its size."""
    for name in names:
        for path, make in models[name].items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(make())
            print(f"{file.stat().st_size:>10}  {file}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MODELS))
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path(__file__).resolve().parent)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--bench-models", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODELS)
    if unknown:
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")

    if arguments.check:
        return check_models.check(arguments.out, arguments.names)
    if arguments.bench_models:
        write(BENCH_MODELS, BENCH_MODELS, arguments.bench_models)
    else:
        write(MODELS, arguments.names or MODELS, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
