#include "lifecycle/manager.h"

#include <algorithm>
#include <latch>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "lifecycle/storage_path.h"
#include "lifecycle/version_policy.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace tflite_serving {
namespace {

bool Has(const std::vector<StorageVersion>& versions, int64_t number) {
  return std::ranges::find(versions, number, &StorageVersion::version) != versions.end();
}

// Those that look, and those that fetch.
constexpr int kRemoteThreads = 4;

VersionForm FormOf(const ModelConfig& config, bool modules_are_watched, bool is_remote) {
  if (!config.load_options.custom) return {};
  const CustomModel& custom = *config.load_options.custom;
  // A library that is loaded anew under its own name is the one that is loaded already. A directory elsewhere differs when anything in it does.
  const bool is_watched = modules_are_watched && custom.kind == CustomModel::Kind::kPython && !is_remote;
  return {.is_directory = true, .watched = is_watched ? custom.module_path : ""};
}

// The same servable, whose files stay as long as it does.
ServableHandle KeepFiles(ServableHandle servable, std::shared_ptr<const void> lease) {
  if (lease == nullptr) return servable;
  struct Kept {
    std::shared_ptr<const void> lease;
    ServableHandle servable;  // goes first
  };
  auto kept = std::make_shared<Kept>(Kept{std::move(lease), std::move(servable)});
  Servable* const address = kept->servable.get();
  return {std::move(kept), address};
}

// Whether a configuration itself brings the version.
bool Brings(const VersionPolicy& policy, const StatusOr<std::vector<StorageVersion>>& found, int64_t number) {
  if (policy.kind == VersionPolicy::Kind::kSpecific) return std::ranges::find(policy.versions, number) != policy.versions.end();
  return found.ok() && Has(ChooseVersions(policy, *found), number);
}

}  // namespace

Manager::Manager(ServableLoader loader, const ManagerOptions& options, StateListener on_change, const FileSystem& files, const Clock& clock)
    : loader_(std::move(loader)),
      options_(options),
      on_change_(std::move(on_change)),
      files_(files),
      clock_(clock),
      // At most one job for each version on disk waits here.
      loaders_("model_load", options.num_load_threads, std::numeric_limits<size_t>::max()),
      retired_([this](const ServableId& id, const Servable* servable) {
        Change(id.name, [&](ManagedModel& model) { model.Unloaded(id.version, servable, clock_.Now()); });
      }),
      budget_(options.memory_budget.bytes == 0 ? nullptr : MemoryBudget::Create(options.memory_budget, retired_, files, clock)) {}

Manager::~Manager() {
  Stop();
  std::unique_ptr<RemoteThreads> remote_threads;
  {
    const MutexLock lock(mutex_);
    remote_threads = std::move(remote_threads_);
  }
  if (remote_threads != nullptr) {
    remote_threads->lookers.Stop();
    remote_threads->fetchers.Stop();
  }
  loaders_.Stop();
  if (budget_ != nullptr) budget_->Shutdown();
}

void Manager::Stop() {
  stop_.Cancel();
  if (budget_ != nullptr) budget_->Stop();
  {
    MutexLock lock(mutex_);  // so that nobody misses it between a look and a wait
  }
  changed_.NotifyAll();
}

Manager::Found Manager::Find(const ModelConfig& config) const {
  const bool is_remote = IsRemote(config.base_path);
  const VersionForm form = FormOf(config, options_.custom_modules_are_watched, is_remote);
  if (!is_remote) return FindVersions(files_, config.name, config.base_path, form);
  return FindVersions(*options_.remote->Look(config.base_path, stop_), config.name, config.base_path, form);
}

std::vector<std::optional<Manager::Found>> Manager::FindFirst(const std::vector<ModelConfig>& models, const ConfigRules& rules) {
  std::vector<std::optional<Found>> found(models.size());
  std::vector<size_t> remote;
  for (size_t i = 0; i < models.size(); ++i) {
    if (!IsRemote(models[i].base_path)) {
      found[i] = Find(models[i]);
    } else {
      remote.push_back(i);
    }
  }
  if (remote.empty()) return found;
  WorkerPool* lookers = nullptr;
  {
    const MutexLock lock(mutex_);
    if (remote_threads_ == nullptr) {
      constexpr size_t kAny = std::numeric_limits<size_t>::max();
      remote_threads_.reset(new RemoteThreads{.lookers{"model_look", kRemoteThreads, kAny}, .fetchers{"model_fetch", kRemoteThreads, kAny}});
    }
    lookers = &remote_threads_->lookers;
  }
  if (!rules.paths_must_exist) return found;
  std::erase_if(remote, [&](size_t i) { return ConfigOf(models[i].name) == models[i]; });
  std::latch done(static_cast<ptrdiff_t>(remote.size()));
  for (const size_t i : remote) {
    std::function<void()> look = [&, i] {
      found[i] = Find(models[i]);
      done.count_down();
    };
    if (!lookers->TrySubmit(look)) done.count_down();
  }
  done.wait();
  return found;
}

