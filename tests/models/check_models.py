#!/usr/bin/env python3
"""Runs every model file and compares it with NumPy: check_models.py [NAME ...] [--dir DIR].

Each signature runs at a batch of 1 and of 3 on LiteRT's Python interpreter and on its C API
(litert_c_api.py), which have to agree bit for bit and with the reference below. What is known
not to run must still fail in the known way.
"""

import argparse
import pathlib
import sys

from ai_edge_litert.interpreter import Interpreter
import ml_dtypes
import numpy as np

import digits_data
import litert_c_api
import tflite_writer

DEFAULT_SIGNATURE = "serving_default"
NO_SIGNATURE = None
NO_SIGNATURE_IN_C_API = "<placeholder signature>"
BATCHES = (1, 3)
ELEMENT_TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2",
    "complex64", "complex128", "string")
MINIMUM_DIGITS_ACCURACY = 0.97
LABELS = np.array(["zero".encode(), b"one", b"two", "drei \u2462".encode(), b""], np.object_)
CLASS_LABELS = ("cat", "dog", "\u00e9l\u00e9phant")


def softmax(x, axis):
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def sum_pairs(x):
    return {"y": x.reshape(-1, 2, 2).sum(axis=1)}


def collide(**inputs):
    a, b = inputs["serving_default_a:0"], inputs["serving_default_b:0"]
    return {"StatefulPartitionedCall:0": a + b, "StatefulPartitionedCall:1": a * b,
            "StatefulPartitionedCall:2": a > b}


def recurrent(x):
    y, state = np.zeros_like(x), np.zeros_like(x[:, 0])
    for step in range(x.shape[1]):
        y[:, step] = state = x[:, step] + 0.5 * state
    return {"y": y}


def reflection():
    normal = np.random.default_rng(20).normal(size=128)
    normal /= np.linalg.norm(normal)
    return (np.eye(128) - 2 * np.outer(normal, normal)).astype(np.float32)


def energy(x):
    code = x @ reflection()
    return {"code": code, "energy": (code * code).sum(axis=-1)}


def fixed_batch_1(x):
    generator = np.random.default_rng(20)
    weights, bias = generator.normal(size=[4, 3]), generator.normal(size=[3])
    return {"y": softmax(x @ weights + bias, axis=1).astype(np.float32)}


def computed_shape(x):
    weights = np.random.default_rng(20).normal(size=[4, 2]).astype(np.float32)
    return {"y": softmax(x.reshape(-1, 4) @ weights, axis=1)}


def three(age, size):
    return np.concatenate([age[:, None], size], axis=1)


NAMES = np.array([b"age", b"width", b"height"], np.object_)


def best_name(age, size):
    return NAMES[np.argmax(three(age, size), axis=1)][:, None]


def named(age, size):
    return {"classes": np.tile(NAMES, (len(age), 1)), "scores": three(age, size)}


INFERENCE = {
    DEFAULT_SIGNATURE: lambda age, size: {"scores": three(age, size)},
    "named": named,
    "best": lambda age, size: {"classes": best_name(age, size)},
    "sum": lambda age, size: {"outputs": three(age, size).sum(axis=1, keepdims=True)},
    "no_names": lambda age, size: {"a": 2 * age, "b": 2 * size},
    "three_outputs": lambda age, size: {**named(age, size), "a": 2 * age},
    "class_numbers": lambda age, size: {"classes": np.argmax(three(age, size), axis=1)[:, None]},
    "score_numbers": lambda age, size: {"scores": np.argmax(three(age, size), axis=1)[:, None]},
    "flat_scores": lambda age, size: {"scores": 2 * age},
    "one_class": lambda age, size: {"classes": best_name(age, size), "scores": three(age, size)},
    "one_row": lambda age, size: {"scores": three(age, size).sum(axis=0, keepdims=True)},
    "whole_number": lambda age, size: {"outputs": np.argmax(three(age, size), axis=1)},
    "two_numbers": lambda age, size: {"outputs": 2 * size},
    "one_number": lambda age, size: {"outputs": age.sum(keepdims=True)},
}


