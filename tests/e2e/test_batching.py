"""Requests that share runs, as their clients see it: nothing but the time changes.

Whether a batch was made is told by a model of these tests: it answers how many rows its run had to a row that asks.
"""

from concurrent import futures
import functools
import json
import sys

import grpc
import numpy as np
import pytest
import requests

from grpc_client import Client, TIMEOUT_SECONDS, fails_with, predict_request, tensor_content
from server_process import MODELS, base_path
from test_equivalence import BATCHES, cases, check_same, from_json, over_grpc, over_rest, to_json
from test_examples import cases as examples_of, check as check_examples

sys.path.insert(0, str(MODELS))
import converter
from converter import tf
import tflite_writer

CLIENTS = 16
ROUNDS = 50  # far more than any test needs until what it waits for has happened once
RTOL = 1e-5  # kernels sum in another order for other numbers of rows

MAX_ROWS = 256  # as many keep the model below busy for some tenths of a second
ASK = np.float32(1e6)
TEXT_ASK = b"how many?"
TEXTS = np.array([b"", b"a", b"\x00\xff\x00", "\u00e9t\u00e9".encode(), b"long" * 1000], np.object_)
WIDTH = 4
SIZE = 1 << 18
ONE_THREAD = f"max_batch_size {{ value: {MAX_ROWS} }} num_batch_threads {{ value: 1 }} max_enqueued_batches {{ value: 1000 }} "


def long_sums(column, size=1024, layers=8):
    """A number for each of a column, by a multiplication with large matrices: it takes time, and more for more rows."""
    weights = np.random.default_rng(converter.SEED).normal(size=[size, size]).astype(np.float32) / np.float32(size ** 0.5)
    work = tf.reshape(column, [-1, 1]) * np.ones([1, size], np.float32)
    for _ in range(layers):
        work = work @ weights
    return tf.reduce_sum(work, axis=1)


@functools.cache
def telling_model(one_row, width):
    """`x` [n, width] → `sum` of each row without what is at least ASK, `rows` of the run for a row with such a number and else 0, `work`, which
    takes time, and `twice` [n, width]. With `one_row` the file says one row where it takes any number."""
    def function(x):
        total = tf.reduce_sum(tf.where(x >= ASK, 0.0, x), axis=1)
        rows = tf.where(tf.reduce_max(x, axis=1) >= ASK, tf.cast(tf.shape(x)[0], tf.float32), 0.0)
        return {"sum": total, "rows": rows, "work": long_sums(total), "twice": x * 2}
    model = tflite_writer.unpack(converter.convert_function(function, converter.spec("x", [None, width])))
    if one_row:
        for tensor in model.subgraphs[0].tensors:
            tensor.shapeSignature = None
    return tflite_writer.pack(model)


@functools.cache
def telling_strings(width):
    """`text` string [n, width] → `backwards_bytes` [n, width], `rows` of the run for a row that begins with TEXT_ASK and else 0, and `work`."""
    def function(text):
        asks = tf.cast(tf.equal(text[:, 0], TEXT_ASK), tf.float32)
        return {"backwards_bytes": text[:, ::-1], "rows": asks * tf.cast(tf.shape(asks)[0], tf.float32), "work": long_sums(asks + 1)}
    return converter.convert_function(function, converter.spec("text", [None, width], tf.string))


def fragile_model():
    """`index` int32 [n] → `y` [n], index * SIZE: looked up in a table, and a wrong one ends the run of all. Too slow to be answered inline."""
    table = np.repeat(np.arange(5, dtype=np.float32)[:, None], SIZE, axis=1)
    graph = tflite_writer.Graph()
    index = graph.tensor("index", "int32", [1], dynamic=[0])
    found = graph.tensor("found", "float32", [1, SIZE], dynamic=[0])
    y = graph.tensor("y", "float32", [1], dynamic=[0])
    graph.op("GATHER", [graph.constant("table", table), index], [found], tflite_writer.schema.GatherOptionsT())
    graph.op("SUM", [found, graph.constant("axis", np.int32([1]))], [y], tflite_writer.schema.ReducerOptionsT())
    return graph.finish([index], [y], signature="serving_default")


def batching(directory, parameters):
    path = directory / "batching.config"
    path.write_text(parameters)
    # How long things take is the machine's: nothing is refused for it.
    return ["--enable_batching", f"--batching_parameters_file={path}", "--max_queue_wait_ms=0"]


