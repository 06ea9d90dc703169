#include "server/inspect.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/measured_run.h"

namespace tflite_serving {
namespace {

constexpr std::chrono::milliseconds kMeasuredTime{50};
constexpr size_t kShownLabels = 5;

struct Widths {
  size_t name = 0;
  size_t type = 0;
};

void Widen(const std::vector<TensorSpec>& specs, Widths& widths) {
  for (const TensorSpec& spec : specs) {
    widths.name = std::max(widths.name, spec.name.size());
    widths.type = std::max(widths.type, spec.ToString().size());
  }
}

std::string Line(std::string text) {
  text.resize(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string TensorLine(std::string_view what, const TensorSpec& spec, const Widths& widths) {
  std::string notes = spec.tensor_name == spec.name ? "" : fmt::format("  tensor {}", spec.tensor_name);
  if (spec.quantization) notes += fmt::format("  scale {} zero point {}", spec.quantization->scale, spec.quantization->zero_point);
  if (!spec.class_labels.empty()) {
    const auto shown = std::span(spec.class_labels).first(std::min(spec.class_labels.size(), kShownLabels));
    notes += fmt::format("  {} labels: {}{}", spec.class_labels.size(), fmt::join(shown, ", "), spec.class_labels.size() > shown.size() ? ", …" : "");
  }
  return Line(fmt::format("  {:<7} {:<{}}  {:<{}}{}", what, spec.name, widths.name, spec.ToString(), widths.type, notes));
}

std::string RowsText(const LiteRtServable& servable, size_t number) {
  if (const std::string_view why = servable.WhyNotBatchable(number); !why.empty()) return fmt::format("not batchable: {}", why);
  return fmt::format("batchable: two rows of one run are answered as alone, {}",
                     servable.trial().rows[number].identical ? "bit for bit" : "but for rounding");
}

std::string RunText(LiteRtServable& servable, size_t number) {
  const StatusOr<std::vector<Tensor>> inputs = MakeInputs(servable, number, 1);
  if (!inputs.ok()) return fmt::format("not on made-up inputs: {}", inputs.status().message());
  const StatusOr<RunTimes> times = MeasureRuns(servable, number, *inputs, 1, kMeasuredTime);
  if (!times.ok()) return times.status().message();
  std::string text = TimeText(times->median) + " on";
  for (size_t i = 0; i < inputs->size(); ++i) {
    const TensorView view = (*inputs)[i].view();
    text += fmt::format("{} {}{}", i == 0 ? "" : ",", DTypeName(view.dtype), view.shape.ToString());
  }
  return text;
}

std::string DescribeSignature(LiteRtServable& servable, size_t number) {
  const Signature& signature = servable.signatures()[number];
  Widths widths;
  Widen(signature.inputs, widths);
  Widen(signature.outputs, widths);
  std::string text = fmt::format("signature \"{}\" ({})\n", signature.key, signature.method_name);
  for (const TensorSpec& spec : signature.inputs) text += TensorLine("input", spec, widths);
  for (const TensorSpec& spec : signature.outputs) text += TensorLine("output", spec, widths);
  text += fmt::format("  rows    {}\n", RowsText(servable, number));
  if (signature.batch_of_one_is_free) text += "          the file fixes one row, and the graph takes any number\n";
  return text + fmt::format("  one run {}\n\n", RunText(servable, number));
}

std::string DescribeOperators(const ModelGraph& graph) {
  size_t width = 0;
  for (const auto& [op, use] : graph.operators) width = std::max(width, op.first.size());
  std::string text = "operators\n";
  for (const auto& [op, use] : graph.operators) text += fmt::format("  {:<{}}  v{:<3} x {}\n", op.first, width, op.second, use.count);
  return graph.operators.empty() ? "operators: none\n" : text;
}

}  // namespace

std::string DescribeModel(LiteRtServable& servable) {
  const Model& model = servable.model();
  std::string text;
  for (size_t number = 0; number < servable.signatures().size(); ++number) text += DescribeSignature(servable, number);
  text += DescribeOperators(model.graph());
  text += "\nmemory\n";
  text += fmt::format("  file              {}\n", BytesText(model.FileBytes()));
  text += fmt::format("  packed weights    {}, shared by all interpreters\n", BytesText(model.WeightCacheBytes()));
  text += fmt::format("  each interpreter  {}, about\n", BytesText(servable.trial().interpreter_bytes));
  text += fmt::format("  in all            {} with {}\n", BytesText(servable.memory_bytes()), servable.parallelism().ToString());
  text += fmt::format("  peak of a load    {}, of which the program itself takes some 10 MiB\n", BytesText(servable.trial().peak_memory_bytes));
  text += fmt::format("\nloads in {}{}{}\n", TimeText(servable.trial().load_time), model.graph().has_state ? "; has state" : "",
                      model.graph().has_control_flow ? "; has control flow" : "");
  return text;
}

StatusOr<std::string> InspectFile(const std::string& path, const std::string& trial_program, const std::vector<std::string>& custom_op_libraries) {
  TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<LiteRtServable> servable,
                        LiteRtServable::Create({"model", 1}, path, {.trial_program = trial_program, .custom_op_libraries = custom_op_libraries}));
  return fmt::format("{}\n\n{}", path, DescribeModel(*servable));
}

}  // namespace tflite_serving