def unique(x):
    values, first, number = np.unique(x, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they come, where NumPy sorts
    return {"values": values[order], "number": np.argsort(order)[number].astype(np.int32)}


# {model: {signature: function from inputs to outputs}}; the first call of a stateful model.
REFERENCES = {
    "half_plus_two": {DEFAULT_SIGNATURE: lambda x: {"y": 0.5 * x + 2}},
    "half_plus_two_1x1": {NO_SIGNATURE: lambda x: {"y": 0.5 * x + 2}},
    "no_signature_collide": {NO_SIGNATURE: collide},
    "multi_io": {DEFAULT_SIGNATURE: lambda a, b: {
        "sum": a + b, "prod": a * b, "cls": np.argmax(a + b, axis=-1)}},
    "multi_signature": {
        DEFAULT_SIGNATURE: energy,
        "encode": lambda x: {"code": x @ reflection()},
        "decode": lambda code: {"x": code @ reflection()}},
    "inference": INFERENCE,
    "named_signature": {"add_three": lambda x: {"y": x + 3}},
    "shared_output": {DEFAULT_SIGNATURE: lambda x: {"first": x + 1, "second": x + 1}},
    "passthrough": {DEFAULT_SIGNATURE: lambda x: {"same": x, "double": 2 * x}},
    "constant_output": {DEFAULT_SIGNATURE: lambda x: {
        "labels": np.array([b"low", b"high"], np.object_), "limits": np.float32([0, 1]),
        "y": 2 * x}},
    "unused_input": {DEFAULT_SIGNATURE: lambda x, ignored: {"y": 2 * x}},
    "scalar": {DEFAULT_SIGNATURE: lambda x: {"y": 2 * x + 1}},
    "class_labels": {DEFAULT_SIGNATURE: lambda x: {"scores": softmax(x[:, 1:], axis=1)}},
    "string_scalar": {DEFAULT_SIGNATURE: lambda text: {"text_bytes": text}},
    "string_cube": {DEFAULT_SIGNATURE: lambda text: {
        "reversed": text[:, :, ::-1], "reversed_bytes": text[:, ::-1, :]}},
    "string_reshape": {DEFAULT_SIGNATURE: lambda text: {"rows_bytes": text.reshape(-1, 6)}},
    "string_lookup": {DEFAULT_SIGNATURE: lambda index: {"label_bytes": LABELS[index]}},
    "string_equal": {DEFAULT_SIGNATURE: lambda answer: {
        "is_yes": (answer == b"yes").astype(np.bool_)}},
    "fixed_batch_1": {DEFAULT_SIGNATURE: fixed_batch_1},
    "baked_batch": {DEFAULT_SIGNATURE: sum_pairs},
    "baked_batch_2": {DEFAULT_SIGNATURE: sum_pairs},
    "row_mixing": {DEFAULT_SIGNATURE: lambda x: {"y": softmax(x, axis=0)}},
    "string_mixing": {DEFAULT_SIGNATURE: lambda answer: {
        "above_mean": np.float32(answer == b"yes") - np.float32(answer == b"yes").mean()}},
    "rows_reversed": {DEFAULT_SIGNATURE: lambda text: {"reversed": text[::-1]}},
    "dim0_mismatch": {DEFAULT_SIGNATURE: lambda x: {
        "same": -x, "doubled": np.concatenate([x, x])}},
    "stateful": {DEFAULT_SIGNATURE: lambda x: {"total": np.full_like(x, x.sum())}},
    "stateful_batch": {DEFAULT_SIGNATURE: lambda x: {"total": np.full_like(x, x.sum())}},
    "stateful_tensor": {DEFAULT_SIGNATURE: recurrent},
    "while_loop": {DEFAULT_SIGNATURE: lambda trips: {"count": np.float32(trips)}},
    "computed_shape": {DEFAULT_SIGNATURE: computed_shape},
    "dynamic_output": {DEFAULT_SIGNATURE: lambda x: {
        "index": np.argwhere(x > 0), "value": x[x > 0]}},
    "dynamic_signatures": {
        DEFAULT_SIGNATURE: lambda x: {
            "first": np.argwhere(x > 0), "second": np.argwhere(x > 0), "negated": -x},
        "find": lambda x: {"index": np.argwhere(x > 0)}},
    "dynamic_unique": {DEFAULT_SIGNATURE: unique},
    "dynamic_strings": {DEFAULT_SIGNATURE: lambda text, keep: {"kept_bytes": text[keep]}},
    "digits": {DEFAULT_SIGNATURE: None},  # measured by its accuracy
    "digits_int8": {DEFAULT_SIGNATURE: None},
}
for _dtype in ELEMENT_TYPES:
    REFERENCES[f"type_{_dtype}"] = {DEFAULT_SIGNATURE: lambda x: {"y": x[:, ::-1]}}

# A fixed first dimension that the graph lets grow all the same.
RESIZABLE = {"fixed_batch_1", "half_plus_two_1x1"}
# (model, batch): refused by the interpreter and by the C API.
REFUSED = {("baked_batch", 3), ("baked_batch_2", 1), ("baked_batch_2", 3), ("stateful_tensor", 3),
           ("type_complex128", 1), ("type_complex128", 3)}
# (model, batch): how the C API fails where the interpreter runs.
C_API_FAILURES = {
    ("computed_shape", 3): "wrote past the 8 bytes",
    ("dynamic_output", 1): "LiteRtRunCompiledModel: status 3",
    ("dynamic_output", 3): "LiteRtRunCompiledModel: status 3",
    ("dynamic_signatures", 1): "LiteRtRunCompiledModel: status 3",
    ("dynamic_signatures", 3): "LiteRtRunCompiledModel: status 3",
    ("dynamic_unique", 1): "LiteRtRunCompiledModel: status 3",
    ("dynamic_unique", 3): "LiteRtRunCompiledModel: status 3",
    ("stateful_batch", 3): "wrote past the 4 bytes",
    ("stateful_tensor", 1): "LiteRtCreateModelFromBuffer: status 5",  # not supported
}
# The Python interpreter takes the address of a string of rank 0 for the string, and knows no
# NumPy type for these floats.
INTERPRETER_CANNOT = {"string_scalar", "type_float8_e4m3fn", "type_float8_e5m2"}


def sample(name, dtype, shape, generator):
    """Random input values; what a model needs by its meaning is told by the input's name."""
    if name == "index":
        return generator.integers(0, len(LABELS), shape).astype(np.int32)
    if name == "trips":
        return np.array(25, np.int32)
    if dtype == "string":
        words = np.array([b"yes", b"no", b"", "\u00e9t\u00e9".encode(), b"\x00\xff"], np.object_)
        return np.asarray(words[generator.integers(0, len(words), shape)], np.object_)
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if np.issubdtype(dtype, np.complexfloating):
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(dtype)
    return np.asarray(generator.normal(size=shape)).astype(dtype)


def run_interpreter(data, key, inputs):
    """One run on the Python interpreter; by tensor names where there is no signature."""
    interpreter = Interpreter(model_content=data)
    if key is not NO_SIGNATURE:
        return interpreter.get_signature_runner(key)(**inputs)
    for details in interpreter.get_input_details():
        interpreter.resize_tensor_input(details["index"], inputs[details["name"]].shape)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], inputs[details["name"]])
    interpreter.invoke()
    return {details["name"]: interpreter.get_tensor(details["index"])
            for details in interpreter.get_output_details()}


