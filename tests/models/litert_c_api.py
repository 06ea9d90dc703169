"""Runs a .tflite through LiteRT's C API, with the calls that a C++ server makes.

The Python classes of `ai_edge_litert` wrap the same runtime but know fewer element types;
this goes to `libLiteRt.so` itself, so what runs here runs behind any program linked to it.

    with CompiledModel(data) as model:
        outputs = model.run("serving_default", {"x": np.zeros([3, 2], np.float32)})
"""

import contextlib
import ctypes
import os
import typing

import ai_edge_litert
import ml_dtypes
import numpy as np

import tflite_writer

MAX_RANK = 8
ALIGNMENT = 64  # below this the runtime copies instead of using the memory in place
CPU = 1
INT_OPTION = 2
MIN_LOG_SEVERITY_TAG = 25
ACCELERATORS_TAG = 24
SILENT = 4
STRING = 5
# A string output's size is unknown before the run: LiteRT asks for 0 bytes.
STRING_OUTPUT_BYTES = 1 << 16
# Behind each output buffer, to see whether a run writes past its end.
GUARD = np.full(1 << 12, 0xAB, np.uint8)

DTYPES = {
    1: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, STRING: np.object_, 6: np.bool_,
    7: np.int16, 8: np.complex64, 9: np.int8, 10: np.float16, 11: np.float64, 12: np.complex128,
    13: np.uint64, 16: np.uint32, 17: np.uint16, 19: ml_dtypes.bfloat16,
    22: ml_dtypes.float8_e4m3fn, 23: ml_dtypes.float8_e5m2,
}


class LiteRtError(RuntimeError):
    """A call that did not return kLiteRtStatusOk, or a run that broke its word."""


class Tensor(typing.NamedTuple):
    """An input or output of a signature. Equal handles mean one and the same tensor."""
    name: str
    handle: int
    element_type: int
    shape: list


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
    """LiteRtRankedTensorType."""
    _fields_ = [("element_type", ctypes.c_int), ("layout", Layout)]


class EnvironmentOption(ctypes.Structure):
    """LiteRtEnvOption with an integer value."""
    _fields_ = [("tag", ctypes.c_int), ("kind", ctypes.c_int64), ("value", ctypes.c_int64)]


_library = ctypes.CDLL(os.path.join(os.path.dirname(ai_edge_litert.__file__), "libLiteRt.so"))
_size = ctypes.c_size_t


def _call(name, *arguments):
    status = getattr(_library, name)(*arguments)
    if status != 0:
        raise LiteRtError(f"{name}: status {status}")


def _get(name, result_type, *arguments):
    """Calls a function whose last parameter is an out pointer and returns what it wrote."""
    result = result_type()
    _call(name, *arguments, ctypes.byref(result))
    return result


def _handle(name, *arguments):
    return _get(name, ctypes.c_void_p, *arguments)


def pack_strings(strings):
    """int32 count, count + 1 int32 offsets from the buffer's start, then the bytes."""
    offsets = np.cumsum([4 * (len(strings) + 2)] + [len(s) for s in strings])
    return np.array([len(strings), *offsets], np.int32).tobytes() + b"".join(strings)


def unpack_strings(data):
    """The strings of a buffer that `pack_strings`, or a model, wrote."""
    count = int(np.frombuffer(data, np.int32, 1)[0])
    offsets = np.frombuffer(data, np.int32, count + 1, 4)
    return [bytes(data[offsets[i]:offsets[i + 1]]) for i in range(count)]


