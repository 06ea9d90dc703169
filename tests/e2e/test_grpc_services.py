"""What else lives on the gRPC port: reflection, health, and answers to calls that nobody serves."""

import queue
import signal
import socket
import subprocess

from google.protobuf import descriptor_pool
from google.protobuf import json_format
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)
import numpy as np
import pytest
from tensorflow_serving.apis import model_service_pb2
from tensorflow_serving.apis import prediction_service_pb2

from grpc_client import Client, fails_with, predict_request, tensor_content
from server_process import base_path

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
OFFICIAL = {
    PREDICTION: prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
    MODEL: model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
}
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def client(serving, grpc_client):
    return grpc_client(serving("half_plus_two"))


class TestReflection:

    def test_lists_the_services(self, client):
        services = ProtoReflectionDescriptorDatabase(client.channel).get_services()
        assert {PREDICTION, MODEL, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection"} <= set(services)

    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    def test_answers_while_the_client_still_asks(self, client, version):
        """One conversation of several questions, each answered before the next. The messages of
        both versions are the same on the wire."""
        call = client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        questions = queue.Queue()
        answers = call(iter(questions.get, None), timeout=60)
        questions.put(reflection_pb2.ServerReflectionRequest(file_containing_symbol=PREDICTION))
        assert len(next(answers).file_descriptor_response.file_descriptor_proto) > 5
        questions.put(reflection_pb2.ServerReflectionRequest(file_by_filename="none.proto"))
        assert next(answers).error_response.error_message == "File not found."
        questions.put(None)
        assert next(answers, None) is None

    def test_a_predict_by_reflection_alone(self, client):
        """As grpcurl does it: the method's path and the messages come from the server."""
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))
        method = pool.FindServiceByName(PREDICTION).FindMethodByName("Predict")
        request = message_factory.GetMessageClass(method.input_type)()
        json_format.ParseDict({"model_spec": {"name": "half_plus_two"},
                               "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 2}]},
                                                "float_val": [1, 5]}}}, request)
        reply = client.unary(f"/{PREDICTION}/{method.name}", request.SerializeToString())
        response = message_factory.GetMessageClass(method.output_type).FromString(reply)
        assert list(response.outputs["y"].float_val) == [2.5, 4.5]

    @pytest.mark.parametrize("service", [PREDICTION, MODEL])
    def test_methods_are_those_of_the_official_stubs(self, client, service):
        ours = DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))

        def methods(descriptor):
            return {method.name: (method.input_type.full_name, method.output_type.full_name)
                    for method in descriptor.methods}
        assert methods(ours.FindServiceByName(service)) == methods(OFFICIAL[service])

    def test_messages_are_those_of_the_official_stubs(self, client):
        """Field by field: what reflection tells, and so what this server reads and writes, fits
        the messages of PyPI's tensorflow-serving-api. Fields of this server's own count from 1000."""
        ours = DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))
        theirs = descriptor_pool.Default()
        pending = {message.full_name
                   for service in (PREDICTION, MODEL)
                   for method in ours.FindServiceByName(service).methods
                   for message in (method.input_type, method.output_type)}
        seen = set()
        while pending - seen:
            name = (pending - seen).pop()
            seen.add(name)
            message, expected = ours.FindMessageTypeByName(name), theirs.FindMessageTypeByName(name)
            for field in message.fields:
                other = expected.fields_by_name.get(field.name)
                if other is None and field.number >= 1000:
                    continue
                assert other is not None, f"{name} has no field {field.name}"
                assert ((field.number, field.type, field.is_repeated)
                        == (other.number, other.type, other.is_repeated)), f"{name}.{field.name}"
                if field.message_type:
                    assert field.message_type.full_name == other.message_type.full_name
                    pending.add(field.message_type.full_name)
                if field.enum_type:
                    numbers = {value.name: value.number for value in other.enum_type.values}
                    assert numbers.items() >= {value.name: value.number for value
                                               in field.enum_type.values}.items(), field.name
        assert {"tensorflow.TensorProto", "tensorflow.serving.ModelSpec",
                "tensorflow.Example"} <= seen, sorted(seen)


