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
from test_equivalence import BATCHES, cases, check_same, over_grpc, over_rest

sys.path.insert(0, str(MODELS))
import converter
from converter import tf
import tflite_writer

CLIENTS = 16
ROUNDS = 50  # far more than any test needs until what it waits for has happened once
RTOL = 1e-5  # kernels sum in another order for other numbers of rows

MAX_ROWS = 256  # as many keep the model below busy for some tenths of a second
ASK = np.float32(1e6)
WIDTH = 4
SIZE = 1 << 18
ONE_THREAD = f"max_batch_size {{ value: {MAX_ROWS} }} num_batch_threads {{ value: 1 }} max_enqueued_batches {{ value: 1000 }} "


@functools.cache
def telling_model(one_row, width):
    """`x` [n, width] → `sum` of each row without what is at least ASK, `rows` of the run for a row with such a number and else 0, `work`, which
    takes time, and `twice` [n, width]. With `one_row` the file says one row where it takes any number."""
    size, layers = 1024, 8
    weights = np.random.default_rng(converter.SEED).normal(size=[size, size]).astype(np.float32) / np.float32(size ** 0.5)

    def function(x):
        total = tf.reduce_sum(tf.where(x >= ASK, 0.0, x), axis=1)
        rows = tf.cast(tf.shape(x)[0], tf.float32)
        work = tf.reshape(total, [-1, 1]) * np.ones([1, size], np.float32)
        for _ in range(layers):
            work = work @ weights
        return {"sum": total, "rows": tf.where(tf.reduce_max(x, axis=1) >= ASK, rows, 0.0), "work": tf.reduce_sum(work, axis=1),
                "twice": x * 2}
    model = tflite_writer.unpack(converter.convert_function(function, converter.spec("x", [None, width])))
    if one_row:
        for tensor in model.subgraphs[0].tensors:
            tensor.shapeSignature = None
    return tflite_writer.pack(model)


def fragile_model():
    """`index` int32 [n] → `y` [n], index * SIZE: a table look-up, which a wrong index ends for all rows of its run. Too slow to be answered inline."""
    table = np.repeat(np.arange(5, dtype=np.float32)[:, None], SIZE, axis=1)
    graph = tflite_writer.Graph()
    index = graph.tensor("index", "int32", [1], dynamic=[0])
    found = graph.tensor("found", "float32", [1, SIZE], dynamic=[0])
    y = graph.tensor("y", "float32", [1], dynamic=[0])
    graph.op("GATHER", [graph.constant("table", table), index], [found], tflite_writer.schema.GatherOptionsT())
    graph.op("SUM", [found, graph.constant("axis", np.int32([1]))], [y], tflite_writer.schema.ReducerOptionsT())
    return graph.finish([index], [y], signature="serving_default")


@pytest.fixture
def telling_server(tmp_path, start_server):
    """telling_server(parameters): a server of that model, called "m", with these BatchingParameters."""
    def start(parameters, one_row=False, width=WIDTH):
        model = tmp_path / "m.tflite"
        model.write_bytes(telling_model(one_row, width))
        return start_server("m", model, *batching(tmp_path, parameters))
    return start


def batching(directory, parameters):
    path = directory / "batching.config"
    path.write_text(parameters)
    return ["--enable_batching", f"--batching_parameters_file={path}"]


def asking(rows, width, value):
    """Rows with the value in all places, but that the first one asks in its first."""
    x = np.full([rows, width], value, np.float32)
    x[0, 0] = ASK
    return x


def sums(rows, value):
    """The answer to those, of the width that is usual."""
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

    def ask(self, rows=1, width=WIDTH, value=1.0):
        return self.send(asking(rows, width, value))

    def ask_over_rest(self, rows, value):
        return self.over_rest(asking(rows, WIDTH, value))

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
def telling():
    """telling(server): a Telling, closed at the test's end."""
    opened = []

    def open_one(server):
        opened.append(Telling(server))
        return opened[-1]
    yield open_one
    for each in opened:
        each.client.close()


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


# --- Answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["digits", "digits_int8", "multi_io", "multi_signature", "half_plus_two_1x1", "fixed_batch_1", "half_plus_two",
                                   "inference", "type_bool", "type_int64", "row_mixing", "stateful", "string_equal"])
def test_everyone_gets_their_own_answer(tmp_path, start_server, model):
    """One interpreter, so that small models, too, find it taken and wait together."""
    server = start_server(model, base_path(model), "--num_tflite_pools=1", *batching(tmp_path, "max_batch_size { value: 16 }"))
    client = Client(server.grpc_target)
    everything = list(cases(model, seeds=range(2)))

    def check_from(position):
        first = position * len(everything) // CLIENTS
        for case in everything[first:] + everything[:first]:
            if position % 2 == 0:
                check_close("gRPC", case, over_grpc(client, server, case, tensor_content))
            else:
                check_close("REST", case, over_rest(server, case, rows=case.has_rows()))

    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        for _ in range(2):
            list(executor.map(check_from, range(CLIENTS)))
    client.close()


