"""JSON bodies to arrays and back, as TensorFlow Serving's REST API has them; for servables that are tried, or served, without the server's own codec.

    {"instances": [[1.0, 2.0], [3.0, 4.0]]}       rows; or an object for each row, {"instances": [{"a": 1, "b": "x"}, …]}
    {"inputs": {"a": [1, 2], "b": ["x", "y"]}}      columns; or the value of the only input
"""

import base64
import json
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ._errors import InvalidArgument, ServableError
from ._signature import DEFAULT_SIGNATURE, Signature, TensorSpec, form_of

ONLY_INPUT = "inputs"  # the name of a single input, where no signature names it


def decode(body: bytes, signatures: Optional[Mapping[str, Signature]]) -> Tuple[str, bool, Dict[str, np.ndarray]]:
    """The signature's name, whether the request has rows (so its answer has them too), and the inputs. InvalidArgument for what is wrong.

    Without signatures the element types are what NumPy makes of the values: float64, int64, bool, and bytes objects for strings.
    """
    try:
        request = json.loads(str(body, "utf-8"))
    except (ValueError, RecursionError) as fault:
        raise InvalidArgument(f"the request is not JSON: {fault}") from None
    if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
        raise InvalidArgument('the request is not an object with either "instances" or "inputs"')
    name = request.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str) or signatures is not None and name not in signatures:
        raise InvalidArgument(f'no signature "{name}"' + (f": there are {', '.join(signatures)}" if signatures else ""))
    specs = signatures[name].inputs if signatures is not None else None
    rows = "instances" in request
    columns = _columns_of_rows(request["instances"]) if rows else request["inputs"]
    if not isinstance(columns, dict) or _is_base64(columns):
        if specs is not None and len(specs) != 1:
            raise InvalidArgument(f"values without names, but the inputs are {', '.join(specs)}")
        columns = {next(iter(specs)) if specs else ONLY_INPUT: columns}
    return name, rows, {key: _array(key, value, (specs or {}).get(key)) for key, value in columns.items()}


def _columns_of_rows(rows: Any) -> Any:
    """{name: its value in each row} if the rows are objects, otherwise the rows as they are."""
    if not isinstance(rows, list) or not rows:
        raise InvalidArgument('"instances" is not a list of at least one row')
    if not all(isinstance(row, dict) and not _is_base64(row) for row in rows):
        return rows
    if any(row.keys() != rows[0].keys() for row in rows):
        raise InvalidArgument('the objects in "instances" have different names')
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def _array(name: str, value: Any, spec: Optional[TensorSpec]) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            array = np.array(_with_bytes(value), object)
    except (ValueError, TypeError, RecursionError) as fault:
        raise InvalidArgument(f'input "{name}": {fault}') from None
    if array.dtype == object and not all(isinstance(element, bytes) for element in array.flat):
        raise InvalidArgument(f'input "{name}": its values are not of one type, or its lists not of one length')
    if spec is None or spec.dtype == array.dtype:
        return array
    fits = array.dtype != object and spec.dtype != object
    with np.errstate(all="ignore"):
        typed = array.astype(spec.dtype) if fits else array
    if not fits or spec.dtype.kind in "iub" and array.size and not (array.dtype.kind in "iub" and np.array_equal(typed, array)):
        raise InvalidArgument(f'input "{name}": expected {spec}, got {form_of(array)}')
    return typed


def _with_bytes(value: Any) -> Any:
    """Nested lists with text and {"b64": …} as bytes objects. ValueError or TypeError for bad base64."""
    if isinstance(value, list):
        return [_with_bytes(element) for element in value]
    if isinstance(value, str):
        return value.encode("utf-8")
    return base64.b64decode(value["b64"], validate=True) if _is_base64(value) else value


def encode(outputs: Mapping[str, Any], rows: bool) -> bytes:
    """{"predictions": …} for a request with rows, {"outputs": …} for one with columns. ServableError for outputs that are no rows together."""
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    values = {name: _plain(array.tolist(), name.endswith("_bytes")) for name, array in arrays.items()}
    if not rows:
        return dumps({"outputs": next(iter(values.values())) if len(values) == 1 else values})
    if any(array.ndim == 0 for array in arrays.values()) or len({len(array) for array in arrays.values()}) != 1:
        raise ServableError("outputs without a common number of rows: " + ", ".join(f'"{name}" {form_of(array)}' for name, array in arrays.items()))
    if len(values) == 1:
        return dumps({"predictions": next(iter(values.values()))})
    return dumps({"predictions": [dict(zip(values, row)) for row in zip(*values.values())]})


def _plain(value: Any, as_base64: bool) -> Any:
    """Nested lists with bytes objects as text; as {"b64": …} where they are not UTF-8, or where the output's name asks for it."""
    if isinstance(value, list):
        return [_plain(element, as_base64) for element in value] if value and isinstance(value[0], (list, bytes)) else value
    if not isinstance(value, bytes):
        return value
    if not as_base64:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(value).decode("ascii")}


def dumps(value: Any) -> bytes:
    """JSON, with NumPy's values and arrays and bytes objects in it. ServableError for what has no form in JSON."""
    try:
        return json.dumps(value, default=_jsonable, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as fault:
        raise ServableError(f"the answer cannot be written as JSON: {fault}") from None


def _jsonable(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, bytes):
        return _plain(value, False)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