void Manager::StartLook(const ModelConfig& config) {
  const MutexLock lock(mutex_);
  if (remote_threads_ == nullptr || std::exchange(looks_[config.name].under_way, true)) return;
  std::function<void()> look = [this, config] {
    const Found found = Find(config);
    bool is_wanted = false;
    Change(config.name, [&](ManagedModel& model) {
      is_wanted = !stop_.cancelled() && !model.removed() && model.config().base_path == config.base_path;
      if (is_wanted) model.Observe(found, clock_.Now());
    });
    {
      const MutexLock after(mutex_);
      looks_[config.name] = {.next = is_wanted ? clock_.Now() + options_.remote->look_interval() : clock_.Now()};
    }
    changed_.NotifyAll();  // the poller
  };
  if (!remote_threads_->lookers.TrySubmit(look)) looks_[config.name].under_way = false;  // the manager is being destroyed
}

Status Manager::CheckModel(const ModelConfig& config, const std::optional<Found>& looked, const ConfigRules& rules) const {
  const Found found = looked.value_or(UnavailableError("not looked at yet"));
  const auto existing = models_.find(config.name);
  const ManagedModel* const model = existing == models_.end() || existing->second.removed() ? nullptr : &existing->second;
  const bool is_same_path = model != nullptr && model->config().base_path == config.base_path;
  if (!found.ok() && !is_same_path) return rules.paths_must_exist ? found.status() : OkStatus();
  for (const auto& [label, version] : config.labels) {
    if ((model != nullptr && model->Find(version) != nullptr) || Brings(config.version_policy, found, version)) continue;
    if (rules.labels_may_be_unavailable) {
      if (model == nullptr) continue;
      const auto assigned = model->config().labels.find(label);
      if (assigned == model->config().labels.end() || assigned->second == version) continue;
    }
    return FailedPreconditionError(
        fmt::format("Request to assign label to version {} of model {}, which is not currently available for inference", version, config.name));
  }
  return OkStatus();
}

StatusOr<std::vector<std::string>> Manager::SetModels(std::vector<ModelConfig> models, const ConfigRules& rules) {
  std::set<std::string, std::less<>> names;
  for (const ModelConfig& config : models) names.insert(config.name);
  const std::vector<std::optional<Found>> found = FindFirst(models, rules);

  std::vector<std::string> changed;
  std::vector<ModelConfig> looks;
  std::vector<std::pair<std::string, Consequences>> consequences;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < models.size(); ++i) TFLS_RETURN_IF_ERROR(CheckModel(models[i], found[i], rules));
    const TimePoint now = clock_.Now();
    std::erase_if(models_, [](const auto& entry) { return entry.second.removed() && entry.second.IsGone(); });
    for (auto look = looks_.begin(); look != looks_.end();) {
      look = look->second.under_way || models_.contains(look->first) ? std::next(look) : looks_.erase(look);
    }
    for (auto& [name, model] : models_) {
      if (names.contains(name)) continue;
      model.Remove(now);
      consequences.emplace_back(name, model.TakeConsequences());
    }
    for (size_t i = 0; i < models.size(); ++i) {
      const auto [entry, is_new] = models_.try_emplace(models[i].name, models[i], options_.rules);
      ManagedModel& model = entry->second;
      if (!is_new && !model.removed() && model.config() == models[i]) continue;
      changed.push_back(entry->first);
      model.Configure(std::move(models[i]));
      if (found[i]) {
        model.Observe(*found[i], now);
        if (IsRemote(model.config().base_path)) looks_[entry->first].next = now + options_.remote->look_interval();
      } else {
        looks.push_back(model.config());
      }
      consequences.emplace_back(entry->first, model.TakeConsequences());
    }
  }
  // All are told of before any is loaded: even those that have no version yet, or none any more.
  for (const auto& [name, one] : consequences) on_change_(name);
  for (auto& [name, one] : consequences) CarryOut(name, std::move(one));
  for (const ModelConfig& config : looks) StartLook(config);
  return changed;
}

