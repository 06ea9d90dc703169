"""Requests as bytes, for clients that send them in part, slowly, wrongly, or by the thousand."""

import contextlib
import socket
import struct

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
GRPC_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
SERVING = b"\0\0\0\0\2\x08\1"  # the framed answer to a HEALTH_CHECK
MAX_FRAME_BYTES = 16384


def rest_request(target, body=None, *headers):
    """A whole request; without a body it is a GET."""
    lines = [f"{'GET' if body is None else 'POST'} {target} HTTP/1.1", "Host: localhost", *headers]
    if body is not None and not any(line.startswith(("Content-Length", "Transfer")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def frame(kind, flags, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 1]) + payload


def grpc_call(path, message=b""):
    """A whole call of a unary method, as the first of its connection."""
    def text(value):
        return bytes([len(value)]) + value.encode()
    head = (b"\x83\x86\x04" + text(path) + b"\x01" + text("localhost")  # POST, http, :path, :authority
            + b"\x0f\x10" + text("application/grpc") + b"\0" + text("te") + text("trailers"))
    data = b"\0" + len(message).to_bytes(4, "big") + message
    pieces = [data[at:at + MAX_FRAME_BYTES] for at in range(0, len(data), MAX_FRAME_BYTES)]
    return GRPC_PREFACE + frame(HEADERS, END_HEADERS, head) + b"".join(
        frame(DATA, END_STREAM if piece is pieces[-1] else 0, piece) for piece in pieces)


def grpc_reply(connection):
    """The framed message that a call is answered with, read up to the end of its stream."""
    data = b""
    with connection.makefile("rb") as file:
        while head := file.read(9):
            payload = file.read(int.from_bytes(head[:3], "big"))
            if head[3] == DATA:
                data += payload
            if head[3] in (DATA, HEADERS) and head[4] & END_STREAM:
                break
    return data


def close_with_reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_to_end(connection):
    """All that the server sends until it closes; a reset counts as the end."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def exchange(port, request):
    """The server's bytes for a request after which this side sends nothing more."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        with contextlib.suppress(OSError):  # closed already, by what it has read
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None
