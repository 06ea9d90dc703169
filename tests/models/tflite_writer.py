"""Writes a .tflite file tensor by tensor and operator by operator.

Used for what TensorFlow's converter cannot or will not write: element types that it
refuses, files without a signature table, tensors that keep their value between runs.

    graph = Graph()
    x = graph.tensor("x", "float32", [1, 2], dynamic=[0])
    y = graph.tensor("y", "float32", [1, 2], dynamic=[0])
    graph.op("ABS", [x], [y])
    data = graph.finish([x], [y], signature="serving_default")
"""

import io
import zipfile

import flatbuffers
import flatbuffers.flexbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
LABEL_FILE = "labels.txt"
# Of the schema of TFLite metadata: AssociatedFile.type, and one of its values.
ASSOCIATED_FILE_TYPE = 2
TENSOR_AXIS_LABELS = 2
_TYPE_NAMES = {value: name.lower() for name, value in vars(schema.TensorType).items()
               if isinstance(value, int)}


class Graph:
    """One subgraph under construction; tensors are named by their index."""

    def __init__(self):
        empty = schema.BufferT()  # buffer 0 is by convention the empty one
        self._buffers = [empty]
        self._tensors = []
        self._operator_codes = []
        self._operators = []

    def tensor(self, name, dtype, shape, dynamic=(), is_variable=False):
        """Adds a tensor and returns its index. `dynamic` lists the dimensions of unknown size."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.shape = list(shape)
        tensor.hasRank = True
        tensor.isVariable = is_variable
        if dynamic:
            tensor.shapeSignature = [-1 if i in dynamic else n for i, n in enumerate(shape)]
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(self, name, value):
        """Adds a constant tensor holding the numpy array `value` and returns its index."""
        index = self.tensor(name, value.dtype.name, value.shape)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(buffer)
        return index

    def op(self, name, inputs, outputs, options=None, version=1, custom=None,
           custom_options=b""):
        """Adds an operator. `options` is an object such as `schema.AddOptionsT()`, `custom` the
        name of a CUSTOM one, and `custom_options` its own."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._operator_code(name, version, custom)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        if custom_options:
            operator.customOptions = list(custom_options)
        self._operators.append(operator)

    def finish(self, inputs, outputs, signature=None):
        """Returns the file's bytes.

        With a `signature` key the file gets one signature whose names are the tensors' names;
        without one it gets no signature table at all.
        """
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors = self._tensors
        subgraph.operators = self._operators
        subgraph.inputs = list(inputs)
        subgraph.outputs = list(outputs)

        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.subgraphs = [subgraph]
        model.buffers = self._buffers
        model.operatorCodes = self._operator_codes
        if signature is not None:
            definition = schema.SignatureDefT()
            definition.signatureKey = signature
            definition.subgraphIndex = 0
            definition.inputs = [self._tensor_map(i) for i in inputs]
            definition.outputs = [self._tensor_map(i) for i in outputs]
            model.signatureDefs = [definition]
        return pack(model)

    def _tensor_map(self, index):
        entry = schema.TensorMapT()
        entry.name = self._tensors[index].name
        entry.tensorIndex = index
        return entry

    def _operator_code(self, name, version, custom):
        builtin = getattr(schema.BuiltinOperator, name)
        for index, code in enumerate(self._operator_codes):
            if (code.builtinCode, code.version, code.customCode) == (builtin, version, custom):
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = builtin
        # Readers older than the 32-bit code read this one; 127 tells them to look at the other.
        code.deprecatedBuiltinCode = min(
            builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        code.version = version
        code.customCode = custom
        self._operator_codes.append(code)
        return len(self._operator_codes) - 1


def signatures(data):
    """{key: (inputs, outputs)} of a file, each {name: (element type, shape)}; -1 is unknown.

    A file without a signature table has the key None and its tensors' own names.
    """
    model = unpack(data)

    def described(subgraph, names):
        return {name.decode(): _type_and_shape(subgraph.tensors[index]) for name, index in names}

    if not model.signatureDefs:
        main = model.subgraphs[0]
        return {None: tuple(described(main, [(main.tensors[i].name, i) for i in side])
                            for side in (main.inputs, main.outputs))}
    return {definition.signatureKey.decode(): tuple(
        described(model.subgraphs[definition.subgraphIndex],
                  [(entry.name, entry.tensorIndex) for entry in side])
        for side in (definition.inputs, definition.outputs))
        for definition in model.signatureDefs}


def _type_and_shape(tensor):
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return _TYPE_NAMES[tensor.type], [] if shape is None else [int(n) for n in shape]


def unpack(data):
    """Returns the editable object form of a file's bytes."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def with_metadata(data, name, content):
    """The file with one more metadata entry."""
    model = unpack(data)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def with_class_labels(data, labels):
    """The file with TFLite metadata that names the classes of its first output, and with the
    ZIP archive behind it that holds them."""
    builder = flatbuffers.Builder(256)

    def table(fields):
        builder.StartObject(1 + max(fields))
        for number, value in fields.items():
            if number == ASSOCIATED_FILE_TYPE and isinstance(value, np.int8):
                builder.PrependInt8Slot(number, value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(number, value, 0)
        return builder.EndObject()

    def vector(target):
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(target)
        return builder.EndVector()

    file = table({0: builder.CreateString(LABEL_FILE),
                  ASSOCIATED_FILE_TYPE: np.int8(TENSOR_AXIS_LABELS)})
    tensor = table({6: vector(file)})  # TensorMetadata.associated_files
    subgraph = table({3: vector(tensor)})  # SubGraphMetadata.output_tensor_metadata
    model = table({3: vector(subgraph)})  # ModelMetadata.subgraph_metadata
    builder.Finish(model, file_identifier=b"M001")
    archive = io.BytesIO(with_metadata(data, "TFLITE_METADATA", bytes(builder.Output())))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        info = zipfile.ZipInfo(LABEL_FILE)  # of 1980, on every run
        info.compress_type = zipfile.ZIP_DEFLATED
        opened.writestr(info, "".join(label + "\n" for label in labels))
    return archive.getvalue()


def flexbuffer(value):
    return bytes(flatbuffers.flexbuffers.Dumps(value))


def pack(model):
    """Returns the file's bytes of an object that `unpack` or `Graph` made."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())
