#include "codec/profile_json.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "base/json_escape.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

double Microseconds(nanoseconds time) { return static_cast<double>(time.count()) / 1e3; }

std::string Quoted(std::string_view text) {
  std::string quoted;
  AppendJsonString(quoted, text);
  return quoted;
}

// A row begins its line with `indent` spaces.
std::string Rows(std::span<const OperatorProfile> rows, nanoseconds run, size_t indent) {
  std::string text = "[";
  for (size_t i = 0; i < rows.size(); ++i) {
    const OperatorProfile& row = rows[i];
    const double share = run.count() == 0 ? 0 : static_cast<double>(row.mean.count()) / static_cast<double>(run.count());
    text += fmt::format("{}\n{:{}}{{\"index\": {}, \"name\": {}", i == 0 ? "" : ",", "", indent, i, Quoted(row.name));
    if (!row.tensor.empty()) text += fmt::format(", \"tensor\": {}", Quoted(row.tensor));
    text += fmt::format(", \"mean_us\": {:.3f}, \"share\": {:.4f}, \"calls\": {}", Microseconds(row.mean), share, row.calls);
    if (!row.operators.empty()) {
      text += ", \"operators\": [";
      for (size_t k = 0; k < row.operators.size(); ++k) text += (k == 0 ? "" : ", ") + Quoted(row.operators[k]);
      text += ']';
    }
    if (!row.inside.empty()) text += ", \"inside\": " + Rows(row.inside, run, indent + 1);
    text += '}';
  }
  if (!rows.empty()) text += fmt::format("\n{:{}}", "", indent - 1);
  return text + ']';
}

}  // namespace

std::string ModelProfileJson(const ModelProfile& profile) {
  std::string text = fmt::format("{{\n \"model\": {},\n \"version\": \"{}\",\n \"signature\": {},\n \"inputs\": {{", Quoted(profile.id.name),
                                 profile.id.version, Quoted(profile.signature));
  for (size_t i = 0; i < profile.inputs.size(); ++i) {
    text += fmt::format("{}{}: {}", i == 0 ? "" : ", ", Quoted(profile.inputs[i].first), Quoted(profile.inputs[i].second));
  }
  nanoseconds other = profile.mean;
  for (const OperatorProfile& row : profile.operators) other -= row.mean;
  text += fmt::format("}},\n \"threads\": {},\n \"runs\": {},\n \"run_us\": {{\"mean\": {:.3f}, \"min\": {:.3f}, \"max\": {:.3f}}},\n",
                      profile.threads, profile.runs, Microseconds(profile.mean), Microseconds(profile.min), Microseconds(profile.max));
  text += fmt::format(" \"other_us\": {:.3f},\n \"graph_operators\": {},\n", Microseconds(std::max(other, nanoseconds(0))), profile.graph_operators);
  if (profile.partitions > 0) {
    text += fmt::format(" \"delegate\": {{\"name\": {}, \"operators\": {}, \"partitions\": {}}},\n", Quoted(profile.delegate),
                        profile.delegated_operators, profile.partitions);
  }
  return text + fmt::format(" \"operators\": {}\n}}\n", Rows(profile.operators, profile.mean, 2));
}

}  // namespace tflite_serving