def asking(rows, width, value):
    """Rows with the value in all places, but that the first one asks in its first."""
    x = np.full([rows, width], value, np.float32)
    x[0, 0] = ASK
    return x


def sums(rows, value):
    """The answer to those, of WIDTH."""
    return [value * (WIDTH - 1)] + [value * WIDTH] * (rows - 1)


class Telling:
    """Clients of the telling model."""

    def __init__(self, server):
        self.server = server
        self.client = Client(server.grpc_target)

    def send(self, x, timeout=TIMEOUT_SECONDS):
        request = predict_request("m", {"x": tensor_content(np.asarray(x, np.float32))})
        return self.client.prediction.Predict.future(request, timeout=timeout)

    def keep_busy(self, width=WIDTH):
        """A full batch, which nobody can join: what is sent next waits for its end, if it comes in time."""
        return self.send(np.ones([MAX_ROWS, width]))

    def ask(self, rows=1, width=WIDTH, value=1):
        return self.send(asking(rows, width, value))

    def over_rest(self, x, timeout=TIMEOUT_SECONDS):
        body = json.dumps({"inputs": np.asarray(x, np.float32).tolist()})
        return requests.post(self.server.predict_url, data=body, timeout=timeout)

    @staticmethod
    def answer(reply):
        """{output: array} of a call in flight, or of a REST response."""
        if isinstance(reply, requests.Response):
            assert reply.status_code == 200, reply.text
            return {name: np.array(value) for name, value in reply.json()["outputs"].items()}
        return {name: tf.make_ndarray(tensor) for name, tensor in reply.result().outputs.items()}

    def rows_of_run(self, rows=1):
        """Of a request that comes alone; its answer has its own rows."""
        answer = self.answer(self.ask(rows))
        assert answer["sum"].tolist() == sums(rows, 1)
        return answer["rows"][0]


@pytest.fixture
def telling(tmp_path, start_server):
    """telling(parameters, *flags): clients of a server of their own, with these BatchingParameters, or not batched."""
    opened = []

    def start(parameters, *flags, one_row=False, width=WIDTH, model=None):
        if model is None:
            model = tmp_path / "m.tflite"
            model.write_bytes(telling_model(one_row, width))
        flags = [*flags, *(batching(tmp_path, parameters) if parameters else [])]
        opened.append(Telling(start_server("m", model, *flags)))
        return opened[-1]
    yield start
    for clients in opened:
        clients.client.close()


def happens(attempt):
    """Whether it comes true in one of many attempts: for what depends on who comes when."""
    return any(attempt() for _ in range(ROUNDS))


def check_close(how, case, got):
    """Floats may differ by RTOL of the largest in the answer, all else not at all."""
    for name, expected in case.answers.items():
        array = got[name]
        if expected.dtype.kind == "f" and array.shape == expected.shape and array.dtype == expected.dtype:
            np.testing.assert_allclose(array, expected, RTOL, RTOL * np.abs(expected).max(), err_msg=f"{case.description}, {how}, {name}")
            got = {**got, name: expected}
    check_same(how, case, got)


@pytest.mark.parametrize("model", ["digits", "digits_int8", "multi_io", "multi_signature", "half_plus_two_1x1", "fixed_batch_1", "half_plus_two",
                                   "inference", "type_bool", "type_int64", "string_equal", "string_cube", "string_lookup", "string_reshape",
                                   "type_string"])
def test_everyone_gets_their_own_answer(tmp_path, start_server, grpc_client, model):
    """One interpreter, so that small models, too, find it taken and wait together."""
    server = start_server(model, base_path(model), "--num_tflite_pools=1", *batching(tmp_path, "max_batch_size { value: 16 }"))
    assert 'signature "serving_default" is not batched' not in server.log, server.log
    client = grpc_client(server)
    everything = list(cases(model, seeds=range(2)))

    def check_from(position):
        first = position * len(everything) // CLIENTS
        for case in (everything[first:] + everything[:first]) * 2:
            if position % 2 == 0:
                check_close("gRPC", case, over_grpc(client, server, case, tensor_content))
            else:
                check_close("REST", case, over_rest(server, case, rows=case.has_rows()))

    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        list(executor.map(check_from, range(CLIENTS)))