def run_c_api(data, key, inputs):
    with litert_c_api.CompiledModel(data) as compiled:
        return compiled.run(NO_SIGNATURE_IN_C_API if key is NO_SIGNATURE else key, inputs)


def failure(run, *arguments):
    """The message of a run that must fail."""
    try:
        run(*arguments)
    except (RuntimeError, ValueError) as error:
        return str(error)
    raise AssertionError(f"{run.__name__} ran, though it is listed as failing")


def compare(what, got, expected, exact):
    """Same names, types, shapes and values; floats within rounding unless exact."""
    assert sorted(got) == sorted(expected), f"{what}: outputs {sorted(got)}"
    for name, value in expected.items():
        value, result = np.asarray(value), np.asarray(got[name])
        described = f"{what}, {name}: {result.dtype}{list(result.shape)}"
        assert result.dtype == value.dtype, f"{described}, expected {value.dtype}"
        assert result.shape == value.shape, f"{described}, expected {list(value.shape)}"
        same = (np.allclose(result, value, rtol=1e-5, atol=1e-6)
                if not exact and value.dtype == np.float32 else np.array_equal(result, value))
        assert same, f"{described} {result}, expected {value}"


def shapes_at(inputs, batch, resize):
    """{input: shape} at a batch, or None where an input fixes another first dimension."""
    result = {}
    for name, (_, shape) in inputs.items():
        if shape and (shape[0] == -1 or resize):
            shape = [batch, *shape[1:]]
        if shape and shape[0] != batch:
            return None
        result[name] = shape
    return result