class TestHealth:

    @pytest.mark.parametrize("service", ["", PREDICTION, MODEL])
    def test_check(self, client, service):
        stub = health_pb2_grpc.HealthStub(client.channel)
        request = health_pb2.HealthCheckRequest(service=service)
        assert stub.Check(request, timeout=60).status == SERVING

    def test_check_by_the_short_names_of_the_original(self, client):
        stub = health_pb2_grpc.HealthStub(client.channel)
        for service in ("PredictionService", "ModelService"):
            request = health_pb2.HealthCheckRequest(service=service)
            assert stub.Check(request, timeout=60).status == SERVING, service

    def test_unknown_service(self, client):
        with fails_with(grpc.StatusCode.NOT_FOUND):
            health_pb2_grpc.HealthStub(client.channel).Check(
                health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=60)

    def test_watch_tells_at_once(self, client):
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(
            health_pb2.HealthCheckRequest(service=""), timeout=60)
        assert next(watch).status == SERVING
        watch.cancel()

    def test_watch_of_an_unknown_service(self, client):
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(
            health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()

    def test_watch_tells_that_the_server_stops(self, start_server):
        server = start_server("half_plus_two", base_path("half_plus_two"))
        client = Client(server.grpc_target)
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(
            health_pb2.HealthCheckRequest(service="half_plus_two"), timeout=60)
        assert next(watch).status == SERVING
        server.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with fails_with(grpc.StatusCode.UNAVAILABLE, "closing the connection"):
            next(watch)
        server.ended_on_purpose = True
        assert server.wait() == 0
        client.close()


class TestMessages:

    @pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
    def test_compressed_requests(self, client, compression):
        x = np.zeros(10_000, np.float32)
        request = predict_request("half_plus_two", {"x": tensor_content(x)})
        response = client.predict(request, compression=compression)
        assert len(response.outputs["y"].float_val) == len(x)

    def test_the_largest_message(self, serving, grpc_client):
        """Before and after decompression."""
        client = grpc_client(serving("half_plus_two", "--grpc_max_message_bytes=10000"))
        for size, ok in ((2400, True), (2600, False)):
            request = predict_request("half_plus_two",
                                      {"x": tensor_content(np.zeros(size, np.float32))})
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
                if ok:
                    client.predict(request, compression=compression)
                    continue
                with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED,
                                "Received message larger than max ("):
                    client.predict(request, compression=compression)

    def test_connections_stay_in_use_after_errors(self, client):
        """An error ends one call, not the calls beside it."""
        good = predict_request("half_plus_two", {"x": tensor_content(np.float32([1]))})
        bad = predict_request("nope", {"x": tensor_content(np.float32([1]))})
        futures = [client.prediction.Predict.future(bad if number % 2 else good, timeout=60)
                   for number in range(200)]
        codes = [future.code() for future in futures]
        assert codes == [grpc.StatusCode.NOT_FOUND if number % 2 else grpc.StatusCode.OK
                         for number in range(200)]


class TestNotServed:

    @pytest.mark.parametrize("path", [
        f"/{PREDICTION}/NoSuchMethod", "/no.such.Service/Predict",
        "/tensorflow.serving.SessionService/SessionRun", "/tensorflow.ProfilerService/Profile", "/"])
    def test_unknown_method(self, client, path):
        with fails_with(grpc.StatusCode.UNIMPLEMENTED):
            client.unary(path, b"")


def test_unix_socket(start_server, tmp_path):
    """--grpc_socket_path, beside the port."""
    path = tmp_path / "grpc.sock"
    start_server("half_plus_two", base_path("half_plus_two"), f"--grpc_socket_path={path}")
    client = Client(f"unix:{path}")
    assert client.predict_arrays("half_plus_two", {"x": np.float32([1])})["y"].tolist() == [2.5]
    client.close()


def test_both_address_families(serving):
    server = serving("half_plus_two")
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as connection:
            connection.settimeout(60)
            connection.connect((host, server.grpc_port))


def test_h2load(serving, grpc_client, tmp_path):
    """A second HTTP/2 client: many calls on each of several connections, every one answered."""
    server = serving("half_plus_two")
    request = predict_request("half_plus_two", {"x": tensor_content(np.float32([1, 5]))})
    message = request.SerializeToString()
    body = tmp_path / "message"
    body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    calls = 4000
    output = subprocess.run(
        ["h2load", f"-n{calls}", "-c8", "-m32", f"--data={body}",
         "--header=content-type: application/grpc", "--header=te: trailers",
         f"http://{server.grpc_target}/{PREDICTION}/Predict"],
        capture_output=True, check=True, text=True, timeout=60).stdout
    assert f"{calls} succeeded, 0 failed, 0 errored, 0 timeout" in output
    reply = grpc_client(server).predict(request).SerializeToString()
    assert f"({calls * (5 + len(reply))}) data" in output