@pytest.mark.parametrize("over", ["gRPC", "REST"])
@pytest.mark.parametrize("one_row", [False, True])
def test_batches_are_made(telling, one_row, over):
    """Of requests of several sizes; each answer is that of its request."""
    clients = telling(ONE_THREAD, one_row=one_row)
    send = clients.send if over == "gRPC" else clients.over_rest

    def shares(value_and_rows):
        value, rows = value_and_rows
        answer = clients.answer(send(asking(rows, WIDTH, value)))
        assert answer["sum"].tolist() == sums(rows, value)
        return answer["rows"][0] > rows

    def attempt():
        busy = clients.keep_busy()
        with futures.ThreadPoolExecutor(CLIENTS) as executor:
            shared = list(executor.map(shares, enumerate(BATCHES * 5)))
        assert clients.answer(busy)["sum"].tolist() == [WIDTH] * MAX_ROWS
        return any(shared)
    assert happens(attempt)


class TellingStrings:
    """Clients of the model of strings; each request's first string asks, the others are of TEXTS."""

    def __init__(self, server):
        self.server = server
        self.client = Client(server.grpc_target)

    @staticmethod
    def texts(seed, rows, width):
        texts = TEXTS[np.random.default_rng(seed).integers(len(TEXTS), size=[rows, width])]
        texts[0, 0] = TEXT_ASK
        return texts

    def keep_busy(self, width=2):
        return self.send(np.full([MAX_ROWS, width], b"busy", np.object_))

    def send(self, texts):
        request = predict_request("m", {"text": tensor_content(texts)})
        return self.client.prediction.Predict.future(request, timeout=TIMEOUT_SECONDS)

    def over_rest(self, texts):
        return requests.post(self.server.predict_url, json={"inputs": to_json(texts)}, timeout=TIMEOUT_SECONDS)

    @staticmethod
    def answer(reply):
        """backwards_bytes, and rows of the first row."""
        if isinstance(reply, requests.Response):
            assert reply.status_code == 200, reply.text
            outputs = reply.json()["outputs"]
            return from_json(outputs["backwards_bytes"], np.array([b""], np.object_)), outputs["rows"][0]
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in reply.result().outputs.items()}
        return outputs["backwards_bytes"], outputs["rows"][0]

    def rows_of_run(self, texts, send):
        """Of a request whose answer has its own rows."""
        backwards, rows = self.answer(send(texts))
        assert backwards.tolist() == texts[:, ::-1].tolist()
        return rows


@pytest.fixture
def telling_texts(tmp_path, start_server):
    """telling_texts(parameters): clients of a server of their own, with these BatchingParameters."""
    opened = []

    def start(parameters, width=2):
        model = tmp_path / "m.tflite"
        model.write_bytes(telling_strings(width))
        opened.append(TellingStrings(start_server("m", model, *batching(tmp_path, parameters))))
        assert "is not batched" not in opened[-1].server.log, opened[-1].server.log
        return opened[-1]
    yield start
    for clients in opened:
        clients.client.close()


@pytest.mark.parametrize("over", ["gRPC", "REST"])
def test_batches_of_strings_are_made(telling_texts, over):
    clients = telling_texts(ONE_THREAD)
    send = clients.send if over == "gRPC" else clients.over_rest

    def shares(seed_and_rows):
        seed, rows = seed_and_rows
        return clients.rows_of_run(clients.texts(seed, rows, 2), send) > rows

    def attempt():
        busy = clients.keep_busy()
        with futures.ThreadPoolExecutor(CLIENTS) as executor:
            shared = list(executor.map(shares, enumerate(BATCHES * 5)))
        assert clients.answer(busy)[0].tolist() == [[b"busy"] * 2] * MAX_ROWS
        return any(shared)
    assert happens(attempt)


def test_filler_rows_of_strings(telling_texts):
    clients = telling_texts(ONE_THREAD + f"allowed_batch_sizes: [4, {MAX_ROWS}]")
    for send in clients.send, clients.over_rest:
        assert [clients.rows_of_run(clients.texts(1, rows, 2), send) for rows in (1, 3, 4, 5)] == [4, 4, 4, MAX_ROWS]


def test_large_requests_of_strings_in_pieces(telling_texts):
    clients = telling_texts("max_batch_size { value: 20 } max_enqueued_batches { value: 1000 } enable_large_batch_splitting { value: true } "
                            "max_execution_batch_size { value: 3 }")
    for send in clients.send, clients.over_rest:
        assert all(clients.rows_of_run(clients.texts(rows, rows, 2), send) <= 3 for rows in (3, 4, 8, 9, 20))


