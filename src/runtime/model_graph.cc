#include "runtime/model_graph.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "runtime/operators.h"
#include "runtime/tflite_file.h"

namespace tflite_serving {
namespace {

// The schema's TensorType, by number. An element type of "none" is one that LiteRT's C API cannot carry in or out.
struct FileType {
  std::string_view name;
  DType dtype;
  LiteRtElementType element_type;
};
constexpr FileType kFileTypes[] = {
    {"FLOAT32", DType::kFloat, kLiteRtElementTypeFloat32},
    {"FLOAT16", DType::kHalf, kLiteRtElementTypeFloat16},
    {"INT32", DType::kInt32, kLiteRtElementTypeInt32},
    {"UINT8", DType::kUint8, kLiteRtElementTypeUInt8},
    {"INT64", DType::kInt64, kLiteRtElementTypeInt64},
    {"STRING", DType::kString, kLiteRtElementTypeTfString},
    {"BOOL", DType::kBool, kLiteRtElementTypeBool},
    {"INT16", DType::kInt16, kLiteRtElementTypeInt16},
    {"COMPLEX64", DType::kComplex64, kLiteRtElementTypeComplex64},
    {"INT8", DType::kInt8, kLiteRtElementTypeInt8},
    {"FLOAT64", DType::kDouble, kLiteRtElementTypeFloat64},
    {"COMPLEX128", DType::kComplex128, kLiteRtElementTypeNone},
    {"UINT64", DType::kUint64, kLiteRtElementTypeUInt64},
    {"RESOURCE", DType::kInvalid, kLiteRtElementTypeNone},
    {"VARIANT", DType::kInvalid, kLiteRtElementTypeNone},
    {"UINT32", DType::kUint32, kLiteRtElementTypeUInt32},
    {"UINT16", DType::kUint16, kLiteRtElementTypeUInt16},
    {"INT4", DType::kInt4, kLiteRtElementTypeNone},
    {"BFLOAT16", DType::kBfloat16, kLiteRtElementTypeBFloat16},
    {"INT2", DType::kInvalid, kLiteRtElementTypeNone},
    {"UINT4", DType::kInvalid, kLiteRtElementTypeNone},
    {"FLOAT8_E4M3FN", DType::kInvalid, kLiteRtElementTypeNone},
    {"FLOAT8_E5M2", DType::kInvalid, kLiteRtElementTypeNone},
};
constexpr int kStringType = 5;
static_assert(kFileTypes[kStringType].dtype == DType::kString);

// `side` is "input" or "output".
StatusOr<SlotType> TypeOf(const std::string& path, std::string_view side, const FileTensor& tensor) {
  const bool known = tensor.type >= 0 && static_cast<size_t>(tensor.type) < std::size(kFileTypes);
  const FileType type = known ? kFileTypes[tensor.type] : FileType{"unknown", DType::kInvalid, kLiteRtElementTypeNone};
  if (type.element_type == kLiteRtElementTypeNone) {
    return Status(StatusCode::kUnimplemented,
                  fmt::format("{}: {} tensor \"{}\" has element type {} (number {}), which the runtime cannot carry into or out of a model", path,
                              side, tensor.name, type.name, tensor.type));
  }
  if (tensor.dims.size() > Shape::kMaxRank) {
    return Status(StatusCode::kUnimplemented, fmt::format("{}: {} tensor \"{}\" has {} dimensions; the runtime carries {} at most", path, side,
                                                          tensor.name, tensor.dims.size(), Shape::kMaxRank));
  }
  return SlotType{type.dtype, type.element_type};
}

TensorSpec SpecOf(std::string name, const FileTensor& tensor, const SlotType& type) {
  TensorSpec spec{.name = std::move(name), .tensor_name = tensor.name, .dtype = type.dtype, .shape = {}};
  for (const int32_t dim : tensor.dims) {
    if (!spec.shape.Append(std::max(dim, -1))) break;  // TypeOf has checked the rank
  }
  return spec;
}

// The names for a file without a signature table.
std::vector<FileSignature::Entry> NameByTensors(const FileSubgraph& subgraph, const std::vector<int32_t>& slots, std::string_view side) {
  const auto cut = [](const std::string& name) { return name.substr(0, name.find(':')); };
  std::map<std::string, int> uses;
  const std::set<int32_t> distinct(slots.begin(), slots.end());
  for (const int32_t tensor : distinct) ++uses[cut(subgraph.tensors[static_cast<size_t>(tensor)].name)];
  std::vector<FileSignature::Entry> entries;
  std::set<int32_t> named;
  for (const int32_t tensor : slots) {
    if (!named.insert(tensor).second) continue;
    const std::string& full = subgraph.tensors[static_cast<size_t>(tensor)].name;
    std::string name = uses[cut(full)] == 1 ? cut(full) : full;
    if (name.empty()) name = fmt::format("{}_{}", side, entries.size());
    entries.push_back({std::move(name), tensor});
  }
  return entries;
}

class SignatureReader {
 public:
  SignatureReader(const std::string& path, const TfliteFile& file, const FileSignature& def) : path_(path), file_(file), def_(def) {}

