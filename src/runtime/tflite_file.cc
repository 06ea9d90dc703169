#include "runtime/tflite_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "runtime/flatbuffer.h"
#include "runtime/operators.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// The content of a buffer; empty for tensors that are not constants.
struct BufferContent {
  std::span<const std::byte> bytes;
  size_t size = 0;      // larger than bytes.size() if it lies behind the FlatBuffer
  uint64_t offset = 0;  // in the file, if it lies behind
};

std::vector<BufferContent> ReadBuffers(const FlatTable& model) {
  std::vector<BufferContent> buffers;
  for (const FlatTable& buffer : model.Tables(model_field::kBuffers)) {
    // Beyond 2 GB the content lies behind the FlatBuffer, at an offset; 0 and 1 mean that it does not.
    const bool is_behind = buffer.Scalar<uint64_t>(buffer_field::kOffset) > 1;
    const std::span<const std::byte> bytes = is_behind ? std::span<const std::byte>() : buffer.Bytes(buffer_field::kData);
    buffers.push_back({bytes, is_behind ? buffer.Scalar<uint64_t>(buffer_field::kSize) : bytes.size(),
                       is_behind ? buffer.Scalar<uint64_t>(buffer_field::kOffset) : 0});
  }
  return buffers;
}

// One scale for all elements: more say how each channel is scaled.
std::optional<Quantization> ReadQuantization(const FlatTable& table) {
  const std::vector<float> scale = table.Scalars<float>(quantization_field::kScale);
  const std::vector<int64_t> zero_point = table.Scalars<int64_t>(quantization_field::kZeroPoint);
  if (scale.size() != 1 || zero_point.size() > 1 || !(scale[0] > 0) || !std::isfinite(scale[0])) return std::nullopt;
  if (!zero_point.empty() && !std::in_range<int32_t>(zero_point[0])) return std::nullopt;  // no kernel takes it
  return Quantization{.scale = scale[0], .zero_point = zero_point.empty() ? 0 : zero_point[0]};
}

struct OperatorCode {
  int32_t code = -1;
  int32_t version = 1;
  std::string custom_name;
};

FileTensor ReadTensor(const FlatTable& table, const std::vector<BufferContent>& buffers) {
  FileTensor tensor;
  tensor.name = table.String(tensor_field::kName);
  tensor.type = int{table.Scalar<int8_t>(tensor_field::kType)};
  tensor.dims = table.Scalars<int32_t>(tensor_field::kShape);
  const std::vector<int32_t> open = table.Scalars<int32_t>(tensor_field::kShapeSignature);
  if (open.size() == tensor.dims.size()) tensor.dims = open;
  tensor.buffer = table.Scalar<uint32_t>(tensor_field::kBuffer);
  if (tensor.buffer < buffers.size()) {
    tensor.constant = buffers[tensor.buffer].bytes;
    tensor.constant_bytes = buffers[tensor.buffer].size;
  }
  tensor.quantization = ReadQuantization(table.Table(tensor_field::kQuantization));
  tensor.is_variable = table.Scalar<uint8_t>(tensor_field::kIsVariable) != 0;
  return tensor;
}

std::vector<OperatorCode> ReadOperatorCodes(const FlatTable& model) {
  std::vector<OperatorCode> codes;
  for (const FlatTable& code : model.Tables(model_field::kOperatorCodes)) {
    // Files from before there were more than 127 operators have only the old, narrow field; newer ones may have both.
    const int32_t wide = code.Scalar<int32_t>(operator_code_field::kBuiltinCode);
    const int32_t narrow{code.Scalar<int8_t>(operator_code_field::kDeprecatedBuiltinCode)};
    codes.push_back(
        {std::max(wide, narrow), code.Scalar<int32_t>(operator_code_field::kVersion, 1), std::string(code.String(operator_code_field::kCustomCode))});
  }
  return codes;
}

FileOperator ReadOperator(const FlatTable& table, const std::vector<OperatorCode>& codes) {
  FileOperator op;
  const uint32_t index = table.Scalar<uint32_t>(operator_field::kOpcodeIndex);
  if (index < codes.size()) {
    op.code = codes[index].code;
    op.version = codes[index].version;
    op.custom_name = codes[index].custom_name;
  }
  op.inputs = table.Scalars<int32_t>(operator_field::kInputs);
  op.outputs = table.Scalars<int32_t>(operator_field::kOutputs);
  if (op.code == kCallOnceOperator) {
    op.init_subgraph = table.Table(operator_field::kBuiltinOptions).Scalar<int32_t>(call_once_field::kInitSubgraphIndex);
  }
  return op;
}

std::vector<FileSignature::Entry> ReadEntries(const std::vector<FlatTable>& maps) {
  std::vector<FileSignature::Entry> entries;
  entries.reserve(maps.size());
  for (const FlatTable& map : maps) {
    entries.push_back({std::string(map.String(tensor_map_field::kName)), map.Scalar<int32_t>(tensor_map_field::kTensorIndex)});
  }
  return entries;
}