@pytest.mark.parametrize("over", ["gRPC", "REST"])
@pytest.mark.parametrize("one_row", [False, True])
def test_batches_are_made(telling_server, telling, one_row, over):
    """Of requests of several sizes; each answer is that of its request."""
    clients = telling(telling_server(ONE_THREAD, one_row))
    ask = clients.ask if over == "gRPC" else clients.ask_over_rest

    def shares(value_and_rows):
        value, rows = value_and_rows
        answer = clients.answer(ask(rows, value=value))
        assert answer["sum"].tolist() == sums(rows, value)
        assert answer["rows"][0] >= rows and not answer["rows"][1:].any()
        return answer["rows"][0] > rows

    def attempt():
        busy = clients.keep_busy()
        with futures.ThreadPoolExecutor(CLIENTS) as executor:
            shared = list(executor.map(shares, enumerate(BATCHES * 5)))
        assert clients.answer(busy)["sum"].tolist() == [WIDTH] * MAX_ROWS
        return any(shared)
    assert happens(attempt)


def test_malformed_requests_fail_alone(tmp_path, start_server, serving, grpc_client):
    """Among good ones, and in the words that they get without batching."""
    server = start_server("digits", base_path("digits"), "--num_tflite_pools=1", *batching(tmp_path, ONE_THREAD))
    bad = [np.zeros([1, 63], np.float32), np.zeros([1, 64], np.int32), np.zeros([1, 64, 1], np.float32), np.float32(0)]
    good = [case for seed in range(9) for case in cases("digits", [seed])]

    def refusal(of_server, x):
        with pytest.raises(grpc.RpcError) as error:
            grpc_client(of_server).predict_arrays("digits", {"pixels": x})
        response = requests.post(of_server.predict_url, data=json.dumps({"instances": [[x.size]]}))
        assert response.status_code == 400, response.text
        return error.value.code(), error.value.details(), response.text

    def check(case):
        check_close("gRPC", case, over_grpc(grpc_client(server), server, case, tensor_content))
        check_close("REST", case, over_rest(server, case, rows=True))

    grpc_client(server)  # before there are several threads
    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        answers = [executor.submit(check, case) for case in good]
        refusals = [executor.submit(refusal, server, x) for x in bad]
        answers += [executor.submit(check, case) for case in good]
        for answer in answers:
            answer.result()
        assert [each.result() for each in refusals] == [refusal(serving("digits"), x) for x in bad]


def test_requests_that_fail_in_the_run_fail_alone(tmp_path, start_server):
    """Well formed, but the model refuses them when it runs, and their batch with them."""
    model = tmp_path / "m.tflite"
    model.write_bytes(fragile_model())

    def send(client, index):
        request = predict_request("m", {"index": tensor_content(np.int32(index))})
        return client.prediction.Predict.future(request, timeout=TIMEOUT_SECONDS)

    unbatched = Client(start_server("m", model).grpc_target)
    failure = send(unbatched, [99])
    assert failure.exception() is not None
    unbatched.close()
    server = start_server("m", model, *batching(tmp_path, ONE_THREAD))
    assert "is not batched" not in server.log, server.log
    client = Client(server.grpc_target)
    for _ in range(5):
        asked = [(index, send(client, [index])) for index in [0, 1, 2, 3, 4, 1, 99, 2, 3, 4] * 10]
        for index, future in asked:
            if index == 99:
                assert (future.code(), future.details()) == (failure.code(), failure.details())
            else:
                assert Telling.answer(future)["y"].tolist() == [index * SIZE]
    client.close()


@pytest.mark.parametrize("one_row, width", [(False, WIDTH), (True, WIDTH), (False, None)])
def test_no_rows(telling_server, telling, tmp_path, start_server, one_row, width):
    """As without batching."""
    batched = telling(telling_server(ONE_THREAD, one_row, width))
    unbatched = telling(start_server("m", tmp_path / "m.tflite"))
    results = []
    for clients in unbatched, batched:
        future = clients.send(np.zeros([0, WIDTH]))
        results.append((future.code(), future.details(), None if future.exception() else clients.answer(future)["sum"].shape))
        assert clients.server.running(), results
        assert clients.rows_of_run() == 1
    assert results[0] == results[1]


# --- Limits --------------------------------------------------------------------------------------