void Manager::Poll() {
  std::vector<ModelConfig> configs;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, model] : models_) {
      if (!model.removed() && !IsRemote(model.config().base_path)) configs.push_back(model.config());
    }
  }
  for (const ModelConfig& config : configs) {
    if (stop_.cancelled()) return;
    const Found found = Find(config);
    Change(config.name, [&](ManagedModel& model) {
      if (!model.removed() && model.config().base_path == config.base_path) model.Observe(found, clock_.Now());
    });
  }
}

void Manager::StartPolling(std::chrono::milliseconds interval) {
  poller_ = StartThread("model_poll", [this, interval] { PollLoop(interval); });
}

Manager::Due Manager::WhatIsDue(TimePoint next_poll) {
  const TimePoint now = clock_.Now();
  Due due{.poll = now >= next_poll, .next = next_poll};
  for (const auto& [name, model] : models_) {
    TimePoint next = model.next_event();
    const bool is_remote = IsRemote(model.config().base_path);
    if (is_remote && options_.remote->look_interval().count() > 0 && !model.removed()) {
      const RemoteLook& look = looks_[name];
      next = look.under_way ? kNoDeadline : std::min(next, look.next);
      if (now >= next) due.looks.push_back(model.config());
    } else if (now >= next && !is_remote && next_poll != kNoDeadline) {
      due.poll = true;
    } else if (now >= next) {
      due.advances.push_back(name);
    }
    due.next = std::min(due.next, next);
  }
  return due;
}

void Manager::PollLoop(std::chrono::milliseconds interval) {
  const bool polls = interval.count() > 0;
  TimePoint next_poll = polls ? clock_.Now() + interval : kNoDeadline;
  while (!stop_.cancelled()) {
    Due due;
    {
      MutexLock lock(mutex_);
      due = WhatIsDue(next_poll);
      if (clock_.Now() < due.next) {
        changed_.WaitUntil(mutex_, due.next);
        continue;
      }
    }
    if (due.poll) {
      Poll();
      next_poll = clock_.Now() + interval;
    }
    for (const ModelConfig& config : due.looks) StartLook(config);
    for (const std::string& name : due.advances) Change(name, [this](ManagedModel& model) { model.Advance(clock_.Now()); });
  }
}

void Manager::Change(const std::string& name, const std::function<void(ManagedModel&)>& change) {
  Consequences consequences;
  {
    MutexLock lock(mutex_);
    const auto model = models_.find(name);
    if (model == models_.end()) return;
    change(model->second);
    consequences = model->second.TakeConsequences();
  }
  CarryOut(name, std::move(consequences));
}

void Manager::CarryOut(const std::string& name, Consequences consequences) {
  for (const Consequences::Note& note : consequences.notes) TFLS_LOG(note.level, "{}", note.text);
  consequences.dropped.clear();
  for (const LoadJob& job : consequences.loads) {
    if (IsRemote(job.path)) {
      std::function<void()> fetch = [this, job] { Fetch(job); };
      const MutexLock lock(mutex_);
      if (remote_threads_ == nullptr || !remote_threads_->fetchers.TrySubmit(fetch)) return;  // the manager is being destroyed
    } else {
      std::function<void()> load = [this, job] { Load(job, {.path = job.path, .stamp = job.stamp, .lease = nullptr}); };
      if (!loaders_.TrySubmit(load)) return;
    }
  }
  if (consequences.states_changed) on_change_(name);
  changed_.NotifyAll();  // whoever waits for rest, or for the next event, may look at more than states
}

void Manager::Fetch(const LoadJob& job) {
  if (stop_.cancelled()) return;
  StatusOr<LocalCopy> copy = options_.remote->Fetch(
      {.path = job.path, .stamp = job.stamp, .is_directory = job.options.custom.has_value(), .is_alone = job.is_base_path}, stop_);
  if (stop_.cancelled()) return;
  if (copy.ok()) {
    std::function<void()> load = [this, job, copy = *std::move(copy)] { Load(job, copy); };
    if (!loaders_.TrySubmit(load)) return;
  } else {
    CountLoad(job.id.name, copy.status().code(), std::chrono::nanoseconds(0));
    Change(job.id.name, [&](ManagedModel& model) { model.Loaded(job, copy.status(), clock_.Now()); });
  }
}

