#include "server/operator_table.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "server/measured_run.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

constexpr size_t kMaxTensorName = 48;  // of a longer name the end is shown: it says more than the scopes before it

class Table {
 public:
  explicit Table(nanoseconds run) : run_(run) {}

  void Add(const std::vector<OperatorProfile>& rows, size_t depth) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const OperatorProfile& row = rows[i];
      const std::string tensor = row.tensor.size() <= kMaxTensorName ? row.tensor : "…" + row.tensor.substr(row.tensor.size() - kMaxTensorName + 1);
      Add({.number = depth == 0 ? fmt::to_string(i) : "",
           .name = std::string(2 * depth, ' ') + row.name,
           .tensor = tensor,
           .time = row.mean,
           .calls = fmt::format("{:.4g}", row.calls)});
      Add(row.inside, depth + 1);
    }
  }
  void AddRest(nanoseconds time) { Add({.number = "", .name = "outside of operators", .tensor = "", .time = time, .calls = ""}); }

  std::string Text() const {
    size_t name = std::string_view("operator").size();
    size_t tensor = std::string_view("output").size();
    for (const Line& line : lines_) {
      name = std::max(name, line.name.size());
      tensor = std::max(tensor, line.tensor.size());
    }
    std::string text = fmt::format("{:>5}  {:<{}}  {:<{}}  {:>10}  {:>7}  {:>5}\n", "", "operator", name, "output", tensor, "time", "share", "calls");
    for (const Line& line : lines_) {
      const double share = run_.count() == 0 ? 0 : 100 * static_cast<double>(line.time.count()) / static_cast<double>(run_.count());
      std::string row = fmt::format("{:>5}  {:<{}}  {:<{}}  {:>10}  {:>5.1f} %  {:>5}", line.number, line.name, name, line.tensor, tensor,
                                    TimeText(line.time), share, line.calls);
      row.resize(row.find_last_not_of(' ') + 1);
      text += row + "\n";
    }
    return text;
  }

 private:
  struct Line {
    std::string number;
    std::string name;
    std::string tensor;
    nanoseconds time;
    std::string calls;
  };
  void Add(Line line) { lines_.push_back(std::move(line)); }

  const nanoseconds run_;
  std::vector<Line> lines_;
};

std::string DelegateText(const ModelProfile& profile) {
  const std::string all = fmt::format("{} operator{}", profile.graph_operators, profile.graph_operators == 1 ? "" : "s");
  if (profile.partitions == 0) return all + ", none in a delegate";
  return fmt::format("{}, {} of them in {} partition{} of the {} delegate", all, profile.delegated_operators, profile.partitions,
                     profile.partitions == 1 ? "" : "s", profile.delegate);
}

}  // namespace

std::string OperatorTable(const ModelProfile& profile) {
  std::string text = fmt::format("signature \"{}\", {} thread{}, {} run{} of {} on average ({} to {}) on", profile.signature, profile.threads,
                                 profile.threads == 1 ? "" : "s", profile.runs, profile.runs == 1 ? "" : "s", TimeText(profile.mean),
                                 TimeText(profile.min), TimeText(profile.max));
  for (size_t i = 0; i < profile.inputs.size(); ++i)
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", profile.inputs[i].first, profile.inputs[i].second);
  text += fmt::format("\n{}\n\n", DelegateText(profile));
  Table table(profile.mean);
  table.Add(profile.operators, 0);
  nanoseconds rest = profile.mean;
  for (const OperatorProfile& row : profile.operators) rest -= row.mean;
  table.AddRest(std::max(rest, nanoseconds(0)));
  return text + table.Text();
}

}  // namespace tflite_serving