@pytest.mark.parametrize("pads", [False, True])
def test_padding_of_strings(telling_texts, pads):
    """With empty strings at the end, which this model answers first."""
    clients = telling_texts(ONE_THREAD + f"pad_variable_length_inputs: {str(pads).lower()}", width=None)

    def attempt():
        busy = clients.keep_busy(width=1)
        asked = [(texts, clients.send(texts)) for texts in (clients.texts(width, 2, width) for width in range(2, 8))]
        padded = False
        for texts, future in asked:
            backwards, _ = clients.answer(future)
            more = backwards.shape[1] - texts.shape[1]
            assert backwards[:, more:].tolist() == texts[:, ::-1].tolist() and set(backwards[:, :more].ravel()) <= {b""}
            padded = padded or more > 0
        clients.answer(busy)
        return padded
    assert happens(attempt) == pads


@pytest.mark.parametrize("name", ["dense", "classifier", "regressor"])
def test_examples(tmp_path, start_server, grpc_client, name):
    """Those that cannot be parsed fail alone, and are told what they are told without batching."""
    server = start_server(name, MODELS / "examples" / f"{name}.tflite", "--num_tflite_pools=1", *batching(tmp_path, ONE_THREAD))
    assert "is not batched" not in server.log, server.log
    client = grpc_client(server)
    good = list(examples_of(name))

    def ask(examples):
        return client.predict_arrays(name, {"inputs": np.array(examples, np.object_)})

    def check_one(position):
        if position % 4 == 0:
            with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Could not parse example input"):
                ask([b"?"])
        examples, expected = good[position % len(good)]
        check_examples(ask(examples), expected)

    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        list(executor.map(check_one, range(20 * CLIENTS)))


def test_malformed_requests_fail_alone(tmp_path, start_server, serving, grpc_client):
    """Among good ones, and in the words that they get without batching."""
    server = start_server("digits", base_path("digits"), "--num_tflite_pools=1", *batching(tmp_path, ONE_THREAD))
    bad = [np.zeros([1, 63], np.float32), np.zeros([1, 64], np.int32), np.zeros([1, 64, 1], np.float32), np.float32(0)]
    good = [case for seed in range(9) for case in cases("digits", [seed])]

    def refusal(of_server, x):
        with pytest.raises(grpc.RpcError) as error:
            grpc_client(of_server).predict_arrays("digits", {"pixels": x})
        response = requests.post(of_server.predict_url, data=json.dumps({"instances": [[x.size]]}))
        return error.value.code(), error.value.details(), response.status_code, response.text

    def check(case):
        check_close("gRPC", case, over_grpc(grpc_client(server), server, case, tensor_content))
        check_close("REST", case, over_rest(server, case, rows=True))

    grpc_client(server)  # made once, before there are several threads
    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        checks = executor.map(check, good)
        refusals = executor.map(refusal, [server] * len(bad), bad)
        list(executor.map(check, good))
        list(checks)
        assert list(refusals) == [refusal(serving("digits"), x) for x in bad]


def test_requests_that_fail_in_the_run_fail_alone(tmp_path, telling):
    """Well formed, but the model refuses them when it runs, and their batch with them."""
    def send(client, index):
        request = predict_request("m", {"index": tensor_content(np.int32([index]))})
        return client.prediction.Predict.future(request, timeout=TIMEOUT_SECONDS)

    model = tmp_path / "m.tflite"
    model.write_bytes(fragile_model())
    failure = send(telling(None, model=model).client, 99)
    clients = telling(ONE_THREAD, model=model)
    assert "is not batched" not in clients.server.log, clients.server.log
    for _ in range(5):
        asked = [(index, send(clients.client, index)) for index in [0, 1, 2, 3, 4, 1, 99, 2, 3, 4] * 10]
        for index, future in asked:
            if index == 99:
                assert (future.code(), future.details()) == (failure.code(), failure.details())
            else:
                assert clients.answer(future)["y"].tolist() == [index * SIZE]


@pytest.mark.parametrize("one_row, width", [(False, WIDTH), (True, WIDTH), (False, None)])
def test_no_rows(telling, one_row, width):
    """As without batching."""
    results = []
    for parameters in None, ONE_THREAD:
        clients = telling(parameters, one_row=one_row, width=width)
        reply = clients.send(np.zeros([0, WIDTH]))
        results.append((reply.code(), reply.details(), None if reply.exception() else clients.answer(reply)["sum"].shape))
        assert clients.rows_of_run() == 1
    assert results[0] == results[1]


