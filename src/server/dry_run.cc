#include "server/dry_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/api_keys_file.h"
#include "config/model_server_config.h"
#include "server/batched_models.h"
#include "server/measured_run.h"
#include "server/model_loading.h"
#include "server/server_tls.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr size_t kTerminalColumns = 120;
// What the last cell of a line gets, however long the names before it are.
constexpr size_t kMinTextColumns = 40;
constexpr size_t kGap = 2;
// Stands for a blank at which no line is broken. EscapeControls leaves none in a cell.
constexpr char kFixedBlank = '\t';
constexpr std::chrono::milliseconds kMeasuredTime{50};

// The last cell is text that takes what is left of the terminal's width.
using Line = std::vector<std::string>;

struct Report {
  std::vector<Line> lines;
  size_t num_served = 0;
  size_t num_failures = 0;
  size_t memory_bytes = 0;
};

// In UTF-8, continuation bytes take no column.
size_t Columns(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// `text` from column `start` on, broken at blanks; further lines are set in a little.
std::string Wrap(std::string_view text, size_t start) {
  const size_t end = std::max(kTerminalColumns, start + kMinTextColumns);
  std::string wrapped;
  size_t column = start;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!wrapped.empty() && column + 1 + Columns(word) > end) {
      wrapped += '\n';
      wrapped.append(start + kGap, ' ');
      column = start + kGap;
    } else if (!wrapped.empty()) {
      wrapped += ' ';
      ++column;
    }
    wrapped += word;
    column += Columns(word);
  }
  std::ranges::replace(wrapped, kFixedBlank, ' ');
  wrapped += '\n';
  return wrapped;
}

std::string FormatTable(const std::vector<Line>& lines) {
  std::vector<size_t> widths;
  for (const Line& line : lines) {
    widths.resize(std::max(widths.size(), line.size() - 1));
    for (size_t i = 0; i + 1 < line.size(); ++i) widths[i] = std::max(widths[i], Columns(line[i]));
  }
  std::string table;
  for (const Line& line : lines) {
    size_t start = 0;
    for (size_t i = 0; i + 1 < line.size(); ++i) {
      table += line[i];
      table.append(widths[i] - Columns(line[i]) + kGap, ' ');
      start += widths[i] + kGap;
    }
    table += Wrap(line.back(), start);
  }
  return table;
}

// `list`, which a line may break only after what separates: "pixels float[?,64]" stays together. What a model file says may also hold anything that
// a terminal acts on.
std::string ListCell(std::string_view list) {
  std::string cell = EscapeControls(list);
  for (size_t i = 1; i < cell.size(); ++i) {
    if (cell[i] == ' ' && std::string_view(",:>").find(cell[i - 1]) == std::string_view::npos) cell[i] = kFixedBlank;
  }
  return cell;
}

std::string OperatorsCell(const ModelGraph& graph) {
  std::map<std::string_view, size_t> counts;
  for (const auto& [op, use] : graph.operators) counts[op.first] += use.count;
  std::vector<std::string> uses;
  for (const auto& [name, count] : counts) uses.push_back(count == 1 ? std::string(name) : fmt::format("{} x {}", name, count));
  return ListCell(fmt::format("operators: {}", uses.empty() ? "none" : fmt::format("{}", fmt::join(uses, ", "))));
}

std::string OneRunCell(LiteRtServable& servable, size_t number) {
  const auto measure = [&]() -> StatusOr<RunTimes> {
    TFLS_ASSIGN_OR_RETURN(const std::vector<Tensor> inputs, MakeInputs(servable, number, 1));
    return MeasureRuns(servable, number, inputs, 1, kMeasuredTime);
  };
  const StatusOr<RunTimes> times = measure();
  if (times.ok()) return TimeText(times->median);
  TFLS_WARNING("{}: signature \"{}\" does not run on made-up inputs: {}", servable.id().ToString(), servable.signatures()[number].key,
               times.status().ToString());
  return "-";
}

// "2 (canary, stable)"
std::string VersionCell(const ModelConfig& config, int64_t version) {
  std::vector<std::string_view> labels;
  for (const auto& [label, meant] : config.labels) {
    if (meant == version) labels.push_back(label);
  }
  return labels.empty() ? fmt::format("{}", version) : EscapeControls(fmt::format("{} ({})", version, fmt::join(labels, ", ")));
}