def test_too_many_rows(telling_server, telling):
    clients = telling(telling_server("max_batch_size { value: 8 }"))
    message = "Task size 9 is larger than maximum input batch size 8"
    response = clients.over_rest(np.ones([9, WIDTH]))
    assert (response.status_code, message in response.text) == (400, True), response.text
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, message):
        clients.send(np.ones([9, WIDTH])).result()
    assert clients.rows_of_run(8) == 8


@pytest.mark.parametrize("rows", [3, 4, 8, 9, 20])
def test_large_requests_in_pieces(telling_server, telling, rows):
    """A piece begins wherever its row does; the last is smaller."""
    clients = telling(telling_server(
        "max_batch_size { value: 20 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 3 }"))
    x = np.arange(rows * WIDTH, dtype=np.float32).reshape(rows, WIDTH)
    x[:, 0] = ASK
    for reply in clients.send(x), clients.over_rest(x):
        answer = clients.answer(reply)
        assert answer["sum"].tolist() == x[:, 1:].sum(axis=1).tolist()
        assert answer["rows"].max() <= 3
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Task size 21 is larger than maximum input batch size 20"):
        clients.send(np.ones([21, WIDTH])).result()


def test_pieces_of_many_requests(telling_server, telling):
    clients = telling(telling_server("max_batch_size { value: 100 } enable_large_batch_splitting { value: true } "
                                     "max_execution_batch_size { value: 16 } max_enqueued_batches { value: 1000 }"))
    for _ in range(5):
        asked = [(value, rows, clients.ask(rows, value=value)) for value, rows in enumerate((1, 17, 100, 5, 16, 33) * 4)]
        for value, rows, future in asked:
            assert clients.answer(future)["sum"].tolist() == sums(rows, value)


def test_full_queue(telling_server, telling):
    """Some of a flood are refused, all others answered, and so is who comes after it."""
    clients = telling(telling_server("max_batch_size { value: 1 } num_batch_threads { value: 1 } max_enqueued_batches { value: 1 }"))
    message = ("The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
               "max_enqueued_batches is 1")

    def over_grpc_refused():
        asked = [clients.ask(value=value) for value in range(50)]
        for value, future in enumerate(asked):
            if future.exception() is None:
                assert clients.answer(future)["sum"].tolist() == sums(1, value)
            else:
                assert (future.code(), future.details()) == (grpc.StatusCode.UNAVAILABLE, message)
        return any(future.exception() for future in asked) and not all(future.exception() for future in asked)

    def over_rest_refused():
        with futures.ThreadPoolExecutor(CLIENTS) as executor:
            responses = list(executor.map(lambda _: clients.over_rest(np.ones([1, WIDTH])), range(50)))
        assert all(response.json() == {"error": message} for response in responses if response.status_code == 503)
        return {response.status_code for response in responses} == {200, 503}

    assert happens(over_grpc_refused)
    assert happens(over_rest_refused)
    assert clients.rows_of_run() == 1


# --- What fills a batch up -----------------------------------------------------------------------


def test_allowed_batch_sizes(telling_server, telling):
    """Rows that nobody asked for are in the run, and in no answer."""
    clients = telling(telling_server(ONE_THREAD + f"allowed_batch_sizes: [4, 16, {MAX_ROWS}]"))
    assert [clients.rows_of_run(rows) for rows in (1, 3, 4, 5, 16, 17)] == [4, 4, 4, 16, 16, MAX_ROWS]

    def attempt():
        clients.keep_busy()
        answers = [clients.answer(future) for future in [clients.ask(3, value=2) for _ in range(10)]]
        for answer in answers:
            assert answer["sum"].tolist() == [6, 8, 8]
            assert answer["rows"][0] in (4, 16, MAX_ROWS) and answer["rows"].shape == (3,)
        return any(answer["rows"][0] > 4 for answer in answers)
    assert happens(attempt)


WIDTHS = range(2, 8)  # of one request each


def ask_in_all_widths(clients):
    """[(width, sum, rows of the run)] of requests that come together; unpadded, the sum is the width less one."""
    clients.keep_busy(width=1)
    asked = [(width, clients.ask(width=width)) for width in WIDTHS]
    answers = [(width, clients.answer(future)) for width, future in asked]
    return [(width, answer["sum"].item(), answer["rows"].item()) for width, answer in answers]


def test_other_shapes_share_no_run(telling_server, telling):
    clients = telling(telling_server(ONE_THREAD, width=None))
    for _ in range(10):
        assert ask_in_all_widths(clients) == [(width, width - 1, 1) for width in WIDTHS]