def test_too_many_rows(telling):
    clients = telling("max_batch_size { value: 8 }")
    message = "Task size 9 is larger than maximum input batch size 8"
    response = clients.over_rest(np.ones([9, WIDTH]))
    assert (response.status_code, response.json()) == (400, {"error": message})
    future = clients.send(np.ones([9, WIDTH]))
    assert (future.code(), future.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)
    assert clients.rows_of_run(8) == 8


def test_large_requests_in_pieces(telling):
    """A piece begins wherever its row does; the last is smaller, and may share its run."""
    clients = telling("max_batch_size { value: 20 } max_enqueued_batches { value: 1000 } enable_large_batch_splitting { value: true } "
                      "max_execution_batch_size { value: 3 }")
    sizes = list(enumerate([3, 4, 8, 9, 20] * 4))
    replies = [clients.ask(rows, value=value) for value, rows in sizes] + [clients.over_rest(asking(rows, WIDTH, value)) for value, rows in sizes]
    for (value, rows), reply in zip(sizes * 2, replies):
        answer = clients.answer(reply)
        assert answer["sum"].tolist() == sums(rows, value) and answer["rows"][0] <= 3


def test_full_queue(telling):
    """Some of a flood are refused, all others answered, and so is who comes after it."""
    clients = telling("max_batch_size { value: 1 } num_batch_threads { value: 1 } max_enqueued_batches { value: 1 }")
    message = "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and max_enqueued_batches is 1"

    def some_are_refused():
        asked = [clients.ask(value=value) for value in range(50)]
        for value, future in enumerate(asked):
            if future.exception() is None:
                assert clients.answer(future)["sum"].tolist() == sums(1, value)
            else:
                assert (future.code(), future.details()) == (grpc.StatusCode.UNAVAILABLE, message)
        return {future.exception() is None for future in asked} == {True, False}

    def some_are_refused_over_rest():
        with futures.ThreadPoolExecutor(CLIENTS) as executor:
            replies = list(executor.map(clients.over_rest, [np.ones([1, WIDTH])] * 50))
        assert all(reply.json() == {"error": message} for reply in replies if reply.status_code == 503)
        return {reply.status_code for reply in replies} == {200, 503}

    assert happens(some_are_refused)
    assert happens(some_are_refused_over_rest)
    assert clients.rows_of_run() == 1


def test_allowed_batch_sizes(telling):
    """Rows that nobody asked for are in the run, and in no answer."""
    clients = telling(ONE_THREAD + f"allowed_batch_sizes: [4, 16, {MAX_ROWS}]")
    assert [clients.rows_of_run(rows) for rows in (1, 3, 4, 5, 16, 17)] == [4, 4, 4, 16, 16, MAX_ROWS]

    def attempt():
        clients.keep_busy()
        answers = [clients.answer(future) for future in [clients.ask(3, value=2) for _ in range(10)]]
        assert all(answer["sum"].tolist() == sums(3, 2) and answer["rows"][0] in (4, 16, MAX_ROWS) for answer in answers)
        return any(answer["rows"][0] > 4 for answer in answers)
    assert happens(attempt)


def test_interpreters_are_sized_at_load(tmp_path, telling):
    """Each has run the largest allowed size before a request comes: two interpreters more are two runs more at the start."""
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")

    def runs_at_start(interpreters):
        # A single size, since that is measured whatever it takes.
        clients = telling("max_batch_size { value: 8 } allowed_batch_sizes: 8", f"--num_tflite_pools={interpreters}",
                          f"--monitoring_config_file={monitoring}")
        return clients.server.metrics("/monitoring/prometheus/metrics")[":tensorflow:core:graph_runs{}"]
    assert runs_at_start(3) - runs_at_start(1) == 2