void Manager::Load(const LoadJob& job, const LocalCopy& copy) {
  if (stop_.cancelled()) return;
  const TimePoint start = clock_.Now();
  StatusOr<ServableHandle> servable = loader_(job.id, copy.path, job.options, stop_);
  if (stop_.cancelled()) return;
  if (servable.ok() && budget_ != nullptr && !job.options.custom) servable = budget_->Admit(*std::move(servable), copy.path, copy.stamp, job.options);
  CountLoad(job.id.name, servable.status().code(), clock_.Now() - start);
  if (servable.ok()) servable = retired_.Watch(KeepFiles(*std::move(servable), copy.lease));
  Change(job.id.name, [&](ManagedModel& model) { model.Loaded(job, std::move(servable), clock_.Now()); });
}

void Manager::CountLoad(const std::string& name, StatusCode code, std::chrono::nanoseconds time) {
  Loads load{.time = code == StatusCode::kOk ? time : std::chrono::nanoseconds(0)};
  load.by_code[static_cast<size_t>(code)] = 1;
  const MutexLock lock(mutex_);
  for (auto entry = loads_.begin(); entry != loads_.end();) entry = models_.contains(entry->first) ? std::next(entry) : loads_.erase(entry);
  if (models_.contains(name)) loads_[name].Add(load);
  all_loads_.Add(load);
}

bool Manager::AreAtRest(std::span<const std::string> names) const {
  for (const std::string& name : names) {
    if (const auto model = models_.find(name); model != models_.end() && !model->second.AtRest()) return false;
  }
  return true;
}

bool Manager::WaitUntilAtRest(std::span<const std::string> names, TimePoint deadline) {
  MutexLock lock(mutex_);
  while (!AreAtRest(names)) {
    if (stop_.cancelled() || clock_.Now() >= deadline) return false;
    changed_.WaitUntil(mutex_, deadline);
  }
  return true;
}

Status Manager::Failures(std::span<const std::string> names, std::string_view noun) const {
  std::string reasons;
  int count = 0;
  MutexLock lock(mutex_);
  for (const std::string& name : names) {
    const auto model = models_.find(name);
    if (model == models_.end()) continue;
    const std::vector<VersionStatus> failures = model->second.failures();
    const Status& problem = model->second.problem();
    if (!failures.empty() || !problem.ok()) ++count;
    if (!problem.ok()) reasons += fmt::format("{{{} due to error: {}}}, ", name, problem.ToString());
    for (const VersionStatus& failure : failures) {
      reasons += fmt::format("{{{} due to error: {}}}, ", ServableId{name, failure.version}.ToString(), failure.status.ToString());
    }
  }
  return count == 0 ? OkStatus() : UnknownError(fmt::format("{} {} did not become available: {{{}}}", count, noun, reasons));
}

Status Manager::Problem(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto model = models_.find(name);
  return model == models_.end() ? OkStatus() : model->second.problem();
}

StatusOr<ServableHandle> Manager::GetServable(const ModelSpec& spec) const {
  const auto not_found = [&spec] { return NotFoundError(fmt::format("Servable not found for request: {}", spec.ToString())); };
  MutexLock lock(mutex_);
  const auto found = models_.find(spec.name);
  if (found == models_.end() || found->second.removed()) return not_found();
  const ManagedModel& model = found->second;
  std::optional<int64_t> version = spec.version;
  if (!spec.version_label.empty()) {
    version = model.VersionOf(spec.version_label);
    if (!version) return InvalidArgumentError(fmt::format("Unrecognized servable version label: {}", spec.version_label));
  }
  if (ServableHandle servable = model.Find(version)) return servable;
  if (model.IsComing(version)) return UnavailableError(fmt::format("Servable is still being loaded for request: {}", spec.ToString()));
  if (version != spec.version) return NotFoundError(fmt::format("Servable not found for request: Specific({}, {})", spec.name, *version));
  return not_found();
}