  StatusOr<GraphSignature> Read() {
    if (def_.subgraph < 0 || static_cast<size_t>(def_.subgraph) >= file_.subgraphs.size()) {
      return InvalidArgumentError(
          fmt::format("{}: signature \"{}\" is over subgraph {}, of {}", path_, def_.key, def_.subgraph, file_.subgraphs.size()));
    }
    subgraph_ = &file_.subgraphs[static_cast<size_t>(def_.subgraph)];
    result_.signature.key = def_.key;
    TFLS_RETURN_IF_ERROR(ReadSide("input", def_.inputs, subgraph_->inputs, result_.signature.inputs, result_.input_slots, result_.input_types));
    TFLS_RETURN_IF_ERROR(ReadSide("output", def_.outputs, subgraph_->outputs, result_.signature.outputs, result_.output_slots, result_.output_types));
    TFLS_RETURN_IF_ERROR(CheckInputsAreDistinct());
    FindOutputSources();
    TFLS_RETURN_IF_ERROR(FindLateShapes());
    return std::move(result_);
  }

 private:
  Status ReadSide(std::string_view side, const std::vector<FileSignature::Entry>& entries, const std::vector<int32_t>& slots,
                  std::vector<TensorSpec>& specs, std::vector<size_t>& spec_slots, std::vector<SlotType>& slot_types) {
    for (const int32_t tensor : slots) {
      TFLS_ASSIGN_OR_RETURN(SlotType type, TypeOf(path_, side, subgraph_->tensors[static_cast<size_t>(tensor)]));
      slot_types.push_back(type);
    }
    std::set<std::string> names;
    for (const FileSignature::Entry& entry : entries) {
      const auto slot = std::ranges::find(slots, entry.tensor);
      if (slot == slots.end()) {
        return InvalidArgumentError(fmt::format("{}: signature \"{}\": {} \"{}\" is tensor {}, which is none of its graph's", path_, def_.key, side,
                                                entry.name, entry.tensor));
      }
      if (!names.insert(entry.name).second) {
        return InvalidArgumentError(fmt::format("{}: signature \"{}\" has two {}s \"{}\"", path_, def_.key, side, entry.name));
      }
      const auto index = static_cast<size_t>(slot - slots.begin());
      spec_slots.push_back(index);
      specs.push_back(SpecOf(entry.name, subgraph_->tensors[static_cast<size_t>(entry.tensor)], slot_types[index]));
    }
    return OkStatus();
  }

