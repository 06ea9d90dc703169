#include "runtime/model_graph.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "runtime/class_labels.h"
#include "runtime/edited_file.h"
#include "runtime/graph_edit.h"
#include "runtime/legacy_signatures.h"
#include "runtime/operators.h"
#include "runtime/shape_analysis.h"
#include "runtime/tensor_type.h"
#include "runtime/tflite_file.h"
#include "runtime/tflite_schema.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// `side` is "input" or "output".
StatusOr<SlotType> TypeOf(const std::string& path, std::string_view side, const FileTensor& tensor) {
  const FileType type = FileTypeOf(tensor.type);
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

// `tensor_name` is the one that the file has: an edit may have put another tensor into its place.
TensorSpec SpecOf(std::string name, const std::string& tensor_name, const FileTensor& tensor, const SlotType& type) {
  TensorSpec spec{.name = std::move(name), .tensor_name = tensor_name, .dtype = type.dtype, .shape = {}};
  const bool is_quantized = type.dtype == DType::kInt8 || type.dtype == DType::kUint8 || type.dtype == DType::kInt16;
  if (is_quantized) spec.quantization = tensor.quantization;
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
  SignatureReader(const std::string& path, const FileSubgraph& subgraph, const SubgraphEdit& edit, const FileSignature& def)
      : path_(path), subgraph_(&subgraph), edit_(edit), def_(def) {}

  StatusOr<GraphSignature> Read() {
    result_.signature.key = def_.key;
    TFLS_RETURN_IF_ERROR(ReadSide("input", def_.inputs, subgraph_->inputs, result_.signature.inputs, result_.input_slots, result_.input_types));
    TFLS_RETURN_IF_ERROR(ReadSide("output", def_.outputs, subgraph_->outputs, result_.signature.outputs, result_.output_slots, result_.output_types));
    AddExampleInputs();
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
      const FileTensor& tensor = subgraph_->tensors[static_cast<size_t>(entry.tensor)];
      const std::string& name = tensor.like < 0 ? tensor.name : subgraph_->tensors[static_cast<size_t>(tensor.like)].name;
      specs.push_back(SpecOf(entry.name, name, tensor, slot_types[index]));
    }
    return OkStatus();
  }

  size_t SlotOf(int32_t tensor) const { return static_cast<size_t>(std::ranges::find(subgraph_->inputs, tensor) - subgraph_->inputs.begin()); }

  void AddExampleInputs() {
    for (const ExampleStep& step : edit_.steps) {
      ExampleInput input{.op = step.op, .serialized_slot = SlotOf(step.serialized), .produced_slots = {}};
      for (const int32_t tensor : step.produced) {
        // As many values as the Examples have, and so an output may have as many rows.
        if (tensor >= 0 && step.op.HasRowTooMany(input.produced_slots.size())) result_.signature.runs_alone = true;
        if (tensor >= 0) num_produced_ += 1;
        input.produced_slots.push_back(tensor < 0 ? std::nullopt : std::optional(SlotOf(tensor)));
      }
      result_.example_inputs.push_back(std::move(input));
    }
  }

  // Each input of the graph that nothing else feeds must be fed by exactly one of the signature's.
  Status CheckInputsAreDistinct() const {
    std::vector<size_t> slots = result_.input_slots;
    std::ranges::sort(slots);
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] != i) {
        return InvalidArgumentError(fmt::format("{}: signature \"{}\" does not name each input of its graph once", path_, def_.key));
      }
    }
    const size_t expected = subgraph_->inputs.size() - num_produced_;  // those come first
    if (slots.size() != expected) {
      return InvalidArgumentError(fmt::format("{}: signature \"{}\" names {} inputs, its graph takes {}", path_, def_.key, slots.size(), expected));
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

  Status FindLateShapes() {
    const ShapeAnalysis analysis = AnalyseShapes(*subgraph_);
    result_.shapes_known_late = !analysis.late.empty();
    if (analysis.depends_on_data) result_.signature.runs_alone = true;
    for (size_t i = 0; i < result_.output_slots.size(); ++i) {
      const TensorSpec& spec = result_.signature.outputs[i];
      const int32_t tensor = subgraph_->outputs[result_.output_slots[i]];
      if (analysis.late.contains(tensor)) result_.late_outputs.push_back(spec.name);
      // The runtime keeps such an output to itself and copies it as far as it is offered room, beyond its end; that room is unbounded here.
      if (result_.shapes_known_late && analysis.folded.contains(tensor)) {
        return UnimplementedError(fmt::format(
            "{}: signature \"{}\": output \"{}\" is computed from shapes alone, beside others whose shapes are known only in the run: the "
            "runtime cannot answer both",
            path_, def_.key, spec.name));
      }
    }
    return OkStatus();
  }

  const std::string& path_;
  const FileSubgraph* const subgraph_;
  const SubgraphEdit& edit_;
  const FileSignature& def_;
  size_t num_produced_ = 0;  // inputs of the graph that its example inputs feed
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

// The first short ones of each constant, since one may have labels and another the vocabulary. Of few constants: all may name one large buffer.
std::vector<std::string> FindWords(const TfliteFile& file) {
  constexpr int kMaxConstants = 16;
  constexpr int32_t kWordsOfConstant = 16;
  constexpr size_t kMaxWordBytes = 64;
  std::vector<std::string> words;
  int constants = 0;
  for (const FileSubgraph& subgraph : file.subgraphs) {
    for (const FileTensor& tensor : subgraph.tensors) {
      int32_t count = 0;
      if (tensor.type != kStringType || tensor.constant.size() < sizeof(count) || ++constants > kMaxConstants) continue;
      std::memcpy(&count, tensor.constant.data(), sizeof(count));
      if (!ValidateStrings(tensor.constant, count).ok()) continue;
      const TensorView strings{DType::kString, {count}, tensor.constant};
      for (int64_t i = 0; i < std::min(count, kWordsOfConstant); ++i) {
        if (strings.StringAt(i).size() <= kMaxWordBytes) words.emplace_back(strings.StringAt(i));
      }
    }
  }
  return words;
}

bool HasControlFlow(const TfliteFile& file) {
  return std::ranges::any_of(file.subgraphs, [](const FileSubgraph& subgraph) {
    return std::ranges::any_of(subgraph.operators, [](const FileOperator& op) { return IsControlFlow(op.code); });
  });
}

// What an exporter for TensorFlow Serving would have called it: the names are those that its Classify and Regress ask for.
std::string InferMethodName(const Signature& signature) {
  const auto is = [](const TensorSpec& output, std::string_view name, DType dtype) { return output.name == name && output.dtype == dtype; };
  const bool one_input = signature.inputs.size() == 1 && signature.inputs[0].name == "inputs";
  const bool classes_or_scores = !signature.outputs.empty() && std::ranges::all_of(signature.outputs, [&](const TensorSpec& output) {
    return is(output, "classes", DType::kString) || is(output, "scores", DType::kFloat);
  });
  if (one_input && classes_or_scores) return std::string(kClassifyMethodName);
  if (one_input && signature.outputs.size() == 1 && is(signature.outputs[0], "outputs", DType::kFloat)) return std::string(kRegressMethodName);
  return std::string(kPredictMethodName);
}

class ModelGraphReader {
 public:
  ModelGraphReader(const std::string& path, std::span<const std::byte> bytes, TfliteFile file, const OperatorLibraries& libraries)
      : path_(path), bytes_(bytes), file_(std::move(file)), libraries_(libraries) {}

  StatusOr<ModelGraph> Read() {
    graph_.has_signature_table = !file_.signatures.empty();
    signatures_ = file_.signatures;
    TFLS_RETURN_IF_ERROR(AddLegacySignatures());
    if (signatures_.empty()) {
      const FileSubgraph& main = file_.subgraphs.front();
      signatures_.push_back(
          {std::string(kDefaultSignatureKey), "", NameByTensors(main, main.inputs, "input"), NameByTensors(main, main.outputs, "output"), 0});
    }
    TFLS_RETURN_IF_ERROR(CheckSubgraphs());
    TFLS_ASSIGN_OR_RETURN(graph_.library_operators, BindOperators(path_, libraries_, file_));
    TFLS_RETURN_IF_ERROR(EditSubgraphs());
    TFLS_RETURN_IF_ERROR(CheckOperators(path_, file_));
    OpenLabels();
    TFLS_RETURN_IF_ERROR(ReadSignatures());
    ListRuntimeSignatures();
    ListOperators();
    graph_.words = FindWords(file_);
    graph_.has_state = HasState(file_);
    graph_.has_control_flow = HasControlFlow(file_);
    if (std::ranges::any_of(file_.subgraphs, &FileSubgraph::is_edited)) {
      TFLS_ASSIGN_OR_RETURN(graph_.edited_file, WriteEditedFile(path_, bytes_, file_));
      MoveConstants();
    }
    return std::move(graph_);
  }

 private:
  const FileMetadata* FindMetadata(std::string_view name) const {
    const auto found = std::ranges::find(file_.metadata, name, &FileMetadata::name);
    return found == file_.metadata.end() ? nullptr : &*found;
  }

  // Their names win: clients of a model prepared for TensorFlow Serving know no others.
  Status AddLegacySignatures() {
    const FileMetadata* entry = FindMetadata(kLegacySignaturesEntry);
    if (entry == nullptr) return OkStatus();
    const auto fail = [&](const Status& status) {
      return Status(status.code(), fmt::format("{}: metadata entry \"{}\": {}", path_, kLegacySignaturesEntry, status.message()));
    };
    const bool can_run = file_.signatures.empty() || std::ranges::find(file_.signatures, 0, &FileSignature::subgraph) != file_.signatures.end();
    if (!can_run) return fail(UnimplementedError("it is about subgraph 0, which no signature of the file's own table lets the runtime run"));
    const StatusOr<std::vector<LegacySignature>> legacy = ReadLegacySignatures(entry->content);
    if (!legacy.ok()) return fail(legacy.status());
    for (const LegacySignature& each : *legacy) {
      StatusOr<FileSignature> signature = ResolveLegacySignature(each, file_);
      if (!signature.ok()) return fail(signature.status());
      const auto same = std::ranges::find(signatures_, each.key, &FileSignature::key);
      if (same == signatures_.end()) {
        signatures_.push_back(*std::move(signature));
      } else {
        *same = *std::move(signature);
      }
    }
    return OkStatus();
  }

  // The table's own too where others have taken their place: the runtime reads them.
  Status CheckSubgraphs() const {
    for (const std::vector<FileSignature>* list : {&signatures_, &file_.signatures}) {
      for (const FileSignature& def : *list) {
        if (def.subgraph >= 0 && static_cast<size_t>(def.subgraph) < file_.subgraphs.size()) continue;
        return InvalidArgumentError(
            fmt::format("{}: signature \"{}\" is over subgraph {}, of {}", path_, def.key, def.subgraph, file_.subgraphs.size()));
      }
    }
    return OkStatus();
  }

  // Those that signatures run; the runtime calls the others itself.
  Status EditSubgraphs() {
    for (const FileSignature& def : signatures_) {
      if (edits_.contains(def.subgraph)) continue;
      const auto number = static_cast<size_t>(def.subgraph);
      TFLS_ASSIGN_OR_RETURN(edits_[def.subgraph], EditSubgraph(path_, number, file_.subgraphs[number]));
    }
    for (std::vector<FileSignature>* list : {&signatures_, &file_.signatures}) {
      for (FileSignature& def : *list) {
        const std::map<int32_t, int32_t>& replaced = edits_[def.subgraph].replaced_outputs;
        for (FileSignature::Entry& output : def.outputs) {
          if (const auto found = replaced.find(output.tensor); found != replaced.end()) output.tensor = found->second;
        }
      }
    }
    return OkStatus();
  }

  Status ReadSignatures() {
    std::set<std::string_view> keys;
    for (const FileSignature& def : signatures_) {
      if (!keys.insert(def.key).second) return InvalidArgumentError(fmt::format("{}: two signatures are called \"{}\"", path_, def.key));
      const FileSubgraph& subgraph = file_.subgraphs[static_cast<size_t>(def.subgraph)];
      TFLS_ASSIGN_OR_RETURN(GraphSignature signature, SignatureReader(path_, subgraph, edits_[def.subgraph], def).Read());
      signature.runtime_index = RuntimeIndex(def.subgraph);
      signature.signature.method_name = def.method_name.empty() ? InferMethodName(signature.signature) : def.method_name;
      AddLabels(static_cast<size_t>(def.subgraph), signature);
      graph_.signatures.push_back(std::move(signature));
    }
    return OkStatus();
  }

  void OpenLabels() {
    const FileMetadata* entry = FindMetadata(kTfliteMetadataEntry);
    if (entry == nullptr) return;
    StatusOr<ClassLabels> labels = ClassLabels::Open(entry->content, bytes_);
    if (labels.ok()) {
      labels_ = *std::move(labels);
    } else {
      TFLS_WARNING("{}: classes stay without labels: {}", path_, labels.status().message());
    }
  }

  void AddLabels(size_t subgraph, GraphSignature& signature) {
    for (size_t i = 0; i < signature.output_slots.size(); ++i) {
      StatusOr<std::vector<std::string>> labels = labels_.Read(subgraph, signature.output_slots[i]);
      if (!labels.ok()) {
        TFLS_WARNING("{}: classes stay without labels: {}", path_, labels.status().message());
        labels_ = ClassLabels();  // nor are more tried
        return;
      }
      if (labels->empty()) continue;
      TensorSpec& spec = signature.signature.outputs[i];
      const int64_t classes = spec.shape.rank() == 0 ? 0 : spec.shape[spec.shape.rank() - 1];
      const auto count = static_cast<int64_t>(labels->size());
      if (classes >= 0 && classes != count) {
        TFLS_WARNING("{}: output \"{}\" stays without labels: there are {} for {}{}", path_, spec.name, count, DTypeName(spec.dtype),
                     spec.shape.ToString());
      } else {
        spec.class_labels = *std::move(labels);
      }
    }
  }

  // Of several signatures over one graph the first: the runtime must not set up one graph in two ways.
  size_t RuntimeIndex(int32_t subgraph) const {
    const auto found = std::ranges::find(file_.signatures, subgraph, &FileSignature::subgraph);
    return found == file_.signatures.end() ? 0 : static_cast<size_t>(found - file_.signatures.begin());
  }

  void ListRuntimeSignatures() {
    const auto add = [&](const std::string& key, size_t subgraph) {
      graph_.runtime_signatures.push_back({key, file_.subgraphs[subgraph].inputs.size(), file_.subgraphs[subgraph].outputs.size()});
    };
    for (const FileSignature& def : file_.signatures) add(def.key, static_cast<size_t>(def.subgraph));
    if (file_.signatures.empty()) add("", 0);
  }

  // The file may go now, and is a part of the edited one.
  void MoveConstants() {
    const std::span<const std::byte> kept = graph_.edited_file.bytes().last(bytes_.size());
    for (LibraryOperator& op : graph_.library_operators) {
      for (LibraryOperator::Input& input : op.inputs) {
        if (!input.constant.empty()) input.constant = kept.subspan(static_cast<size_t>(input.constant.data() - bytes_.data()), input.constant.size());
      }
    }
  }

  void ListOperators() {
    for (size_t i = 0; i < file_.subgraphs.size(); ++i) {
      for (const FileOperator& op : file_.subgraphs[i].operators) {
        if (op.number < 0 || (op.code == kCustomOperator && op.library_number < 0)) continue;
        OperatorUse& use = graph_.operators[{op.library_number < 0 ? OperatorName(op.code) : op.custom_name, op.version}];
        if (use.count++ == 0) use.first_place = DescribeOperator(file_.subgraphs[i], i, op);
      }
    }
  }

  const std::string& path_;
  const std::span<const std::byte> bytes_;
  TfliteFile file_;
  const OperatorLibraries& libraries_;
  std::vector<FileSignature> signatures_;
  std::map<int32_t, SubgraphEdit> edits_;  // by subgraph
  ClassLabels labels_;
  ModelGraph graph_;
};

}  // namespace

StatusOr<ModelGraph> ReadModelGraph(const std::string& path, std::span<const std::byte> bytes, const OperatorLibraries& libraries) {
  TFLS_ASSIGN_OR_RETURN(TfliteFile file, ReadTfliteFile(path, bytes));
  return ModelGraphReader(path, bytes, std::move(file), libraries).Read();
}

}  // namespace tflite_serving
