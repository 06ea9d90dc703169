#!/usr/bin/env python3
"""Asks the bundled model over REST and gRPC, and compares both answers with tests/golden/digits.json. Needs Python and curl alone.

usage: tests/image/ask_digits.py REST_ADDRESS GRPC_ADDRESS      prints the answer
"""

import json
import pathlib
import struct
import subprocess
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "digits.json"
DT_FLOAT = 1


def post(url: str, body: bytes, *options: str) -> bytes:
    return subprocess.run(["curl", "-fsS", "--data-binary", "@-", *options, url], input=body, stdout=subprocess.PIPE, check=True).stdout


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message: a number, or bytes after their length."""
    return varint(number << 3) + varint(value) if isinstance(value, int) else varint(number << 3 | 2) + varint(len(value)) + value


def predict_request(pixels: list[float]) -> bytes:
    """A PredictRequest of one row, as a message of gRPC."""
    shape = field(2, field(1, 1)) + field(2, field(1, len(pixels)))
    tensor = field(1, DT_FLOAT) + field(2, shape) + field(4, struct.pack(f"<{len(pixels)}f", *pixels))
    request = field(1, field(1, b"digits")) + field(2, field(1, b"pixels") + field(2, tensor))
    return struct.pack(">BI", 0, len(request)) + request


def main() -> int:
    rest, grpc = sys.argv[1:]
    case = json.loads(GOLDEN.read_text(encoding="utf-8"))[0]
    body, response = case["request"]["body"], case["response"]
    answer = json.loads(post(f"http://{rest}{case['request']['path']}", body.encode()))["predictions"][0]
    expected = response["body_json"]["predictions"][0]
    if len(answer) != len(expected) or any(abs(a - b) > response["tolerance"] for a, b in zip(answer, expected)):
        sys.exit(f"REST answers {answer}, expected {expected}")
    reply = post(f"http://{grpc}/tensorflow.serving.PredictionService/Predict", predict_request(json.loads(body)["instances"][0]),
                 "--http2-prior-knowledge", "-H", "Content-Type: application/grpc", "-H", "TE: trailers")
    if struct.pack(f"<{len(answer)}f", *answer) not in reply:  # as tensor_content and as packed float_val alike
        sys.exit(f"gRPC answers {reply!r}, REST {answer}")
    print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
