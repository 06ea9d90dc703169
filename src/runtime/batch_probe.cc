#include "runtime/batch_probe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "runtime/interpreter.h"
#include "runtime/sample_inputs.h"

namespace tflite_serving {
namespace {

// Rows are run alone, then together in this order: one of them in two places.
constexpr std::array<size_t, 3> kTogether = {0, 1, 0};
constexpr size_t kNumRows = 2;
// Kernels sum in another order for other batch sizes; the error grows with the largest number in the row.
constexpr double kTolerance = 1e-4;
constexpr int kMaxDraws = 16;
constexpr unsigned kSeed = 20;

bool FixesBatchOfOne(const Signature& signature) {
  const auto is_one = [](const TensorSpec& spec) { return spec.shape.rank() > 0 && spec.shape[0] == 1; };
  return !signature.inputs.empty() && std::ranges::all_of(signature.inputs, is_one) && std::ranges::all_of(signature.outputs, is_one);
}

// One answer, row by row: elements as bytes (strings: as they are).
struct Output {
  DType dtype = DType::kInvalid;
  std::vector<std::vector<std::string>> rows;
};

// Nothing if the output does not have one row for each of `num_rows`.
bool SplitRows(const TensorView& view, size_t num_rows, Output& output) {
  if (view.shape.rank() == 0 || view.shape[0] != static_cast<int64_t>(num_rows)) return false;
  const int64_t count = view.shape.NumElements().value_or(0) / view.shape[0];
  const size_t size = DTypeSize(view.dtype);
  output.dtype = view.dtype;
  for (int64_t row = 0; row < view.shape[0]; ++row) {
    std::vector<std::string>& elements = output.rows.emplace_back();
    for (int64_t i = row * count; i < (row + 1) * count; ++i) {
      elements.emplace_back(view.dtype == DType::kString
                                ? view.StringAt(i)
                                : std::string_view(reinterpret_cast<const char*>(view.bytes.data()) + static_cast<size_t>(i) * size, size));
    }
  }
  return true;
}

template <typename T>
bool CloseAs(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto read = [](const std::string& bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof(value));
    return static_cast<double>(value);
  };
  double largest = 0;
  for (const std::string& element : a) {
    if (std::isfinite(read(element))) largest = std::max(largest, std::abs(read(element)));
  }
  return std::ranges::equal(a, b, [&](const std::string& x, const std::string& y) {
    return x == y || (std::isnan(read(x)) && std::isnan(read(y))) || std::abs(read(x) - read(y)) <= kTolerance * largest;
  });
}

bool SameRow(DType dtype, const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (dtype == DType::kFloat) return CloseAs<float>(a, b);
  if (dtype == DType::kDouble) return CloseAs<double>(a, b);
  return a == b;
}

bool Differ(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::ranges::equal(a[i].view().bytes, b[i].view().bytes)) return true;
  }
  return false;
}

// The rows' tensors one below the other, in the order of kTogether.
StatusOr<Tensor> Stack(const std::array<std::vector<Tensor>, kNumRows>& rows, size_t input) {
  const TensorView first = rows[0][input].view();
  Shape shape = first.shape;
  shape.set(0, static_cast<int64_t>(kTogether.size()));
  if (first.dtype == DType::kString) {
    StringTensorBuilder builder;
    TFLS_RETURN_IF_ERROR(builder.Start(shape.NumElements().value_or(0)));
    for (const size_t row : kTogether) {
      const TensorView view = rows[row][input].view();
      for (int64_t i = 0; i < view.shape.NumElements().value_or(0); ++i) TFLS_RETURN_IF_ERROR(builder.Add(view.StringAt(i)));
    }
    return Tensor(first.dtype, shape, builder.Finish());
  }
  TFLS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(first.dtype, shape));
  std::byte* to = tensor.bytes().data();
  for (const size_t row : kTogether) to = std::ranges::copy(rows[row][input].view().bytes, to).out;
  return tensor;
}

StatusOr<std::vector<Output>> RunRows(size_t signature, Interpreter& interpreter, const std::vector<Tensor>& inputs, size_t num_rows) {
  const std::vector<TensorView> views = ViewsOf(inputs);
  TFLS_ASSIGN_OR_RETURN(const std::span<const TensorView> answers, interpreter.Run(signature, views, kNoDeadline));
  std::vector<Output> outputs(answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!SplitRows(answers[i], num_rows, outputs[i])) return FailedPreconditionError("an output does not have one row for each row asked");
  }
  return outputs;
}

StatusOr<bool> AnswersRowsAlike(const Signature& signature, size_t number, Interpreter& interpreter) {
  std::mt19937 random(kSeed);
  std::array<std::vector<Tensor>, kNumRows> rows;
  TFLS_ASSIGN_OR_RETURN(rows[0], RandomInputs(signature, 1, random));
  for (int draw = 0; draw < kMaxDraws && (draw == 0 || !Differ(rows[0], rows[1])); ++draw) {
    TFLS_ASSIGN_OR_RETURN(rows[1], RandomInputs(signature, 1, random));
  }
  std::array<std::vector<Output>, kNumRows> alone;
  for (size_t row = 0; row < kNumRows; ++row) {
    TFLS_ASSIGN_OR_RETURN(alone[row], RunRows(number, interpreter, rows[row], 1));
  }
  std::vector<Tensor> stacked;
  for (size_t input = 0; input < signature.inputs.size(); ++input) {
    TFLS_ASSIGN_OR_RETURN(Tensor tensor, Stack(rows, input));
    stacked.push_back(std::move(tensor));
  }
  TFLS_ASSIGN_OR_RETURN(const std::vector<Output> together, RunRows(number, interpreter, stacked, kTogether.size()));
  for (size_t output = 0; output < together.size(); ++output) {
    for (size_t place = 0; place < kTogether.size(); ++place) {
      if (!SameRow(together[output].dtype, alone[kTogether[place]][output].rows[0], together[output].rows[place])) return false;
    }
  }
  return true;
}

}  // namespace

bool BatchOfOneIsFree(const Model& model, size_t signature) {
  const GraphSignature& graph = model.graph().signatures[signature];
  // With state, an answer depends on more than its row; and there are no random Examples.
  if (!FixesBatchOfOne(graph.signature) || model.graph().has_state || !graph.example_inputs.empty()) return false;
  const StatusOr<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(model, {});
  if (!interpreter.ok()) return false;
  // A failure is an answer too: this graph does not take more rows.
  const StatusOr<bool> alike = AnswersRowsAlike(graph.signature, signature, **interpreter);
  return alike.ok() && *alike;
}

}  // namespace tflite_serving
