#include "runtime/tflite_file.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "runtime/flatbuffer.h"
#include "runtime/operators.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kFileIdentifier = "TFL3";

// Field numbers of the schema's tables.
namespace model_field {
constexpr int kOperatorCodes = 1;
constexpr int kSubgraphs = 2;
constexpr int kBuffers = 4;
constexpr int kSignatureDefs = 7;
}  // namespace model_field
namespace subgraph_field {
constexpr int kTensors = 0;
constexpr int kInputs = 1;
constexpr int kOutputs = 2;
constexpr int kOperators = 3;
}  // namespace subgraph_field
namespace tensor_field {
constexpr int kShape = 0;
constexpr int kType = 1;
constexpr int kBuffer = 2;
constexpr int kName = 3;
constexpr int kIsVariable = 5;
constexpr int kShapeSignature = 7;
}  // namespace tensor_field
namespace operator_field {
constexpr int kOpcodeIndex = 0;
constexpr int kInputs = 1;
constexpr int kOutputs = 2;
constexpr int kBuiltinOptions = 4;
}  // namespace operator_field
namespace operator_code_field {
constexpr int kDeprecatedBuiltinCode = 0;
constexpr int kBuiltinCode = 3;
}  // namespace operator_code_field
namespace call_once_field {
constexpr int kInitSubgraphIndex = 0;
}  // namespace call_once_field
namespace signature_field {
constexpr int kInputs = 0;
constexpr int kOutputs = 1;
constexpr int kKey = 2;
constexpr int kSubgraphIndex = 4;
}  // namespace signature_field
namespace tensor_map_field {
constexpr int kName = 0;
constexpr int kTensorIndex = 1;
}  // namespace tensor_map_field
namespace buffer_field {
constexpr int kData = 0;
constexpr int kOffset = 1;
constexpr int kSize = 2;
}  // namespace buffer_field

// The size of each buffer's content, 0 for none: tensors that are not constants.
std::vector<size_t> ReadBufferSizes(const FlatTable& model) {
  std::vector<size_t> sizes;
  for (const FlatTable& buffer : model.Tables(model_field::kBuffers)) {
    // Beyond 2 GB the content lies behind the FlatBuffer, at an offset; 0 and 1 mean that it does not.
    const bool is_behind = buffer.Scalar<uint64_t>(buffer_field::kOffset) > 1;
    sizes.push_back(is_behind ? buffer.Scalar<uint64_t>(buffer_field::kSize) : buffer.Bytes(buffer_field::kData).size());
  }
  return sizes;
}

FileTensor ReadTensor(const FlatTable& table, const std::vector<size_t>& buffer_sizes) {
  FileTensor tensor;
  tensor.name = table.String(tensor_field::kName);
  tensor.type = int{table.Scalar<int8_t>(tensor_field::kType)};
  tensor.dims = table.Int32s(tensor_field::kShape);
  const std::vector<int32_t> open = table.Int32s(tensor_field::kShapeSignature);
  if (open.size() == tensor.dims.size()) tensor.dims = open;
  const uint32_t buffer = table.Scalar<uint32_t>(tensor_field::kBuffer);
  tensor.constant_bytes = buffer < buffer_sizes.size() ? buffer_sizes[buffer] : 0;
  tensor.is_variable = table.Scalar<uint8_t>(tensor_field::kIsVariable) != 0;
  return tensor;
}

std::vector<int32_t> ReadOperatorCodes(const FlatTable& model) {
  std::vector<int32_t> codes;
  for (const FlatTable& code : model.Tables(model_field::kOperatorCodes)) {
    // Files from before there were more than 127 operators have only the old, narrow field; newer ones may have both.
    const int32_t wide = code.Scalar<int32_t>(operator_code_field::kBuiltinCode);
    const int32_t narrow{code.Scalar<int8_t>(operator_code_field::kDeprecatedBuiltinCode)};
    codes.push_back(std::max(wide, narrow));
  }
  return codes;
}

FileOperator ReadOperator(const FlatTable& table, const std::vector<int32_t>& codes) {
  FileOperator op;
  const uint32_t index = table.Scalar<uint32_t>(operator_field::kOpcodeIndex);
  op.code = index < codes.size() ? codes[index] : -1;
  op.inputs = table.Int32s(operator_field::kInputs);
  op.outputs = table.Int32s(operator_field::kOutputs);
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

StatusOr<TfliteFile> Read(const std::string& path, std::span<const std::byte> bytes) {
  FlatBuffer buffer(bytes);
  const FlatTable model = buffer.Root(kFileIdentifier);
  const std::vector<size_t> buffer_sizes = ReadBufferSizes(model);
  const std::vector<int32_t> codes = ReadOperatorCodes(model);
  TfliteFile file;
  for (const FlatTable& table : model.Tables(model_field::kSubgraphs)) {
    FileSubgraph& subgraph = file.subgraphs.emplace_back();
    for (const FlatTable& tensor : table.Tables(subgraph_field::kTensors)) subgraph.tensors.push_back(ReadTensor(tensor, buffer_sizes));
    subgraph.inputs = table.Int32s(subgraph_field::kInputs);
    subgraph.outputs = table.Int32s(subgraph_field::kOutputs);
    for (const FlatTable& op : table.Tables(subgraph_field::kOperators)) subgraph.operators.push_back(ReadOperator(op, codes));
  }
  for (const FlatTable& table : model.Tables(model_field::kSignatureDefs)) {
    file.signatures.push_back({std::string(table.String(signature_field::kKey)), ReadEntries(table.Tables(signature_field::kInputs)),
                               ReadEntries(table.Tables(signature_field::kOutputs)), table.Scalar<int32_t>(signature_field::kSubgraphIndex)});
  }
  if (!buffer.error().empty()) return InvalidArgumentError(fmt::format("{}: not a sound .tflite file: {}", path, buffer.error()));
  if (file.subgraphs.empty()) return InvalidArgumentError(fmt::format("{}: the .tflite file has no graph", path));
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
