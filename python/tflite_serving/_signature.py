"""What a servable takes and gives: TensorSpec and Signature, their declaration by annotations, and arrays held against them."""

import dataclasses
import inspect
import typing
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ._errors import InvalidArgument, ServableError

STRING, BFLOAT16 = 7, 14

# TensorFlow's DataType number, the name in its messages, and the NumPy type. NumPy has no bfloat16: its two bytes come as uint16.
_TYPES = [(1, "float", "f4"), (2, "double", "f8"), (3, "int32", "i4"), (4, "uint8", "u1"), (5, "int16", "i2"), (6, "int8", "i1"),
          (STRING, "string", "O"), (8, "complex64", "c8"), (9, "int64", "i8"), (10, "bool", "?"), (BFLOAT16, "bfloat16", "u2"),
          (17, "uint16", "u2"), (18, "complex128", "c16"), (19, "half", "f2"), (22, "uint32", "u4"), (23, "uint64", "u8")]
NUMPY_TYPE = {number: np.dtype(code) for number, _, code in _TYPES}
_NAME = {number: name for number, name, _ in _TYPES}
_NUMBER = {NUMPY_TYPE[number]: number for number in NUMPY_TYPE if number != BFLOAT16}

DEFAULT_SIGNATURE = "serving_default"


def _number_of(dtype: Any) -> int:
    """The DataType number of whatever names an element type; ValueError if it is none."""
    if isinstance(dtype, str) and dtype in ("string", "bfloat16"):
        return STRING if dtype == "string" else BFLOAT16
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is not None and found.kind in "SU":
        return STRING
    if found is None or dtype is None or found.newbyteorder("=") not in _NUMBER:
        raise ValueError(f"{dtype!r} is no element type of tensors: say \"float32\", np.int64, \"string\" …")
    return _NUMBER[found.newbyteorder("=")]


@dataclasses.dataclass(frozen=True, init=False)
class TensorSpec:
    """The element type and the shape of one input or output: TensorSpec("float32", [None, 3]).

    `dtype` is whatever np.dtype takes, "string" (arrays of bytes objects) or "bfloat16" (inputs alone, as uint16). `shape` has None for each
    dimension of any size. Immutable. ValueError for what is none.
    """

    number: int  # of TensorFlow's DataType
    shape: Tuple[Optional[int], ...]

    def __init__(self, dtype: Any, shape: Sequence[Optional[int]]):
        object.__setattr__(self, "number", _number_of(dtype))
        object.__setattr__(self, "shape", tuple(None if size is None or size == -1 else int(size) for size in shape))
        if any(size is not None and size < 0 for size in self.shape):
            raise ValueError(f"{list(shape)} is no shape: sizes are 0 or more, None for any")

    @property
    def dtype(self) -> np.dtype:
        return NUMPY_TYPE[self.number]

    def __str__(self) -> str:
        return _form(_NAME[self.number], self.shape)

    def takes(self, array: np.ndarray) -> bool:
        """Whether an array of that shape and type can be written as this: strings as strings, numbers where NumPy calls it "same_kind"."""
        if array.ndim != len(self.shape) or any(want is not None and want != size for want, size in zip(self.shape, array.shape)):
            return False
        if self.number == STRING:
            return _are_strings(array)
        return array.dtype == self.dtype or array.dtype.kind in "biufc" and np.can_cast(array.dtype, self.dtype, "same_kind")


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one way to call a servable, by name and in order. `method_name` is TensorFlow's, if it is not predict."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""


def _form(name: str, shape: Sequence[Optional[int]]) -> str:
    return f"{name}[{','.join('?' if size is None else str(size) for size in shape)}]"


def form_of(array: np.ndarray) -> str:
    """An array in the form of messages: int64[2,3]."""
    number = 0 if array.dtype == object else _NUMBER.get(array.dtype.newbyteorder("="), 0)
    return _form("string" if _are_strings(array) else _NAME.get(number, str(array.dtype)), array.shape)


def _are_strings(array: np.ndarray) -> bool:
    return array.dtype.kind in "SU" or array.dtype == object and all(isinstance(each, (bytes, str)) for each in array.flat)


def check_inputs(inputs: Mapping[str, Any], signature: Signature) -> Dict[str, np.ndarray]:
    """`inputs` as arrays of the signature's types. InvalidArgument in the server's words for those that it would refuse."""
    if set(inputs) != set(signature.inputs):
        raise InvalidArgument(f"expected inputs {_listed(signature.inputs)}, got {_listed(inputs)}")
    arrays = {name: _array_of(inputs[name], spec) for name, spec in signature.inputs.items()}
    for name, spec in signature.inputs.items():
        if not spec.takes(arrays[name]):
            raise InvalidArgument(f'input "{name}": expected {spec}, got {form_of(arrays[name])}')
    return {name: _with_bytes(array) if signature.inputs[name].number == STRING else array.astype(signature.inputs[name].dtype, copy=False)
            for name, array in arrays.items()}


def common_rows(inputs: Mapping[str, np.ndarray], signature: Signature) -> Optional[int]:
    """The rows that all inputs have; None if they are not alike in that, or the signature has no rows."""
    rows = {len(inputs[name]) for name, spec in signature.inputs.items() if _has_rows(spec)}
    return rows.pop() if len(rows) == 1 else None