class _Memory:
    """Aligned memory of a size, with a guard behind it."""

    def __init__(self, size_bytes):
        raw = np.zeros(size_bytes + GUARD.size + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        self.content = raw[start:start + size_bytes]
        self._guard = raw[start + size_bytes:start + size_bytes + GUARD.size]
        self._guard[:] = GUARD

    @classmethod
    def of(cls, array):
        """Holds an input array's content as LiteRT wants it: strings packed."""
        content = (pack_strings(list(array.ravel())) if array.dtype == np.object_
                   else array.tobytes())
        memory = cls(len(content))
        memory.content[:] = np.frombuffer(content, np.uint8)
        return memory

    def overrun(self):
        return not np.array_equal(self._guard, GUARD)

    def read(self, element_type, shape):
        if element_type == STRING:
            return np.array(unpack_strings(self.content), np.object_).reshape(shape)
        count = int(np.prod(shape))
        return np.frombuffer(self.content.tobytes(), DTYPES[element_type], count).reshape(shape)

    @contextlib.contextmanager
    def buffer(self, element_type, shape):
        """A LiteRtTensorBuffer over this memory."""
        tensor_type = RankedTensorType(element_type, Layout.of(shape))
        handle = _handle("LiteRtCreateTensorBufferFromHostMemory", ctypes.byref(tensor_type),
                         ctypes.c_void_p(self.content.ctypes.data), _size(self.content.size),
                         None)
        try:
            yield handle.value
        finally:
            _library.LiteRtDestroyTensorBuffer(handle)


class CompiledModel:
    """A model compiled for the CPU, with an environment of its own. For one thread."""

    def __init__(self, data):
        self._data = ctypes.create_string_buffer(data, len(data))  # must outlive the model
        options = (EnvironmentOption * 2)(
            EnvironmentOption(MIN_LOG_SEVERITY_TAG, INT_OPTION, SILENT),
            EnvironmentOption(ACCELERATORS_TAG, INT_OPTION, CPU))
        self._environment = _handle("LiteRtCreateEnvironment", 2, options)
        self._model = _handle("LiteRtCreateModelFromBuffer", self._environment, self._data,
                              _size(len(data)))
        self._options = _handle("LiteRtCreateOptions")
        _call("LiteRtSetOptionsHardwareAccelerators", self._options, CPU)
        self._compiled = _handle("LiteRtCreateCompiledModel", self._environment, self._model,
                                 self._options)
        self._flatbuffer = tflite_writer.unpack(data)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        _library.LiteRtDestroyCompiledModel(self._compiled)
        _library.LiteRtDestroyOptions(self._options)
        _library.LiteRtDestroyModel(self._model)
        _library.LiteRtDestroyEnvironment(self._environment)

    def signatures(self):
        """{key: (inputs, outputs)}, lists of Tensor in LiteRT's order."""
        count = _get("LiteRtGetNumModelSignatures", _size, self._model).value
        result = {}
        for i in range(count):
            signature = _handle("LiteRtGetModelSignature", self._model, _size(i))
            key = _get("LiteRtGetSignatureKey", ctypes.c_char_p, signature).value.decode()
            result[key] = self._tensors(signature, i, "Input"), self._tensors(
                signature, i, "Output")
        return result

    def run(self, key, values):
        """Resizes every input to the given arrays' shapes, runs, and returns {name: array}.

        Raises LiteRtError for a call that failed, and for a run that wrote past the end of the
        memory that the runtime itself had asked for.
        """
        signatures = self.signatures()
        index = list(signatures).index(key)
        inputs, outputs = signatures[key]
        arrays = [np.asarray(values[tensor.name]) for tensor in inputs]
        for i, array in enumerate(arrays):
            self._resize(index, i, array.shape)
        layouts = self._output_layouts(index, len(outputs))

        # One tensor has one memory, however many inputs and outputs it is: of two buffers
        # for it LiteRT would use only the last.
        memories = {tensor.handle: _Memory.of(array) for tensor, array in zip(inputs, arrays)}
        for i, tensor in enumerate(outputs):
            if tensor.handle not in memories:
                memories[tensor.handle] = _Memory(self._output_bytes(index, i, tensor))
        with contextlib.ExitStack() as stack:
            def buffers(tensors, shapes):
                handles = [
                    stack.enter_context(memories[tensor.handle].buffer(tensor.element_type, shape))
                    for tensor, shape in zip(tensors, shapes)]
                return _size(len(handles)), (ctypes.c_void_p * len(handles))(*handles)
            _call("LiteRtRunCompiledModel", self._compiled, _size(index),
                  *buffers(inputs, [array.shape for array in arrays]),
                  *buffers(outputs, [layout.shape() for layout in layouts]))
        for tensor in outputs:
            if memories[tensor.handle].overrun():
                raise LiteRtError(f"output {tensor.name}: wrote past the "
                                  f"{memories[tensor.handle].content.size} bytes asked for")
        # For some outputs only now the true shape (for example a reshape of strings).
        layouts = self._output_layouts(index, len(outputs), update=False)
        return {tensor.name: memories[tensor.handle].read(tensor.element_type, layout.shape())
                for tensor, layout in zip(outputs, layouts)}

    def _tensors(self, signature, signature_index, side):
        count = _get(f"LiteRtGetNumSignature{side}s", _size, signature).value
        names = self._names(signature_index, side)
        result = []
        for i in range(count):
            tensor = _handle(f"LiteRtGetSignature{side}TensorByIndex", signature, _size(i))
            ranked = _get("LiteRtGetRankedTensorType", RankedTensorType, tensor)
            name = names[i] if names else _get(
                f"LiteRtGetSignature{side}Name", ctypes.c_char_p, signature, _size(i)
            ).value.decode()
            result.append(Tensor(name, tensor.value, ranked.element_type, ranked.layout.shape()))
        return result

    def _names(self, signature_index, side):
        """The names of a signature in LiteRT's order, which is the subgraph's.

        From the file, because LiteRT has one name a tensor and the file may have more.
        """
        if not self._flatbuffer.signatureDefs:
            return None
        definition = self._flatbuffer.signatureDefs[signature_index]
        subgraph = self._flatbuffer.subgraphs[definition.subgraphIndex]
        entries, order = ((definition.inputs, subgraph.inputs) if side == "Input"
                          else (definition.outputs, subgraph.outputs))
        names = {}
        for entry in entries:
            names.setdefault(entry.tensorIndex, []).append(entry.name.decode())
        return [names[tensor_index].pop(0) for tensor_index in order]

    def _resize(self, signature_index, input_index, shape):
        if not shape:  # refused for rank 0, where there is nothing to resize
            return
        _call("LiteRtCompiledModelResizeInputTensorNonStrict", self._compiled,
              _size(signature_index), _size(input_index), (ctypes.c_int * len(shape))(*shape),
              _size(len(shape)))

    def _output_layouts(self, signature_index, count, update=True):
        layouts = (Layout * count)()
        _call("LiteRtGetCompiledModelOutputTensorLayouts", self._compiled,
              _size(signature_index), _size(count), layouts, update)
        return layouts

    def _output_bytes(self, signature_index, output_index, tensor):
        if tensor.element_type == STRING:
            return STRING_OUTPUT_BYTES
        requirements = _handle("LiteRtGetCompiledModelOutputBufferRequirements", self._compiled,
                               _size(signature_index), _size(output_index))
        return _get("LiteRtGetTensorBufferRequirementsBufferSize", _size, requirements).value
