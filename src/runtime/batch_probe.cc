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

// Rows are run alone, then together in this order: neither sorted nor the same backwards.
constexpr std::array<size_t, 4> kTogether = {0, 1, 0, 0};
constexpr size_t kNumRows = 2;
// Kernels sum in another order for other batch sizes; the error grows with the largest number in the row.
constexpr double kTolerance = 1e-4;
constexpr int kMaxDraws = 16;
constexpr unsigned kSeed = 20;

template <typename Has>
bool EveryTensor(const Signature& signature, Has has) {
  return !signature.inputs.empty() && std::ranges::all_of(signature.inputs, has) && std::ranges::all_of(signature.outputs, has);
}

auto FirstDimensionIs(int64_t dim) {
  return [dim](const TensorSpec& spec) { return spec.shape.rank() > 0 && spec.shape[0] == dim; };
}

// One answer, row by row: the bytes of a row's elements; of strings, each behind its length.
struct Output {
  DType dtype = DType::kInvalid;
  std::vector<std::string> rows;
  bool operator==(const Output&) const = default;
};

std::string RowText(const TensorView& view, int64_t begin, int64_t end) {
  std::string text;
  if (view.dtype != DType::kString) {
    const size_t size = DTypeSize(view.dtype);
    const auto bytes = view.bytes.subspan(static_cast<size_t>(begin) * size, static_cast<size_t>(end - begin) * size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  for (int64_t i = begin; i < end; ++i) {
    text += std::to_string(view.StringAt(i).size()) + ":";
    text += view.StringAt(i);
  }
  return text;
}

// False if the output does not have one row for each of `num_rows`.
bool SplitRows(const TensorView& view, size_t num_rows, Output& output) {
  if (view.shape.rank() == 0 || view.shape[0] != static_cast<int64_t>(num_rows)) return false;
  const int64_t count = view.shape.NumElements().value_or(0) / view.shape[0];
  output.dtype = view.dtype;
  for (int64_t row = 0; row < view.shape[0]; ++row) output.rows.push_back(RowText(view, row * count, (row + 1) * count));
  return true;
}

template <typename T>
std::vector<T> Numbers(const std::string& row) {
  std::vector<T> numbers(row.size() / sizeof(T));
  if (!numbers.empty()) std::memcpy(numbers.data(), row.data(), numbers.size() * sizeof(T));
  return numbers;
}

template <typename T>
bool CloseAs(const std::string& a, const std::string& b) {
  const std::vector<T> expected = Numbers<T>(a);
  double largest = 0;
  for (const T number : expected) {
    if (std::isfinite(number)) largest = std::max(largest, std::abs(double{number}));
  }
  return std::ranges::equal(expected, Numbers<T>(b), [&](T x, T y) {
    return x == y || (std::isnan(x) && std::isnan(y)) || std::abs(double{x} - double{y}) <= kTolerance * largest;
  });
}

bool SameRow(DType dtype, const std::string& a, const std::string& b) {
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
    for (const size_t row : kTogether) TFLS_RETURN_IF_ERROR(builder.AddRun(rows[row][input].view(), 0, first.shape.NumElements().value_or(0)));
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

// `rows`, of which `alone` are the answers, together.
StatusOr<RowsTrial> TryTogether(size_t number, Interpreter& interpreter, const std::array<std::vector<Tensor>, kNumRows>& rows,
                                const std::array<std::vector<Output>, kNumRows>& alone) {
  std::vector<Tensor> stacked;
  for (size_t input = 0; input < rows[0].size(); ++input) {
    TFLS_ASSIGN_OR_RETURN(Tensor tensor, Stack(rows, input));
    stacked.push_back(std::move(tensor));
  }
  TFLS_ASSIGN_OR_RETURN(const std::vector<Output> together, RunRows(number, interpreter, stacked, kTogether.size()));
  RowsTrial trial{.alike = true, .identical = true};
  for (size_t output = 0; output < together.size(); ++output) {
    for (size_t place = 0; place < kTogether.size(); ++place) {
      const std::string& expected = alone[kTogether[place]][output].rows[0];
      const std::string& found = together[output].rows[place];
      trial.alike = trial.alike && SameRow(together[output].dtype, expected, found);
      trial.identical = trial.identical && expected == found;
    }
  }
  return trial;
}

StatusOr<RowsTrial> TryRows(const Model& model, size_t number, int64_t open_dim, Interpreter& interpreter) {
  const GraphSignature& graph = model.graph().signatures[number];
  std::mt19937 random(kSeed);
  const auto draw_row = [&] { return RandomInputs(graph, model.graph().words, 1, open_dim, random); };
  const bool has_strings = std::ranges::find(graph.signature.inputs, DType::kString, &TensorSpec::dtype) != graph.signature.inputs.end();
  std::array<std::vector<Tensor>, kNumRows> rows;
  std::array<std::vector<Output>, kNumRows> alone;
  TFLS_ASSIGN_OR_RETURN(rows[0], draw_row());
  TFLS_ASSIGN_OR_RETURN(alone[0], RunRows(number, interpreter, rows[0], 1));
  RowsTrial trial{.alike = true, .identical = true};
  for (int draw = 1; trial.alike; ++draw) {
    const bool is_last = draw == kMaxDraws;
    TFLS_ASSIGN_OR_RETURN(rows[1], draw_row());
    if (!is_last && !Differ(rows[0], rows[1])) continue;
    TFLS_ASSIGN_OR_RETURN(alone[1], RunRows(number, interpreter, rows[1], 1));
    TFLS_ASSIGN_OR_RETURN(const RowsTrial drawn, TryTogether(number, interpreter, rows, alone));
    trial = {.alike = drawn.alike, .identical = trial.identical && drawn.identical};
    // Strings may differ and yet be one to the model, which knows few: rows of such show nothing when they mix.
    if (is_last || !has_strings || alone[0] != alone[1]) break;
  }
  return trial;
}

}  // namespace

bool FixesBatchOfOne(const Signature& signature) { return EveryTensor(signature, FirstDimensionIs(1)); }

bool HasRows(const Signature& signature) { return FixesBatchOfOne(signature) || EveryTensor(signature, FirstDimensionIs(-1)); }

RowsTrial TryRows(const Model& model, size_t signature) {
  const GraphSignature& graph = model.graph().signatures[signature];
  // With state, an answer depends on more than its row.
  if (!HasRows(graph.signature) || model.graph().has_state) return {};
  const StatusOr<std::unique_ptr<Interpreter>> interpreter = Interpreter::Create(model, {});
  if (!interpreter.ok()) return {};
  // A failure is an answer too: this graph does not take more rows, or not of that length.
  for (const int64_t open_dim : kOpenDims) {
    const StatusOr<RowsTrial> trial = TryRows(model, signature, open_dim, **interpreter);
    if (trial.ok()) return *trial;
  }
  return {};
}

}  // namespace tflite_serving
