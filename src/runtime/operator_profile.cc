#include "runtime/operator_profile.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "runtime/graph_partitions.h"
#include "runtime/interpreter.h"
#include "runtime/operators.h"
#include "runtime/sample_inputs.h"
#include "runtime/tflite_file.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned kSeed = 8;
// An interpreter's first, which are not counted; the second only where there is time.
constexpr int kWarmUpRuns = 2;
constexpr std::chrono::seconds kWarmUpTime = kMaxProfileTime / 10;
constexpr std::string_view kDelegate = "XNNPACK";  // the only one there is for the CPU

// What the runtime executes between two looks at the clock: an operator, or a partition of a delegate.
struct Step {
  bool delegated = false;
  size_t graph = 0;
  size_t number = 0;  // of the operator in the graph, or how manieth partition of it this is
  std::string name;   // the runtime's, of an operator
  nanoseconds time{0};
  std::vector<RunEvent> kernels;

  bool IsLike(const Step& other) const {
    return delegated == other.delegated && graph == other.graph && number == other.number && kernels.size() == other.kernels.size();
  }
};

std::vector<Step> StepsOf(std::vector<RunEvent> events) {
  std::vector<Step> steps;
  std::map<size_t, size_t> partitions;  // so far in a graph's current run
  for (RunEvent& event : events) {
    if (event.kind == RunEvent::kGraph) {
      partitions[event.graph] = 0;
    } else if (event.kind == RunEvent::kOperator) {
      steps.push_back({.graph = event.graph, .number = event.index, .name = std::move(event.name), .time = event.time, .kernels = {}});
    } else {
      if (event.index == 0 || steps.empty() || !steps.back().delegated) {
        steps.push_back({.delegated = true, .graph = event.graph, .number = partitions[event.graph]++, .name = {}, .kernels = {}});
      }
      steps.back().time += event.time;
      steps.back().kernels.push_back(std::move(event));
    }
  }
  return steps;
}

// What runs took, in all and part by part.
class TimedParts {
 public:
  void Add(nanoseconds total, std::vector<nanoseconds> parts) { runs_.push_back({total, std::move(parts)}); }
  size_t num_runs() const { return runs_.size(); }
  // Whether all had as many.
  bool HaveParts(size_t count) const {
    return std::ranges::all_of(runs_, [count](const Run& run) { return run.parts.size() == count; });
  }

  // Leaves the slowest tenth out: the machine did something else in those. To be called once all are there, and only then the following.
  void Trim() {
    std::ranges::sort(runs_, {}, &Run::total);
    runs_.resize(runs_.size() - runs_.size() / kSlowest);
  }
  nanoseconds MeanTotal() const {
    nanoseconds sum{0};
    for (const Run& run : runs_) sum += run.total;
    return sum / static_cast<int64_t>(runs_.size());
  }
  nanoseconds Mean(size_t part) const {
    nanoseconds sum{0};
    for (const Run& run : runs_) sum += run.parts[part];
    return sum / static_cast<int64_t>(runs_.size());
  }

 private:
  static constexpr size_t kSlowest = 10;
  struct Run {
    nanoseconds total;
    std::vector<nanoseconds> parts;
  };
  std::vector<Run> runs_;
};

// The parts of a run as the runtime noted it: each step, and behind it its kernels.
std::vector<nanoseconds> PartsOf(const std::vector<Step>& steps) {
  std::vector<nanoseconds> parts;
  for (const Step& step : steps) {
    parts.push_back(step.time);
    for (const RunEvent& kernel : step.kernels) parts.push_back(kernel.time);
  }
  return parts;
}

class Profiler {
 public:
  Profiler(const Model& model, size_t signature, int threads, const ProfileRequest& request, const Clock& clock)
      : model_(model),
        signature_(signature),
        request_(request),
        clock_(clock),
        start_(clock.Now()),
        end_(std::min(request.deadline, start_ + kMaxProfileTime)) {
    profile_.signature = model.graph().signatures[signature].signature.key;
    profile_.threads = threads;
  }

  StatusOr<ModelProfile> Run() {
    TFLS_RETURN_IF_ERROR(CheckProfileRuns(request_.runs));
    TFLS_ASSIGN_OR_RETURN(file_, ReadTfliteFile(model_.path(), model_.runtime_file()));
    TFLS_RETURN_IF_ERROR(MeasureRuns());
    TFLS_RETURN_IF_ERROR(NoteRuns());
    Describe();
    return std::move(profile_);
  }

 private:
  InterpreterOptions Options() const { return {.num_threads = profile_.threads, .keep_state = true, .clock = &clock_}; }

