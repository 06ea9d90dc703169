#include "runtime/graph_edit.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "runtime/operators.h"
#include "runtime/shape_analysis.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// The runtime's slice takes as many dimensions.
constexpr size_t kMaxSliceRank = 5;

constexpr std::array<int32_t, 1> kZero = {0};
constexpr std::array<int32_t, 1> kOne = {1};
constexpr std::array<int32_t, 1> kMinusOne = {-1};

class SubgraphEditor {
 public:
  SubgraphEditor(const std::string& path, size_t number, FileSubgraph& subgraph)
      : path_(path), number_(number), subgraph_(subgraph), fed_(subgraph.inputs.begin(), subgraph.inputs.end()) {}

  StatusOr<SubgraphEdit> Edit() {
    TFLS_RETURN_IF_ERROR(TakeOutExampleOperators());
    SliceLateOutputs();
    return std::move(edit_);
  }

 private:
  Status TakeOutExampleOperators() {
    const std::vector<FileOperator> operators = std::exchange(subgraph_.operators, {});
    for (const FileOperator& op : operators) {
      if (ExampleOperator::Is(op)) {
        TFLS_RETURN_IF_ERROR(TakeOut(op, operators));
      } else {
        subgraph_.operators.push_back(op);
      }
    }
    return OkStatus();
  }

  // Slices come where the operator was.
  Status TakeOut(const FileOperator& op, const std::vector<FileOperator>& operators) {
    const std::string where = path_ + ": " + DescribeOperator(subgraph_, number_, op);
    TFLS_ASSIGN_OR_RETURN(ExampleOperator example_operator, ExampleOperator::Read(where, subgraph_, op));
    ExampleStep step{.op = std::move(example_operator), .serialized = op.inputs[0], .produced = {}};
    if (std::ranges::find(subgraph_.inputs, step.serialized) == subgraph_.inputs.end()) {
      return UnimplementedError(where + ": it can be run only where it parses an input of the graph itself, not what other operators made of one");
    }
    subgraph_.is_edited = true;
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      const int32_t output = op.outputs[i];
      // Each would get a slot of its own, of which the last alone is fed.
      if (output >= 0 && !fed_.insert(output).second) {
        return UnimplementedError(fmt::format("{}: its output \"{}\" is another output of a ParseExample, or an input of the graph, too", where,
                                              subgraph_.tensors[static_cast<size_t>(output)].name));
      }
      step.produced.push_back(IsRead(output, operators) ? (step.op.HasRowTooMany(i) ? SliceInput(output) : output) : -1);
      if (step.produced.back() >= 0) subgraph_.inputs.push_back(step.produced.back());
    }
    edit_.steps.push_back(std::move(step));
    return OkStatus();
  }

  bool IsRead(int32_t tensor, const std::vector<FileOperator>& operators) const {
    const auto contains = [&](const std::vector<int32_t>& tensors) { return std::ranges::find(tensors, tensor) != tensors.end(); };
    return tensor >= 0 &&
           (contains(subgraph_.outputs) || std::ranges::any_of(operators, [&](const FileOperator& op) { return contains(op.inputs); }));
  }

  // A new tensor with a row more, of which `tensor` becomes a slice.
  int32_t SliceInput(int32_t tensor) {
    const int32_t longer = AddTensorLike(tensor, "/longer");
    AddSlice(longer, tensor, false);
    return longer;
  }

  void SliceLateOutputs() {
    const ShapeAnalysis analysis = AnalyseShapes(subgraph_);
    for (int32_t& output : subgraph_.outputs) {
      const FileTensor& tensor = subgraph_.tensors[static_cast<size_t>(output)];
      // Strings the runtime copies whatever made them, and a scalar has nothing to find out.
      if (!analysis.late.contains(output) || tensor.type == kStringType || tensor.dims.empty() || tensor.dims.size() > kMaxSliceRank) continue;
      const auto [replaced, is_new] = edit_.replaced_outputs.try_emplace(output, -1);
      if (is_new) {
        replaced->second = AddTensorLike(output, "/all");
        AddSlice(output, replaced->second, true);
      }
      output = replaced->second;
      subgraph_.is_edited = true;
    }
  }

  int32_t AddTensorLike(int32_t tensor, std::string_view suffix) {
    FileTensor copy = subgraph_.tensors[static_cast<size_t>(tensor)];
    copy.name += suffix;
    copy.like = tensor;
    return Add(std::move(copy));
  }

  int32_t AddConstant(std::string name, std::span<const int32_t> values) {
    FileTensor constant;
    constant.name = std::move(name);
    constant.type = kInt32Type;
    constant.dims = {static_cast<int32_t>(values.size())};
    constant.constant = std::as_bytes(values);
    constant.constant_bytes = constant.constant.size();
    return Add(std::move(constant));
  }

  int32_t Add(FileTensor tensor) {
    subgraph_.tensors.push_back(std::move(tensor));
    return static_cast<int32_t>(subgraph_.tensors.size() - 1);
  }

  // `to` = all of `from`, or all but the last row.
  void AddSlice(int32_t from, int32_t to, bool takes_end) {
    if (zero_ < 0) {
      zero_ = AddConstant("slice/begin", kZero);
      minus_one_ = AddConstant("slice/end", kMinusOne);
      one_ = AddConstant("slice/step", kOne);
    }
    FileOperator slice;
    slice.code = kStridedSliceOperator;
    slice.inputs = {from, zero_, minus_one_, one_};
    slice.outputs = {to};
    slice.takes_end = takes_end;
    subgraph_.operators.push_back(std::move(slice));
  }

  const std::string& path_;
  const size_t number_;
  FileSubgraph& subgraph_;
  std::set<int32_t> fed_;  // tensors of the file that its clients or a ParseExample feed
  SubgraphEdit edit_;
  int32_t zero_ = -1;
  int32_t minus_one_ = -1;
  int32_t one_ = -1;
};

}  // namespace

StatusOr<SubgraphEdit> EditSubgraph(const std::string& path, size_t number, FileSubgraph& subgraph) {
  return SubgraphEditor(path, number, subgraph).Edit();
}

}  // namespace tflite_serving