@pytest.mark.parametrize("pad_value", [None, 0, 1.5, -3])
def test_padding(telling, pad_value):
    """To the widest of the run, at the end, so that each place more adds the value to a row's sum. Without it, other shapes share no run."""
    padding = "" if pad_value is None else f"pad_variable_length_inputs: true pad_value: {pad_value}"
    clients = telling(ONE_THREAD + padding, width=None)

    def attempt():
        clients.keep_busy(width=1)
        asked = [(width, clients.ask(width=width)) for width in range(2, 8)]
        padded = False
        for width, future in asked:
            answer = clients.answer(future)
            rows, total = answer["rows"].item(), answer["sum"].item()
            places = [0] if rows == 1 else range(8 - width)
            assert total in [width - 1 + (pad_value or 0) * more for more in places]
            padded = padded or rows > 1 and (not pad_value or total != width - 1)
        return padded
    assert happens(attempt) == (pad_value is not None)


def write_version(directory, own):
    directory.mkdir(parents=True)
    (directory / "model.tflite").write_bytes(telling_model(False, WIDTH))
    if own:
        (directory / "batching_params.pbtxt").write_text(own)


@pytest.mark.parametrize("own, rows", [("max_batch_size { value: 8 } allowed_batch_sizes: 8", 8), (None, 1)])
def test_parameters_beside_the_model(tmp_path, telling, own, rows):
    """The global file's are not those of a model."""
    write_version(tmp_path / "m" / "1", own)
    clients = telling("max_batch_size { value: 2 } allowed_batch_sizes: 2", "--enable_per_model_batching_parameters", model=tmp_path / "m")
    assert clients.rows_of_run() == rows
    assert ("is not batched: it has no batching_params.pbtxt" in clients.server.log) == (own is None), clients.server.log


def test_wrong_parameters_beside_the_model(tmp_path, start_server):
    write_version(tmp_path / "m" / "1", "max_batch_size: 8")
    server = start_server("m", tmp_path / "m", "--enable_per_model_batching_parameters", "--enable_batching", "--max_num_load_retries=0")
    [version] = requests.get(f"{server.model_url}").json()["model_version_status"]
    assert (version["state"], version["status"]["error_code"]) == ("END", "INVALID_ARGUMENT"), version
    assert (f"'{tmp_path}/m/1/batching_params.pbtxt': Error parsing text-format tensorflow.serving.BatchingParameters: 1:17: "
            in version["status"]["error_message"]), version


@pytest.mark.parametrize("model", ["row_mixing", "string_mixing", "rows_reversed", "string_scalar", "dynamic_strings", "stateful", "dim0_mismatch",
                                   "constant_output"])
def test_models_that_cannot_be_batched(serving, grpc_client, model):
    server = serving(model, "--enable_batching")
    assert f'{{name: {model} version: 1}}: signature "serving_default" is not batched: ' in server.log, server.log
    for case in cases(model):
        check_same("gRPC", case, over_grpc(grpc_client(server), server, case, tensor_content))


def test_a_lone_request_waits_for_nobody(telling):
    """Half the time that it might wait at most is its timeout, before and after requests that came together."""
    clients = telling(ONE_THREAD + "batch_timeout_micros { value: 10000000 }")
    for _ in range(3):
        for send in [clients.send, clients.over_rest] * 3:
            assert clients.answer(send(asking(1, WIDTH, 1), timeout=5))["rows"].item() == 1
        for future in [clients.ask(value=value) for value in range(50)]:
            clients.answer(future)


def test_deadlines_in_the_queue(telling):
    """Whose time is over, or who has hung up, gets no answer, all others theirs."""
    clients = telling(ONE_THREAD)
    assert clients.rows_of_run() == 1  # connected: from here on calls arrive as they are made
    busy = [clients.keep_busy() for _ in range(8)]
    late = [clients.send(np.ones([1, WIDTH]), timeout=0.02) for _ in range(10)]
    gone = [clients.ask() for _ in range(10)]
    patient = [clients.ask(value=value) for value in range(10)]
    for future in gone:
        future.cancel()
    assert {future.code() for future in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert [clients.answer(future)["sum"].item() for future in patient] == [value * (WIDTH - 1) for value in range(10)]
    assert all(clients.answer(future)["sum"].tolist() == [WIDTH] * MAX_ROWS for future in busy)
    assert clients.rows_of_run() == 1


def test_stop_under_load(telling):
    """What waits in the queue is answered, or refused, before the server ends, and it ends cleanly."""
    clients = telling(ONE_THREAD)
    asked = [clients.keep_busy() for _ in range(4)] + [clients.ask() for _ in range(50)]
    clients.answer(asked[0])
    clients.server.stop()
    for future in asked:
        assert future.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), future.details()