  // With sizes for open dimensions that the model takes.
  Status FindInputs(Interpreter& interpreter) {
    const GraphSignature& graph = model_.graph().signatures[signature_];
    const std::vector<TensorSpec>& specs = graph.signature.inputs;
    const bool any_rows = std::ranges::all_of(specs, [](const TensorSpec& spec) { return spec.shape.rank() > 0 && spec.shape[0] == -1; });
    Status status;
    for (const int64_t open_dim : kOpenDims) {
      std::mt19937 random(kSeed);
      TFLS_ASSIGN_OR_RETURN(inputs_, RandomInputs(graph, model_.graph().words, any_rows ? 1 : open_dim, open_dim, random));
      views_ = ViewsOf(inputs_);
      status = interpreter.Run(signature_, views_, end_, request_.cancellation).status();
      if (status.ok() || clock_.Now() >= end_) break;
    }
    TFLS_RETURN_IF_ERROR(status);
    for (size_t i = 0; i < specs.size(); ++i) {
      profile_.inputs.emplace_back(specs[i].name, fmt::format("{}{}", DTypeName(views_[i].dtype), views_[i].shape.ToString()));
    }
    return OkStatus();
  }

  Status WarmUp(Interpreter& interpreter, int runs) {
    for (int i = 0; i < runs && clock_.Now() < start_ + kWarmUpTime; ++i) {
      TFLS_RETURN_IF_ERROR(interpreter.Run(signature_, views_, end_, request_.cancellation).status());
    }
    return OkStatus();
  }

