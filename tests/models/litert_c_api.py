"""Runs a .tflite through LiteRT's C API, with the calls that a C++ server makes.

The Python classes of `ai_edge_litert` wrap the same runtime but know fewer element types;
this goes to `libLiteRt.so` itself, so what runs here runs behind any program linked to it.

    with CompiledModel(data) as model:
        outputs = model.run("serving_default", {"x": np.zeros([3, 2], np.float32)})
"""

import ctypes
import os

import ai_edge_litert
import ml_dtypes
import numpy as np

MAX_RANK = 8
ALIGNMENT = 64  # below this the runtime copies instead of using the memory in place
CPU = 1
INT_OPTION = 2
MIN_LOG_SEVERITY_TAG = 25
ACCELERATORS_TAG = 24
STRING = 5
# A string output's size is unknown before the run: LiteRT asks for 0 bytes.
STRING_OUTPUT_BYTES = 1 << 16

DTYPES = {
    1: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, STRING: np.object_, 6: np.bool_,
    7: np.int16, 8: np.complex64, 9: np.int8, 10: np.float16, 11: np.float64, 12: np.complex128,
    13: np.uint64, 16: np.uint32, 17: np.uint16, 19: ml_dtypes.bfloat16,
}


class LiteRtError(RuntimeError):
    """A call that did not return kLiteRtStatusOk."""


class Layout(ctypes.Structure):
    """LiteRtLayout: rank in the low 7 bits of the first word, has_strides in the eighth."""
    _fields_ = [("bits", ctypes.c_uint), ("dimensions", ctypes.c_int32 * MAX_RANK),
                ("strides", ctypes.c_uint32 * MAX_RANK)]

    @classmethod
    def of(cls, shape):
        return cls(len(shape), (ctypes.c_int32 * MAX_RANK)(*shape))

    def shape(self):
        return list(self.dimensions[:self.bits & 0x7F])


class RankedTensorType(ctypes.Structure):
    _fields_ = [("element_type", ctypes.c_int), ("layout", Layout)]


class EnvironmentOption(ctypes.Structure):
    """LiteRtEnvOption with an integer value."""
    _fields_ = [("tag", ctypes.c_int), ("kind", ctypes.c_int64), ("value", ctypes.c_int64)]


_library = ctypes.CDLL(os.path.join(os.path.dirname(ai_edge_litert.__file__), "libLiteRt.so"))


def _call(name, *arguments):
    status = getattr(_library, name)(*arguments)
    if status != 0:
        raise LiteRtError(f"{name}: status {status}")


def _get(name, result_type, *arguments):
    """Calls a function whose last parameter is an out pointer and returns what it wrote."""
    result = result_type()
    _call(name, *arguments, ctypes.byref(result))
    return result


def _text(name, *arguments):
    return _get(name, ctypes.c_char_p, *arguments).value.decode()


def _handle(name, *arguments):
    return _get(name, ctypes.c_void_p, *arguments)


def _aligned(size_bytes):
    raw = np.zeros(max(size_bytes, 1) + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start:start + size_bytes] if size_bytes else raw[start:start + 1]


def pack_strings(strings):
    """int32 count, count + 1 int32 offsets from the buffer's start, then the bytes."""
    offsets = np.cumsum([4 * (len(strings) + 2)] + [len(s) for s in strings])
    return np.array([len(strings), *offsets], np.int32).tobytes() + b"".join(strings)


def unpack_strings(data):
    """The strings of a buffer that `pack_strings`, or a model, wrote."""
    count = int(np.frombuffer(data, np.int32, 1)[0])
    offsets = np.frombuffer(data, np.int32, count + 1, 4)
    return [bytes(data[offsets[i]:offsets[i + 1]]) for i in range(count)]