def check_batch(name, data, key, inputs, batch):
    generator = np.random.default_rng(batch)
    refused = (name, batch) in REFUSED
    shapes = shapes_at(inputs, batch, refused or name in RESIZABLE)
    if shapes is None:
        return
    values = {i: sample(i, inputs[i][0], shape, generator) for i, shape in shapes.items()}
    what = f"{key}, batch {batch}"
    if refused:
        failure(run_interpreter, data, key, values)
        failure(run_c_api, data, key, values)
        return
    reference = REFERENCES[name][key]
    expected = reference(**values) if reference else run_interpreter(data, key, values)
    if name not in INTERPRETER_CANNOT:
        got = run_interpreter(data, key, values)
        compare(f"interpreter, {what}", got, expected, exact=False)
        expected = got
    known_failure = C_API_FAILURES.get((name, batch))
    if known_failure:
        message = failure(run_c_api, data, key, values)
        assert known_failure in message, f"C API, {what}: {message}"
    else:
        compare(f"C API, {what}", run_c_api(data, key, values), expected, exact=True)


def check_state(data):
    """The second call of one interpreter sees what the first one left behind."""
    runner = Interpreter(model_content=data).get_signature_runner(DEFAULT_SIGNATURE)
    x = np.ones([abs(n) for n in tflite_writer.signatures(data)[DEFAULT_SIGNATURE][0]["x"][1]],
                np.float32)
    first, second = runner(x=x), runner(x=x)
    for output, value in first.items():
        assert not np.array_equal(value, second[output]), f"{output} forgets its state"


def check_model(name, file):
    data = file.read_bytes()
    signatures = tflite_writer.signatures(data)
    assert set(signatures) == set(REFERENCES[name]), f"signatures {list(signatures)}"
    for key, (inputs, outputs) in signatures.items():
        sides = [", ".join(f"{name} {dtype}{shape}" for name, (dtype, shape) in side.items())
                 for side in (inputs, outputs)]
        print(f"{len(data):>7}  {name:<21} {key or '(none)'}: {' -> '.join(sides)}", flush=True)
        own_batches = {shape[0] for _, shape in inputs.values() if shape and shape[0] > 0}
        for batch in sorted(own_batches.union(BATCHES)):
            check_batch(name, data, key, inputs, batch)
    if name.startswith("stateful"):
        check_state(data)
    if name.startswith("digits"):
        share = digits_data.accuracy(data)
        print(f"{'':>7}  {'':<21} recognises {share:.2%} of the test split")
        assert share >= MINIMUM_DIGITS_ACCURACY, f"accuracy {share}"


def check(directory, names=()):
    """Checks the named models below a directory, or all; returns a process exit status."""
    failed = []
    for name in names or REFERENCES:
        bundle = directory / name / "1" / "model.tflite"
        try:
            check_model(name, bundle if bundle.exists() else directory / f"{name}.tflite")
        except (AssertionError, OSError, RuntimeError, ValueError) as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
    print("\n".join(["FAILED", *failed] if failed else ["all as expected"]))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(REFERENCES))
    parser.add_argument("--dir", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(REFERENCES)
    if unknown:
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    return check(arguments.dir, arguments.names)


if __name__ == "__main__":
    sys.exit(main())