  // As requests are run, until half of the time is over.
  Status MeasureRuns() {
    std::vector<TimePoint> times;
    InterpreterOptions options = Options();
    options.operator_times = &times;
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(model_, options));
    TFLS_RETURN_IF_ERROR(FindInputs(*interpreter));
    TFLS_RETURN_IF_ERROR(WarmUp(*interpreter, kWarmUpRuns - 1));
    const TimePoint half = start_ + (end_ - start_) / 2;
    profile_.min = nanoseconds::max();
    do {
      times.clear();
      const TimePoint began = clock_.Now();
      TFLS_RETURN_IF_ERROR(interpreter->Run(signature_, views_, end_, request_.cancellation).status());
      const nanoseconds time = clock_.Now() - began;
      profile_.min = std::min(profile_.min, time);
      profile_.max = std::max(profile_.max, time);
      measured_.Add(time, Differences(times));
    } while (++profile_.runs < request_.runs && clock_.Now() < half);
    measured_.Trim();
    profile_.mean = measured_.MeanTotal();
    return OkStatus();
  }

  static std::vector<nanoseconds> Differences(const std::vector<TimePoint>& times) {
    std::vector<nanoseconds> differences;
    for (size_t i = 1; i < times.size(); ++i) differences.push_back(times[i] - times[i - 1]);
    return differences;
  }

  Status NoteRuns() {
    InterpreterOptions options = Options();
    options.with_profiler = true;
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(model_, options));
    TFLS_RETURN_IF_ERROR(WarmUp(*interpreter, kWarmUpRuns));
    for (int i = 0; i < profile_.runs && (i == 0 || clock_.Now() < end_); ++i) {
      TFLS_ASSIGN_OR_RETURN(std::vector<RunEvent> events, interpreter->RunNoted(signature_, views_, end_, request_.cancellation));
      const auto main = std::ranges::find(events, RunEvent::kGraph, &RunEvent::kind);
      if (main != events.end()) main_graph_ = main->graph;
      AddNoted(StepsOf(std::move(events)));
    }
    noted_.Trim();
    return OkStatus();
  }

  // A run that went another way than the first says nothing of it.
  void AddNoted(std::vector<Step> steps) {
    nanoseconds total{0};
    for (const Step& step : steps) total += step.time;
    std::vector<nanoseconds> parts = PartsOf(steps);
    if (noted_.num_runs() == 0) {
      steps_ = std::move(steps);
    } else if (!std::ranges::equal(steps_, steps, [](const Step& a, const Step& b) { return a.IsLike(b); })) {
      return;
    }
    noted_.Add(total, std::move(parts));
  }

  void Describe() {
    const bool has_times = measured_.HaveParts(steps_.size());          // a look at the clock stands for a step
    std::map<std::tuple<size_t, size_t, bool, size_t>, size_t> places;  // inside of a row, of what it calls
    std::vector<OperatorProfile>& rows = profile_.operators;
    size_t part = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      Step& step = steps_[i];
      step.time = noted_.Mean(part++);
      for (RunEvent& kernel : step.kernels) kernel.time = noted_.Mean(part++);
      const nanoseconds time = has_times ? measured_.Mean(i) : step.time;
      if (step.graph == main_graph_ || rows.empty()) {
        AddTo(rows.emplace_back(RowOf(step)), step, time);
        continue;
      }
      OperatorProfile& caller = rows.back();
      if (has_times) caller.mean += time;  // what the runtime noted of it has it already
      const auto [place, is_new] = places.try_emplace({rows.size(), step.graph, step.delegated, step.number}, caller.inside.size());
      if (is_new) caller.inside.push_back(RowOf(step));
      AddTo(caller.inside[place->second], step, time);
    }
    if (main_graph_ < file_.subgraphs.size()) DescribeDelegation(file_.subgraphs[main_graph_]);
  }

  static void AddTo(OperatorProfile& row, const Step& step, nanoseconds time) {
    row.mean += time;
    row.calls += 1;
    for (size_t i = 0; i < std::min(step.kernels.size(), row.inside.size()); ++i) {
      row.inside[i].mean += step.kernels[i].time;
      row.inside[i].calls += 1;
    }
  }

  OperatorProfile RowOf(const Step& step) const {
    OperatorProfile row{.name = step.name, .tensor = {}, .operators = {}, .inside = {}};
    if (step.delegated) {
      row.name = fmt::format("{} delegate", kDelegate);
      for (const RunEvent& kernel : step.kernels) row.inside.push_back({.name = kernel.name, .tensor = {}, .operators = {}, .inside = {}});
    } else if (step.graph < file_.subgraphs.size() && step.number < file_.subgraphs[step.graph].operators.size()) {
      const FileSubgraph& subgraph = file_.subgraphs[step.graph];
      const FileOperator& op = subgraph.operators[step.number];
      row.name = NameOf(op);
      if (!op.outputs.empty() && op.outputs[0] >= 0) row.tensor = subgraph.tensors[static_cast<size_t>(op.outputs[0])].name;
    }
    return row;
  }

  std::string NameOf(const FileOperator& op) const {
    if (op.code != kCustomOperator) return OperatorName(op.code);
    const std::vector<LibraryOperator>& libraries = model_.graph().library_operators;
    const auto found = std::ranges::find(libraries, op.custom_name, &LibraryOperator::runtime_name);
    return found == libraries.end() ? op.custom_name : found->op->name;
  }

  // What did not run by itself, a delegate ran.
  void DescribeDelegation(const FileSubgraph& graph) {
    profile_.graph_operators = graph.operators.size();
    std::vector<const Step*> steps;
    for (const Step& step : steps_) {
      if (step.graph == main_graph_) steps.push_back(&step);
    }
    profile_.partitions = static_cast<size_t>(std::ranges::count_if(steps, &Step::delegated));
    if (profile_.partitions == 0) return;
    profile_.delegate = kDelegate;
    std::vector<bool> delegated(graph.operators.size(), true);
    for (const Step* step : steps) {
      if (!step->delegated && step->number < delegated.size()) delegated[step->number] = false;
    }
    profile_.delegated_operators = static_cast<size_t>(std::ranges::count(delegated, true));
    NamePartitions(graph, steps, ExecutionOrder(graph, delegated));
  }

  // If the steps are those of `order`; otherwise it stays open which operators are where.
  void NamePartitions(const FileSubgraph& graph, const std::vector<const Step*>& steps, const std::vector<OperatorGroup>& order) {
    std::vector<const OperatorGroup*> partitions;  // by step; null: an operator
    for (const OperatorGroup& group : order) {
      for (const size_t number : group.operators) {
        const size_t i = partitions.size();
        if (i == steps.size() || steps[i]->delegated != group.delegated || (!group.delegated && steps[i]->number != number)) return;
        partitions.push_back(group.delegated ? &group : nullptr);
        if (group.delegated) break;
      }
    }
    if (partitions.size() != steps.size() || partitions.size() != profile_.operators.size()) return;
    for (size_t i = 0; i < partitions.size(); ++i) {
      if (partitions[i] == nullptr) continue;
      OperatorProfile& row = profile_.operators[i];
      const size_t count = partitions[i]->operators.size();
      row.name += fmt::format(": {} operator{}", count, count == 1 ? "" : "s");
      for (const size_t number : partitions[i]->operators) row.operators.push_back(NameOf(graph.operators[number]));
    }
  }

  const Model& model_;
  const size_t signature_;
  const ProfileRequest& request_;
  const Clock& clock_;
  const TimePoint start_;
  const TimePoint end_;
  TfliteFile file_;
  size_t main_graph_ = 0;
  std::vector<Tensor> inputs_;
  std::vector<TensorView> views_;
  TimedParts measured_;      // by step
  std::vector<Step> steps_;  // of the first noted run
  TimedParts noted_;         // by PartsOf
  ModelProfile profile_;
};

}  // namespace

StatusOr<ModelProfile> ProfileOperators(const Model& model, size_t signature, int threads, const ProfileRequest& request, const Clock& clock) {
  return Profiler(model, signature, threads, request, clock).Run();
}

}  // namespace tflite_serving