std::vector<VersionStatus> Manager::GetVersionStatuses(std::string_view name) const {
  std::vector<ManagedModel::LoadedVersion> versions;  // outlive the lock, as below
  {
    const MutexLock lock(mutex_);
    if (const auto model = models_.find(name); model != models_.end()) versions = model->second.versions();
  }
  std::vector<VersionStatus> statuses(versions.size());
  std::ranges::transform(versions, statuses.begin(), ManagedModel::Ask);
  return statuses;
}

std::vector<std::string> Manager::ListModels() const {
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  names.reserve(models_.size());
  for (const auto& [name, model] : models_) {
    if (!model.removed()) names.push_back(name);
  }
  return names;
}

void Manager::Collect(MetricsPage& page) const {
  CollectLoads(page);
  for (const std::string& name : ListModels()) CollectModel(name, page);
  if (budget_ != nullptr) budget_->Collect(page);
}

void Manager::Loads::Add(const Loads& other) {
  for (size_t code = 0; code < kNumStatusCodes; ++code) by_code[code] += other.by_code[code];
  time += other.time;
}

void Manager::CollectLoads(MetricsPage& page) const {
  std::map<std::string, Loads> by_name;
  std::map<std::string, Loads> by_path;  // two models may have one
  Loads all;
  {
    const MutexLock lock(mutex_);
    all = all_loads_;
    for (const auto& [name, model] : models_) {
      const auto loads = loads_.find(name);
      if (model.removed() || loads == loads_.end()) continue;
      by_name[name] = loads->second;
      by_path[model.config().base_path].Add(loads->second);
    }
  }
  const auto microseconds = [](std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / metrics::kTicksPerMicrosecond; };
  for (const auto& [name, loads] : by_name) {
    for (size_t code = 0; code < kNumStatusCodes; ++code) {
      if (code != 0 && loads.by_code[code] == 0) continue;
      page.Add(metrics::kModelLoads, {name, StatusCodeName(static_cast<StatusCode>(code))}, static_cast<double>(loads.by_code[code]));
    }
    page.Add(metrics::kModelLoadSeconds, {name}, std::chrono::duration<double>(loads.time).count());
  }
  for (const auto& [path, loads] : by_path) {
    const uint64_t attempts = std::accumulate(loads.by_code.begin(), loads.by_code.end(), uint64_t{0});
    page.Add(metrics::kTfLoadAttempts, {path, "success"}, static_cast<double>(loads.by_code[0]));
    page.Add(metrics::kTfLoadAttempts, {path, "fail"}, static_cast<double>(attempts - loads.by_code[0]));
    page.Add(metrics::kTfLoadLatency, {path}, microseconds(loads.time));
  }
  page.Add(metrics::kTfGraphBuilds, {}, static_cast<double>(all.by_code[0]));
  page.Add(metrics::kTfGraphBuildTime, {}, microseconds(all.time));
}

void Manager::CollectModel(const std::string& name, MetricsPage& page) const {
  std::vector<ManagedModel::LoadedVersion> versions;  // outlive the lock: they may be the last handles, and are asked below
  size_t num_problems = 0;
  {
    const MutexLock lock(mutex_);
    const auto model = models_.find(name);
    if (model == models_.end()) return;
    versions = model->second.versions();
    num_problems = model->second.failures().size() + (model->second.problem().ok() ? 0 : 1);
  }
  const bool available = std::ranges::find(versions, VersionState::kAvailable, &ManagedModel::LoadedVersion::state) != versions.end();
  page.Add(metrics::kModelAvailable, {name}, available ? 1 : 0);
  page.Add(metrics::kModelProblems, {name}, static_cast<double>(num_problems));
  for (const auto& [number, state, status, servable] : versions) {
    const std::string version = std::to_string(number);
    page.Add(metrics::kModelState, {name, version, VersionStateName(state)}, 1);
    if (servable == nullptr) continue;
    page.Add(metrics::kModelHealthy, {name, version}, servable->health().ok() ? 1 : 0);
    page.Add(metrics::kModelMemory, {name, version}, static_cast<double>(servable->memory_bytes()));
    page.Add(metrics::kInterpreters, {name, version}, static_cast<double>(servable->num_interpreters()));
    servable->Collect(page);
  }
}

std::optional<ModelConfig> Manager::ConfigOf(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto model = models_.find(name);
  return model == models_.end() || model->second.removed() ? std::nullopt : std::optional(model->second.config());
}

bool Manager::HasModel(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto model = models_.find(name);
  return model != models_.end() && !model->second.removed();
}

}  // namespace tflite_serving