@pytest.mark.parametrize("pad_value", [0, 1.5, -3])
def test_padding(telling_server, telling, pad_value):
    """To the widest of the run, at the end, so that each place more adds the value to a row's sum."""
    clients = telling(telling_server(ONE_THREAD + f"pad_variable_length_inputs: true pad_value: {pad_value}", width=None))

    def attempt():
        answers = ask_in_all_widths(clients)
        for width, total, rows in answers:
            padded = [width - 1 + pad_value * (widest - width) for widest in WIDTHS if widest >= width]
            assert total in (padded if rows > 1 else padded[:1])
        return any(rows > 1 and (pad_value == 0 or total != width - 1) for width, total, rows in answers)
    assert happens(attempt)


# --- Parameters of each version ------------------------------------------------------------------


def write_versions(base, own, versions=(1,)):
    """The last one's directory, which has the parameters."""
    for version in versions:
        directory = base / str(version)
        directory.mkdir(parents=True)
        (directory / "model.tflite").write_bytes(telling_model(False, WIDTH))
    if own:
        (directory / "batching_params.pbtxt").write_text(own)
    return directory


@pytest.mark.parametrize("own, rows", [("max_batch_size { value: 8 } allowed_batch_sizes: 8", 8), (None, 1)], ids=["its_own", "none"])
def test_parameters_beside_the_model(tmp_path, start_server, telling, own, rows):
    """The global file's are not those of a model."""
    write_versions(tmp_path / "m", own)
    server = start_server("m", tmp_path / "m", "--enable_per_model_batching_parameters",
                          *batching(tmp_path, "max_batch_size { value: 2 } allowed_batch_sizes: 2"))
    assert telling(server).rows_of_run() == rows
    assert ("is not batched: it has no batching_params.pbtxt" in server.log) == (own is None), server.log
    if own is None:
        assert telling(server).rows_of_run(9) == 9


@pytest.mark.parametrize("own, error", [("max_batch_size: 8", "Error parsing text-format tensorflow.serving.BatchingParameters: 1:17: "),
                                        ("allowed_batch_sizes: 8", "Last entry in allowed_batch_sizes must match max_batch_size")])
def test_wrong_parameters_beside_the_model(tmp_path, start_server, own, error):
    directory = write_versions(tmp_path / "m", own, versions=(1, 2))
    server = start_server("m", tmp_path / "m", "--enable_per_model_batching_parameters", "--enable_batching", "--max_num_load_retries=0")
    [status] = requests.get(f"{server.model_url}/versions/2").json()["model_version_status"]
    assert status["state"] == "END" and status["status"]["error_code"] == "INVALID_ARGUMENT", status
    assert error in status["status"]["error_message"] and str(directory) in status["status"]["error_message"], status


@pytest.mark.parametrize("model", ["row_mixing", "string_equal", "stateful", "dim0_mismatch", "constant_output"])
def test_models_that_cannot_be_batched(serving, grpc_client, model):
    server = serving(model, "--enable_batching")
    assert f'{{name: {model} version: 1}}: signature "serving_default" is not batched: ' in server.log, server.log
    for case in cases(model):
        check_same("gRPC", case, over_grpc(grpc_client(server), server, case, tensor_content))


# --- Time ----------------------------------------------------------------------------------------


def test_a_lone_request_waits_for_nobody(telling_server, telling):
    """Half the time that it might wait at most is its timeout, before and after requests that came together."""
    clients = telling(telling_server(ONE_THREAD + "batch_timeout_micros { value: 10000000 }"))
    for _ in range(3):
        for _ in range(3):
            for send in clients.send, clients.over_rest:
                assert clients.answer(send(asking(1, WIDTH, 1), timeout=5))["rows"].item() == 1
        for future in [clients.ask(value=value) for value in range(50)]:
            clients.answer(future)


def test_deadlines_in_the_queue(telling_server, telling):
    """Whose time is over, or who has hung up, gets no answer, all others theirs."""
    clients = telling(telling_server(ONE_THREAD))
    busy = [clients.keep_busy() for _ in range(8)]
    late = [clients.send(np.ones([1, WIDTH]), timeout=0.02) for _ in range(10)]
    gone = [clients.ask() for _ in range(10)]
    patient = [clients.ask(value=value) for value in range(10)]
    for future in gone:
        future.cancel()
    assert {future.code() for future in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    for value, future in enumerate(patient):
        assert clients.answer(future)["sum"].tolist() == sums(1, value)
    for future in busy:
        assert clients.answer(future)["sum"].tolist() == [WIDTH] * MAX_ROWS
    assert clients.rows_of_run() == 1


def test_stop_under_load(telling_server, telling):
    """What waits in the queue is answered, or refused, before the server ends, and it ends cleanly."""
    server = telling_server(ONE_THREAD)
    clients = telling(server)
    asked = [clients.keep_busy() for _ in range(4)] + [clients.ask() for _ in range(50)]
    clients.answer(asked[0])
    server.stop()
    for future in asked:
        assert future.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), future.details()