// Every buffer lies inside of the file, and every tensor's is one of them.
Status CheckBuffers(const std::string& path, const TfliteFile& file, const std::vector<BufferContent>& buffers, size_t file_bytes) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    const BufferContent& buffer = buffers[i];
    if (buffer.offset <= file_bytes && (buffer.offset == 0 || buffer.size <= file_bytes - buffer.offset)) continue;
    return InvalidArgumentError(
        fmt::format("{}: buffer {} has {} bytes at {}, but the file ends at {}", path, i, buffer.size, buffer.offset, file_bytes));
  }
  for (const FileSubgraph& subgraph : file.subgraphs) {
    for (const FileTensor& tensor : subgraph.tensors) {
      if (tensor.buffer < buffers.size()) continue;
      return InvalidArgumentError(
          fmt::format("{}: tensor \"{}\" names buffer {}, but the file has {} buffers", path, tensor.name, tensor.buffer, buffers.size()));
    }
  }
  return OkStatus();
}

StatusOr<TfliteFile> Read(const std::string& path, std::span<const std::byte> bytes) {
  FlatBuffer buffer(bytes);
  const FlatTable model = buffer.Root(kTfliteIdentifier);
  const std::vector<BufferContent> buffers = ReadBuffers(model);
  const std::vector<OperatorCode> codes = ReadOperatorCodes(model);
  TfliteFile file;
  for (const FlatTable& table : model.Tables(model_field::kSubgraphs)) {
    FileSubgraph& subgraph = file.subgraphs.emplace_back();
    for (const FlatTable& tensor : table.Tables(subgraph_field::kTensors)) subgraph.tensors.push_back(ReadTensor(tensor, buffers));
    subgraph.inputs = table.Scalars<int32_t>(subgraph_field::kInputs);
    subgraph.outputs = table.Scalars<int32_t>(subgraph_field::kOutputs);
    for (const FlatTable& op : table.Tables(subgraph_field::kOperators)) subgraph.operators.push_back(ReadOperator(op, codes));
    for (size_t i = 0; i < subgraph.operators.size(); ++i) subgraph.operators[i].number = static_cast<int32_t>(i);
    subgraph.name = table.String(subgraph_field::kName);
  }
  for (const FlatTable& table : model.Tables(model_field::kSignatureDefs)) {
    file.signatures.push_back({std::string(table.String(signature_field::kKey)), "", ReadEntries(table.Tables(signature_field::kInputs)),
                               ReadEntries(table.Tables(signature_field::kOutputs)), table.Scalar<int32_t>(signature_field::kSubgraphIndex)});
  }
  for (const FlatTable& table : model.Tables(model_field::kMetadata)) {
    const uint32_t index = table.Scalar<uint32_t>(metadata_field::kBuffer);
    file.metadata.push_back(
        {std::string(table.String(metadata_field::kName)), index < buffers.size() ? buffers[index].bytes : BufferContent().bytes});
  }
  if (!buffer.error().empty()) return InvalidArgumentError(fmt::format("{}: not a sound .tflite file: {}", path, buffer.error()));
  if (file.subgraphs.empty()) return InvalidArgumentError(fmt::format("{}: the .tflite file has no graph", path));
  TFLS_RETURN_IF_ERROR(CheckBuffers(path, file, buffers, bytes.size()));
  return file;
}

bool HasIndex(const std::vector<FileTensor>& tensors, int32_t index) { return index >= 0 && static_cast<size_t>(index) < tensors.size(); }

// LiteRT's C API takes no such file ("Variable tensors not yet supported"), but does not say why.
Status CheckVariableTensors(const std::string& path, const TfliteFile& file) {
  for (const FileSubgraph& subgraph : file.subgraphs) {
    for (const FileTensor& tensor : subgraph.tensors) {
      if (!tensor.is_variable) continue;
      return Status(StatusCode::kUnimplemented,
                    fmt::format("{}: tensor \"{}\" keeps its value between runs (a variable tensor, as recurrent layers have), which the runtime "
                                "does not support; resource variables it does",
                                path, tensor.name));
    }
  }
  return OkStatus();
}

// Every tensor index that is followed later lies inside.
Status CheckIndices(const std::string& path, const TfliteFile& file) {
  for (size_t i = 0; i < file.subgraphs.size(); ++i) {
    const FileSubgraph& subgraph = file.subgraphs[i];
    const auto check = [&](const std::vector<int32_t>& indices, std::string_view what, bool optional) {
      for (const int32_t index : indices) {
        if (!HasIndex(subgraph.tensors, index) && !(optional && index == -1)) {
          return InvalidArgumentError(
              fmt::format("{}: subgraph {} has {} tensors, but its {} names number {}", path, i, subgraph.tensors.size(), what, index));
        }
      }
      return OkStatus();
    };
    TFLS_RETURN_IF_ERROR(check(subgraph.inputs, "list of inputs", false));
    TFLS_RETURN_IF_ERROR(check(subgraph.outputs, "list of outputs", false));
    for (const FileOperator& op : subgraph.operators) {
      TFLS_RETURN_IF_ERROR(check(op.inputs, "operator", true));
      TFLS_RETURN_IF_ERROR(check(op.outputs, "operator", true));
      if (op.code < 0) return InvalidArgumentError(fmt::format("{}: subgraph {} uses an operator that the file does not declare", path, i));
    }
  }
  return OkStatus();
}

}  // namespace

StatusOr<TfliteFile> ReadTfliteFile(const std::string& path, std::span<const std::byte> bytes) {
  TFLS_ASSIGN_OR_RETURN(TfliteFile file, Read(path, bytes));
  TFLS_RETURN_IF_ERROR(CheckIndices(path, file));
  TFLS_RETURN_IF_ERROR(CheckVariableTensors(path, file));
  return file;
}

}  // namespace tflite_serving