def _has_rows(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape[0] is None


def check_outputs(outputs: Any, signature: Signature, rows: Optional[int] = None) -> List[np.ndarray]:
    """The values that user code returned as arrays, in the signature's order: strings as bytes objects, numbers still of their own types.

    `rows`: that each output has to have whose number of rows the signature leaves open; None: any.
    ServableError that names the output and both values for what the signature does not say.
    """
    if not isinstance(outputs, Mapping):
        raise ServableError(f"predict returned {type(outputs).__name__}, expected a dict of arrays by output name")
    if len(outputs) != len(signature.outputs) or outputs.keys() != signature.outputs.keys():
        raise ServableError(f"expected outputs {_listed(signature.outputs)}, got {_listed(outputs)}")
    arrays = []
    for name, spec in signature.outputs.items():
        array = _array_of(outputs[name], spec)
        if not spec.takes(array):
            raise ServableError(f'output "{name}": expected {spec}, got {form_of(array)}')
        if rows is not None and _has_rows(spec) and len(array) != rows:
            raise ServableError(f'output "{name}": expected {rows} row(s), as the inputs have, got {len(array)}')
        arrays.append(_with_bytes(array) if spec.number == STRING else array)
    return arrays


def _array_of(value: Any, spec: TensorSpec) -> np.ndarray:
    # Lists of strings become arrays of objects: NumPy's own strings end at their last byte that is not 0.
    return np.asarray(value, object if spec.number == STRING and isinstance(value, (list, tuple, bytes, str)) else None)


def _with_bytes(strings: np.ndarray) -> np.ndarray:
    """The array with bytes objects as elements."""
    elements = np.empty(strings.shape, object)
    elements.reshape(-1)[:] = [each.encode("utf-8") if isinstance(each, str) else each for each in strings.ravel().tolist()]
    return elements


def _listed(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"


def checked_signatures(declared: Any) -> Dict[str, Signature]:
    """What user code has in `signatures`: {key: Signature}, or one Signature, which is serving_default. ServableError for anything else."""
    signatures = {DEFAULT_SIGNATURE: declared} if isinstance(declared, Signature) else declared
    if not isinstance(signatures, Mapping) or not signatures:
        raise ServableError(f"signatures: expected a dict of Signature by key, got {declared!r}")
    for key, signature in signatures.items():
        if not isinstance(signature, Signature):
            raise ServableError(f'signatures["{key}"]: expected a Signature, got {signature!r}')
        for kind, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            for name, spec in specs.items():
                if not isinstance(spec, TensorSpec):
                    raise ServableError(f'signatures["{key}"].{kind}["{name}"]: expected a TensorSpec, got {spec!r}')
        for name, spec in signature.outputs.items():
            if spec.number == BFLOAT16:
                raise ServableError(f'output "{name}": NumPy has no bfloat16, so a servable cannot answer with it')
    return dict(signatures)


def annotated_signature(predict: Callable[..., Any]) -> Optional[Tuple[Signature, bool]]:
    """The signature that the type annotations of `predict` declare, and whether its inputs are its keywords; None if they declare none.

    One parameter annotated with several specs (a TypedDict whose fields are Annotated[np.ndarray, TensorSpec(…)], or Annotated[dict, {name:
    TensorSpec}]) takes the dict of inputs; parameters that are each Annotated[np.ndarray, TensorSpec(…)] take one input each, by keyword. The
    outputs are the specs of the return annotation.
    """
    try:
        hints = typing.get_type_hints(predict, include_extras=True)
    except (NameError, TypeError):  # names that exist for type checkers alone: no declaration of ours
        return None
    outputs = _specs(hints.pop("return", None))
    hints.pop("signature_name", None)
    whole = [specs for specs in map(_specs, hints.values()) if specs is not None]
    single = {name: spec for name, spec in ((name, _spec(hint)) for name, hint in hints.items()) if spec is not None}
    if outputs is None and not whole and not single:
        return None
    if outputs is None or len(whole) + bool(single) != 1:
        raise ServableError(f"the annotations of {predict.__qualname__} declare {'no outputs' if outputs is None else 'no inputs'}: annotate both "
                            "with TensorSpec, or none")
    missing = [name for name in inspect.signature(predict).parameters if single and name not in single and name != "signature_name"]
    if missing:
        raise ServableError(f"{predict.__qualname__}: the parameter {missing[0]} is not annotated with a TensorSpec, but others are")
    return Signature(whole[0] if whole else single, outputs), bool(single)


def _spec(hint: Any) -> Optional[TensorSpec]:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, TensorSpec)), None)


def _specs(hint: Any) -> Optional[Dict[str, TensorSpec]]:
    """The specs by name in Annotated[…, {name: TensorSpec}], or in a TypedDict all of whose fields are annotated with one."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Mapping) and extra and all(isinstance(spec, TensorSpec) for spec in extra.values()):
            return dict(extra)
    if not hasattr(hint, "__total__"):  # which every TypedDict has
        return None
    specs = [(name, _spec(field)) for name, field in typing.get_type_hints(hint, include_extras=True).items()]
    return {name: spec for name, spec in specs if spec} if specs and all(spec for _, spec in specs) else None
