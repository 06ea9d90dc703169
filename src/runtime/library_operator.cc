#include "runtime/library_operator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "runtime/example_operator.h"
#include "runtime/operators.h"
#include "runtime/tensor_type.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// The runtime reads constants of these operators at multiples of 64 bytes alone, where the writer of the edited file puts it.
int32_t CopyConstant(FileSubgraph& subgraph, int32_t number) {
  FileTensor copy = subgraph.tensors[static_cast<size_t>(number)];
  copy.name += "/aligned";
  copy.like = number;
  subgraph.tensors.push_back(std::move(copy));
  return static_cast<int32_t>(subgraph.tensors.size() - 1);
}

StatusOr<LibraryOperator> Bind(const TflsOperator& found, std::string place, FileSubgraph& subgraph, FileOperator& op) {
  const auto refuse = [&](std::string_view what) {
    return UnimplementedError(fmt::format("{}: {}, which the runtime does not do for operators of libraries", place, what));
  };
  LibraryOperator bound{.op = &found, .runtime_name = RuntimeName(op), .place = {}, .inputs = {}, .outputs = {}};
  for (int32_t& input : op.inputs) {
    if (input < 0) return refuse("an input is left out");
    const FileTensor& tensor = subgraph.tensors[static_cast<size_t>(input)];
    const FileType type = FileTypeOf(tensor.type);
    if (type.element_type == kLiteRtElementTypeNone) return refuse(fmt::format("an input is of type {}", type.name));
    bound.inputs.push_back({.dtype = type.dtype, .constant = tensor.constant});
    if (tensor.constant_bytes > 0) input = CopyConstant(subgraph, input);
  }
  for (const int32_t output : op.outputs) {
    const FileType type = output < 0 ? FileTypeOf(-1) : FileTypeOf(subgraph.tensors[static_cast<size_t>(output)].type);
    if (type.element_type == kLiteRtElementTypeNone || type.dtype == DType::kString) return refuse(fmt::format("an output is of type {}", type.name));
    bound.outputs.push_back(type.dtype);
  }
  bound.place = std::move(place);
  return bound;
}

}  // namespace

StatusOr<OperatorLibraries> OperatorLibraries::Open(std::span<const std::string> paths) {
  OperatorLibraries opened;
  for (const std::string& path : paths) {
    TFLS_ASSIGN_OR_RETURN(std::shared_ptr<const PluginLibrary> library, PluginLibrary::Open(path));
    TFLS_ASSIGN_OR_RETURN(const TflsOperators* const exported, library->Exported<TflsOperators>("tflite_serving_operators"));
    const std::span<const TflsOperator> operators(exported->operators, exported->num_operators);
    const auto is_whole = [](const TflsOperator& op) {
      return op.name != nullptr && op.init != nullptr && op.prepare != nullptr && op.run != nullptr;
    };
    if (!std::ranges::all_of(operators, is_whole)) {
      return InvalidArgumentError(fmt::format("{}: an operator lacks its name, or one of init, prepare and run", path));
    }
    opened.libraries_.push_back(std::move(library));
    opened.operators_.push_back(operators);
  }
  return opened;
}

const TflsOperator* OperatorLibraries::Find(std::string_view name, int32_t version) const {
  for (const std::span<const TflsOperator>& operators : operators_) {
    const auto found = std::ranges::find_if(operators, [&](const TflsOperator& op) { return op.name == name && op.version == version; });
    if (found != operators.end()) return &*found;
  }
  return nullptr;
}

std::string RuntimeName(const FileOperator& op) { return fmt::format("{}#{}", op.custom_name, op.library_number); }

StatusOr<std::vector<LibraryOperator>> BindOperators(const std::string& path, const OperatorLibraries& libraries, TfliteFile& file) {
  std::vector<LibraryOperator> all;
  for (size_t i = 0; i < file.subgraphs.size(); ++i) {
    FileSubgraph& subgraph = file.subgraphs[i];
    for (FileOperator& op : subgraph.operators) {
      const TflsOperator* const found = op.code == kCustomOperator ? libraries.Find(op.custom_name, op.version) : nullptr;
      if (found == nullptr || ExampleOperator::Is(op)) continue;
      op.library_number = static_cast<int32_t>(all.size());
      subgraph.is_edited = true;
      StatusOr<LibraryOperator> bound = Bind(*found, DescribeOperator(subgraph, i, op), subgraph, op);
      if (!bound.ok()) return Status(bound.status().code(), fmt::format("{}: {}", path, bound.status().message()));
      all.push_back(*std::move(bound));
    }
  }
  return all;
}

}  // namespace tflite_serving