class CompiledModel:
    """A model compiled for the CPU, with an environment of its own. For one thread."""

    def __init__(self, data):
        self._data = ctypes.create_string_buffer(data, len(data))  # must outlive the model
        quiet = (EnvironmentOption * 2)(
            EnvironmentOption(MIN_LOG_SEVERITY_TAG, INT_OPTION, 3),
            EnvironmentOption(ACCELERATORS_TAG, INT_OPTION, CPU))
        self._model = self._options = self._compiled = None
        self._environment = _handle("LiteRtCreateEnvironment", 2, quiet)
        self._model = _handle("LiteRtCreateModelFromBuffer", self._environment, self._data,
                              ctypes.c_size_t(len(data)))
        self._options = _handle("LiteRtCreateOptions")
        _call("LiteRtSetOptionsHardwareAccelerators", self._options, CPU)
        self._compiled = _handle("LiteRtCreateCompiledModel", self._environment, self._model,
                                 self._options)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for kind in ("CompiledModel", "Options", "Model", "Environment"):
            handle = getattr(self, "_" + kind.removesuffix("Model").lower()
                             if kind == "CompiledModel" else "_" + kind.lower())
            if handle is not None:
                getattr(_library, "LiteRtDestroy" + kind)(handle)

    def signatures(self):
        """{key: (inputs, outputs)}, each {name: (tensor name, dtype, shape)}; unranked: None."""
        count = _get("LiteRtGetNumModelSignatures", ctypes.c_size_t, self._model).value
        result = {}
        for i in range(count):
            signature = self._signature(i)
            result[_text("LiteRtGetSignatureKey", signature)] = (
                self._tensors(signature, "Input"), self._tensors(signature, "Output"))
        return result

    def run(self, key, inputs):
        """Resizes every input to the given arrays' shapes, runs, and returns {name: array}."""
        index = list(self.signatures()).index(key)
        signature_inputs, signature_outputs = self.signatures()[key]
        arrays = [np.asarray(inputs[name]) for name in signature_inputs]
        for i, array in enumerate(arrays):
            dimensions = (ctypes.c_int * MAX_RANK)(*array.shape)
            _call("LiteRtCompiledModelResizeInputTensorNonStrict", self._compiled,
                  ctypes.c_size_t(index), ctypes.c_size_t(i), dimensions,
                  ctypes.c_size_t(array.ndim))
        input_types = [t[1] for t in signature_inputs.values()]
        output_types = [t[1] for t in signature_outputs.values()]
        layouts = (Layout * len(output_types))()
        _call("LiteRtGetCompiledModelOutputTensorLayouts", self._compiled,
              ctypes.c_size_t(index), ctypes.c_size_t(len(layouts)), layouts, True)

        memory, buffers = [], []
        for element_type, array in zip(input_types, arrays):
            content = (pack_strings(list(array.ravel())) if element_type == STRING
                       else array.tobytes())
            memory.append(_aligned(len(content)))
            memory[-1][:len(content)] = np.frombuffer(content, np.uint8)
            buffers.append(self._buffer(element_type, array.shape, memory[-1]))
        for i, (element_type, layout) in enumerate(zip(output_types, layouts)):
            memory.append(_aligned(self._output_bytes(index, i, element_type)))
            buffers.append(self._buffer(element_type, layout.shape(), memory[-1]))
        try:
            count_in = len(arrays)
            handles = [b.value for b in buffers]
            array_of = lambda items: (ctypes.c_void_p * max(len(items), 1))(*items)
            _call("LiteRtRunCompiledModel", self._compiled, ctypes.c_size_t(index),
                  ctypes.c_size_t(count_in), array_of(handles[:count_in]),
                  ctypes.c_size_t(len(output_types)), array_of(handles[count_in:]))
        finally:
            for buffer in buffers:
                _library.LiteRtDestroyTensorBuffer(buffer)
        return {name: self._array(element_type, layout.shape(), content)
                for name, element_type, layout, content
                in zip(signature_outputs, output_types, layouts, memory[count_in:])}

    def _signature(self, index):
        return _handle("LiteRtGetModelSignature", self._model, ctypes.c_size_t(index))

    def _tensors(self, signature, side):
        count = _get(f"LiteRtGetNumSignature{side}s", ctypes.c_size_t, signature).value
        result = {}
        for i in map(ctypes.c_size_t, range(count)):
            tensor = _handle(f"LiteRtGetSignature{side}TensorByIndex", signature, i)
            try:
                ranked = _get("LiteRtGetRankedTensorType", RankedTensorType, tensor)
                element_type, shape = ranked.element_type, ranked.layout.shape()
            except LiteRtError:
                element_type = _get("LiteRtGetUnrankedTensorType", ctypes.c_int, tensor).value
                shape = None
            result[_text(f"LiteRtGetSignature{side}Name", signature, i)] = (
                _text("LiteRtGetTensorName", tensor), element_type, shape)
        return result

    def _output_bytes(self, signature_index, output_index, element_type):
        if element_type == STRING:
            return STRING_OUTPUT_BYTES
        requirements = _handle("LiteRtGetCompiledModelOutputBufferRequirements", self._compiled,
                               ctypes.c_size_t(signature_index), ctypes.c_size_t(output_index))
        return _get("LiteRtGetTensorBufferRequirementsBufferSize", ctypes.c_size_t,
                    requirements).value

    def _buffer(self, element_type, shape, memory):
        tensor_type = RankedTensorType(element_type, Layout.of(shape))
        return _handle("LiteRtCreateTensorBufferFromHostMemory", ctypes.byref(tensor_type),
                       ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.size), None)

    def _array(self, element_type, shape, memory):
        if element_type == STRING:
            return np.array(unpack_strings(memory), np.object_).reshape(shape)
        count = int(np.prod(shape))
        return np.frombuffer(memory.tobytes(), DTYPES[element_type], count).reshape(shape)