void AddServed(const std::string& name, const std::string& version, LiteRtServable& servable, Report& report) {
  ++report.num_served;
  report.memory_bytes += servable.memory_bytes();
  const Parallelism& pool = servable.parallelism().parallelism;
  Line line = {name, version, BytesText(servable.memory_bytes()), fmt::format("{}x{}", pool.interpreters, pool.threads)};
  for (size_t number = 0; number < servable.signatures().size(); ++number) {
    line.insert(line.end(),
                {servable.batchable(number) ? "yes" : "no", OneRunCell(servable, number), ListCell(servable.signatures()[number].ToString())});
    report.lines.push_back(std::exchange(line, {"", "", "", ""}));
  }
  report.lines.push_back({"", "", "", "", "", "", OperatorsCell(servable.model().graph())});
}

void AddCustom(const std::string& name, const std::string& version, const Servable& servable, Report& report) {
  ++report.num_served;
  report.memory_bytes += servable.memory_bytes();
  Line line = {name, version, BytesText(servable.memory_bytes()), "-", "-", "-"};
  if (servable.TakesJson()) report.lines.push_back({name, version, BytesText(servable.memory_bytes()), "-", "-", "-", "custom: JSON to JSON"});
  for (const Signature& signature : servable.signatures()) {
    line.push_back(ListCell(fmt::format("custom: {}", signature.ToString())));
    report.lines.push_back(std::exchange(line, {"", "", "", "", "", ""}));
  }
}

void AddFailure(const std::string& name, const std::string& version, std::string_view reason, Report& report) {
  ++report.num_failures;
  report.lines.push_back({name, version, EscapeControls(fmt::format("FAILED: {}", reason))});
}

void AddModel(const Manager& manager, const ModelConfig& config, size_t budget_bytes, Report& report) {
  const std::string name = EscapeControls(config.name);
  // Those that the configuration speaks of, less those that were found.
  std::set<int64_t> missing(config.version_policy.versions.begin(), config.version_policy.versions.end());
  for (const auto& [label, version] : config.labels) missing.insert(version);
  for (const VersionStatus& one : manager.GetVersionStatuses(config.name)) {
    missing.erase(one.version);
    const std::string version = VersionCell(config, one.version);
    const StatusOr<ServableHandle> servable = manager.GetServable({.name = config.name, .version = one.version});
    const Status status = servable.ok() ? CheckFits(**servable, budget_bytes) : one.status;
    if (auto* const model = status.ok() ? dynamic_cast<LiteRtServable*>(servable->get()) : nullptr) {
      AddServed(name, version, *model, report);
    } else if (status.ok()) {
      AddCustom(name, version, **servable, report);
    } else {
      AddFailure(name, version, status.ToString(), report);
    }
  }
  const Status problem = manager.Problem(config.name);
  if (!problem.ok()) return AddFailure(name, "-", problem.ToString(), report);
  for (const int64_t version : missing) {
    if (std::ranges::find(config.version_policy.versions, version) != config.version_policy.versions.end()) {
      AddFailure(name, VersionCell(config, version), fmt::format("the version policy names it, and it is not under {}", config.base_path), report);
    } else {  // SetModels has let it pass
      report.lines.push_back({name, VersionCell(config, version), "not served, which --allow_version_labels_for_unavailable_models lets pass"});
    }
  }
}

}  // namespace

StatusOr<int> DryRun(const ServerOptions& options) {
  TFLS_RETURN_IF_ERROR(ReadBatchingParameters(options).status());
  TFLS_RETURN_IF_ERROR(ServerTls::Create(options).status());
  if (!options.api_keys_file.empty()) TFLS_RETURN_IF_ERROR(ReadApiKeysFile(options.api_keys_file).status());
  RaiseDescriptorLimit();
  ModelConfigList models = std::vector<ModelConfig>{{.name = options.model_name, .base_path = options.model_base_path}};
  if (!options.model_config_file.empty()) {
    TFLS_ASSIGN_OR_RETURN(models, ReadModelServerConfigFile(options.model_config_file));
  }
  if (!models) models.emplace();  // an empty configuration serves nothing
  RemoteModels remote(RemoteOptions(options), ProcessEnvironment());
  ManagerOptions lifecycle = LifecycleOptions(options, &remote);
  lifecycle.rules.max_load_retries = 0;
  Manager manager(MakeLoaders(options, nullptr).load, lifecycle);
  TFLS_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                        manager.SetModels(*models, {.labels_may_be_unavailable = options.allow_version_labels_for_unavailable_models}));
  manager.WaitUntilAtRest(names, kNoDeadline);

  Report report{.lines = {{"MODEL", "VERSION", "MEMORY", "POOL", "BATCH", "ONE RUN", "SIGNATURES, OPERATORS"}}};
  for (const ModelConfig& config : *models) AddModel(manager, config, MemoryBudgetBytes(options), report);
  fmt::print("{}models: {}, versions that can be served: {}, failures: {}, memory: {}\n", FormatTable(report.lines), models->size(),
             report.num_served, report.num_failures, BytesText(report.memory_bytes));
  return report.num_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace tflite_serving
