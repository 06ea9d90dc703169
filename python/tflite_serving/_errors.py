"""What goes wrong, and what the server is told of it."""

import os
import traceback
from typing import Tuple

# gRPC's canonical status codes, as far as a worker uses them.
INVALID_ARGUMENT, INTERNAL = 3, 13

MAX_MESSAGE_CHARACTERS = 2000
MAX_FRAMES = 3  # of a traceback, its last ones

_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))


class ServableError(Exception):
    """An error whose message says everything: clients read it as it is, without a type or a traceback. `code` is gRPC's."""

    code = INTERNAL


class InvalidArgument(ServableError):
    """The request is at fault: raised by user code, it becomes HTTP 400 and gRPC INVALID_ARGUMENT with this message."""

    code = INVALID_ARGUMENT


def describe(error: BaseException) -> Tuple[int, str]:
    """The status code and the message for an exception: "TypeName: text (file:line)", then the last lines of its traceback."""
    if isinstance(error, ServableError):
        return error.code, _shortened(str(error))
    frames = user_frames(error)
    text, where, lines = _text(error), "", traceback.format_list(frames[-MAX_FRAMES:])
    if isinstance(error, SyntaxError):  # its place is in no frame
        text, where, lines = error.msg, f" ({error.filename}:{error.lineno})", traceback.format_exception_only(type(error), error)[:-1]
    elif frames:
        where = f" ({frames[-1].filename}:{frames[-1].lineno})"
    head = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return INTERNAL, _shortened(f"{_shortened(head, MAX_MESSAGE_CHARACTERS // 2)}{where}\n{''.join(lines)}".rstrip())


def user_frames(error: BaseException) -> traceback.StackSummary:
    """The frames of a traceback without this package's and the import machinery's."""
    return traceback.StackSummary.from_list([
        frame for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and os.path.dirname(frame.filename) != _OWN_FOLDER])


def _text(error: BaseException) -> str:
    """str(error), which is user code and may itself fail."""
    try:
        return str(error)
    except Exception as fault:
        return f"(its text cannot be had: {type(fault).__name__})"


def _shortened(text: str, limit: int = MAX_MESSAGE_CHARACTERS) -> str:
    return text if len(text) <= limit else text[:limit - 1] + "…"