  // Each input of the graph must be fed by exactly one of the signature's.
  Status CheckInputsAreDistinct() const {
    std::vector<size_t> slots = result_.input_slots;
    std::ranges::sort(slots);
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] != i) {
        return InvalidArgumentError(fmt::format("{}: signature \"{}\" does not name each input of its graph once", path_, def_.key));
      }
    }
    if (slots.size() != subgraph_->inputs.size()) {
      return InvalidArgumentError(
          fmt::format("{}: signature \"{}\" names {} inputs, its graph takes {}", path_, def_.key, slots.size(), subgraph_->inputs.size()));
    }
    return OkStatus();
  }

  void FindOutputSources() {
    for (size_t slot = 0; slot < subgraph_->outputs.size(); ++slot) {
      const int32_t tensor = subgraph_->outputs[slot];
      const auto input = std::ranges::find(subgraph_->inputs, tensor);
      const auto first = std::ranges::find(subgraph_->outputs, tensor);
      OutputSource source;
      if (input != subgraph_->inputs.end()) {
        source = {.kind = OutputSource::kSameAsInput, .slot = static_cast<size_t>(input - subgraph_->inputs.begin())};
      } else if (const auto earlier = static_cast<size_t>(first - subgraph_->outputs.begin()); earlier < slot) {
        source = {.kind = OutputSource::kSameAsOutput, .slot = earlier};
      } else if (const size_t bytes = subgraph_->tensors[static_cast<size_t>(tensor)].constant_bytes; bytes > 0) {
        source = {.kind = OutputSource::kConstant, .constant_bytes = bytes};
      }
      result_.output_sources.push_back(source);
    }
  }

  // The runtime plans operators one after the other and stops at the first whose output it cannot foresee: every shape after it is a guess. And
  // since it first regroups them, any of them may come after it.
  Status FindLateShapes() {
    std::set<int32_t> late;
    std::set<int32_t> folded;  // computed while planning, from nothing but constants and shapes
    for (const FileOperator& op : subgraph_->operators) {
      const auto is_folded = [&](int32_t tensor) { return folded.contains(tensor) || IsConstant(tensor); };
      const bool folds = !op.inputs.empty() && std::ranges::all_of(op.inputs, is_folded);
      if (folds || ReadsShapesOnly(op.code)) folded.insert(op.outputs.begin(), op.outputs.end());
      if (ShapesKnownBefore(op)) continue;
      result_.shapes_known_late = true;
      late.insert(op.outputs.begin(), op.outputs.end());
    }
    for (size_t i = 0; i < result_.output_slots.size(); ++i) {
      const TensorSpec& spec = result_.signature.outputs[i];
      const int32_t tensor = subgraph_->outputs[result_.output_slots[i]];
      if (late.contains(tensor)) result_.late_outputs.push_back(spec.name);
      // The runtime keeps such an output to itself and copies it as far as it is offered room, beyond its end; that room is unbounded here.
      if (result_.shapes_known_late && folded.contains(tensor)) {
        return Status(StatusCode::kUnimplemented,
                      fmt::format("{}: signature \"{}\": output \"{}\" is computed from shapes alone, beside others whose shapes are known only in "
                                  "the run: the runtime cannot answer both",
                                  path_, def_.key, spec.name));
      }
    }
    return OkStatus();
  }

  bool IsConstant(int32_t tensor) const { return tensor < 0 || subgraph_->tensors[static_cast<size_t>(tensor)].constant_bytes > 0; }

  bool ShapesKnownBefore(const FileOperator& op) const {
    const auto constant = [&](int32_t tensor) { return IsConstant(tensor); };
    const auto is_string = [&](int32_t tensor) { return tensor >= 0 && subgraph_->tensors[static_cast<size_t>(tensor)].type == kStringType; };
    if (std::ranges::any_of(op.outputs, is_string)) return false;
    switch (ShapeRuleOf(op.code)) {
      case ShapeRule::kFromShapes:
        return true;
      case ShapeRule::kIfTailIsConstant:
        return op.inputs.empty() || std::all_of(op.inputs.begin() + 1, op.inputs.end(), constant);
      case ShapeRule::kIfFirstIsConstant:
        return op.inputs.empty() || constant(op.inputs.front());
      case ShapeRule::kUnknown:
        break;
    }
    return false;
  }

  const std::string& path_;
  const TfliteFile& file_;
  const FileSignature& def_;
  const FileSubgraph* subgraph_ = nullptr;
  GraphSignature result_;
};

// Whether a run can write something that the next run of the same interpreter sees. What only initialises, behind a CALL_ONCE, does not count.
bool HasState(const TfliteFile& file) {
  std::set<int32_t> initialisers;
  for (const FileSubgraph& subgraph : file.subgraphs) {
    for (const FileOperator& op : subgraph.operators) initialisers.insert(op.init_subgraph);
  }
  for (const FileSignature& def : file.signatures) initialisers.erase(def.subgraph);
  for (size_t i = 0; i < file.subgraphs.size(); ++i) {
    const FileSubgraph& subgraph = file.subgraphs[i];
    if (initialisers.contains(static_cast<int32_t>(i))) continue;
    if (std::ranges::any_of(subgraph.operators, [](const FileOperator& op) { return WritesState(op.code); })) return true;
  }
  return false;
}

bool HasControlFlow(const TfliteFile& file) {
  return std::ranges::any_of(file.subgraphs, [](const FileSubgraph& subgraph) {
    return std::ranges::any_of(subgraph.operators, [](const FileOperator& op) { return IsControlFlow(op.code); });
  });
}

}  // namespace

StatusOr<ModelGraph> ReadModelGraph(const std::string& path, std::span<const std::byte> bytes) {
  TFLS_ASSIGN_OR_RETURN(TfliteFile file, ReadTfliteFile(path, bytes));
  ModelGraph graph;
  graph.has_signature_table = !file.signatures.empty();
  if (!graph.has_signature_table) {
    const FileSubgraph& main = file.subgraphs.front();
    file.signatures.push_back(
        {std::string(kDefaultSignatureKey), NameByTensors(main, main.inputs, "input"), NameByTensors(main, main.outputs, "output"), 0});
  }
  std::set<std::string_view> keys;
  for (const FileSignature& def : file.signatures) {
    if (!keys.insert(def.key).second) return InvalidArgumentError(fmt::format("{}: two signatures are called \"{}\"", path, def.key));
    TFLS_ASSIGN_OR_RETURN(GraphSignature signature, SignatureReader(path, file, def).Read());
    graph.signatures.push_back(std::move(signature));
  }
  graph.has_state = HasState(file);
  graph.has_control_flow = HasControlFlow(file);
  return graph;
}

}  // namespace tflite_serving
