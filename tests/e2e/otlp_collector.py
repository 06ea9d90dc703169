"""A collector of traces (OTLP over HTTP, as protobuf) that keeps the spans it is sent.

    with OtlpCollector() as collector:
        ...  # a server with OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint
        spans = collector.wait_for(3)
        assert attributes(spans[0])["tflite_serving.model"] == "digits"
"""

import collections
import http.server
import threading

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

WAIT_SECONDS = 60  # generous: a sanitizer build on a busy machine


def attributes(holder):
    """The attributes of a span or a resource, as Python values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
            for pair in holder.attributes}


class OtlpCollector:
    """Listens on a loopback port of the system's choice until it is closed. Thread-safe."""

    def __init__(self):
        self._arrived = threading.Condition()
        self._spans = []
        self.resources = []  # one for each request that was accepted
        self.headers = []    # likewise
        self.statuses = collections.deque()  # answers the next requests so, instead of accepting
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector._receive(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _receive(self, path, headers, body):
        """The status that the request is answered with."""
        if path != "/v1/traces":
            return 404
        if headers["Content-Type"] != "application/x-protobuf":
            return 415
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        with self._arrived:
            if self.statuses:
                return self.statuses.popleft()
            for resource_spans in request.resource_spans:
                self.resources.append(attributes(resource_spans.resource))
                self.headers.append(dict(headers))
                for scope_spans in resource_spans.scope_spans:
                    self._spans += scope_spans.spans
            self._arrived.notify_all()
        return 200

    def wait_for(self, count, timeout_s=WAIT_SECONDS):
        """All spans, once there are so many. AssertionError if they do not come."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self._spans) >= count, timeout_s)
            assert came, f"{len(self._spans)} spans after {timeout_s} s, expected {count}"
            return list(self._spans)

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
