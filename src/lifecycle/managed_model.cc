#include "lifecycle/managed_model.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lifecycle/version_policy.h"

namespace tflite_serving {

bool IsVerdict(StatusCode code) {
  return code == StatusCode::kInvalidArgument || code == StatusCode::kUnimplemented || code == StatusCode::kDataLoss ||
         code == StatusCode::kFailedPrecondition || code == StatusCode::kOutOfRange ||
         code == StatusCode::kInternal;  // as the runtime fails on a model that it cannot run
}

void ManagedModel::Configure(ModelConfig config) {
  config_ = std::move(config);
  std::erase_if(meanings_, [this](const auto& meaning) { return !config_.labels.contains(meaning.first); });
  removed_ = observed_ = false;
}

void ManagedModel::Remove(TimePoint now) {
  removed_ = true;
  problem_ = OkStatus();
  meanings_.clear();
  missing_labels_.clear();
  for (auto& [number, version] : versions_) version.aspired = false;
  Advance(now);
}

void ManagedModel::Observe(const StatusOr<std::vector<StorageVersion>>& found, TimePoint now) {
  const bool is_first = !std::exchange(observed_, true);
  if (!found.ok()) return KeepAll(found.status(), now);
  const std::vector<StorageVersion> chosen = ChooseVersions(config_.version_policy, *found);
  const std::vector<int64_t> missing = MissingVersions(config_.version_policy, *found);
  if (missing != missing_ && !missing.empty()) {
    Note(LogLevel::kWarning, fmt::format("Version(s) {} of servable {}, which the version policy names, are not under base path {}",
                                         fmt::join(missing, ", "), config_.name, config_.base_path));
  }
  missing_ = missing;
  NoteMissingLabels(*found);
  if (chosen.empty()) {
    return KeepAll(NotFoundError(fmt::format("No version of servable {} under base path {} is one that its version policy names", config_.name,
                                             config_.base_path)),
                   now);
  }
  SetProblem(OkStatus());
  for (auto& [number, version] : versions_) {
    version.aspired = version.aspired && std::ranges::find(chosen, number, &StorageVersion::version) != chosen.end();
  }
  for (const StorageVersion& one : chosen) ObserveVersion(one, is_first, now);
  Advance(now);
}

void ManagedModel::ObserveVersion(const StorageVersion& found, bool is_first, TimePoint now) {
  const auto [entry, is_new] = versions_.try_emplace(found.version);
  Version& version = entry->second;
  const bool was_being_written = !is_new && !version.settled;
  if (version.found != found) {
    version.found_since = now;
    version.settled = false;
    if (!found.warning.empty()) Note(LogLevel::kWarning, found.warning);
  }
  version.found = found;  // if only for when its status changed
  version.settled = version.settled || (is_first && !was_being_written) || now - version.found_since >= rules_.settle_time;
  if (std::exchange(version.aspired, true) || version.servable != nullptr || version.loading || version.leaving != nullptr) return;
  version.tried.reset();  // wanted again, so it is tried again
  version.failure = OkStatus();
  SetState(version, VersionState::kStart);
}

void ManagedModel::KeepAll(Status problem, TimePoint now) {
  SetProblem(std::move(problem));
  for (auto& [number, version] : versions_) {
    if (!version.settled) version.found_since = now;  // what was still being written has to be seen again
  }
  Advance(now);
}

void ManagedModel::Loaded(const LoadJob& job, StatusOr<ServableHandle> result, TimePoint now) {
  Version& version = versions_[job.id.version];
  version.loading = false;
  if (!result.ok()) {
    Fail(job.id.version, version, result.status(), now);
  } else if (removed_) {
    SetState(version, VersionState::kEnd, CancelledError("Loading of servable cancelled"));
    consequences_.dropped.push_back(*std::move(result));
  } else {
    const bool replaces = version.servable != nullptr;
    if (replaces) consequences_.dropped.push_back(std::move(version.servable));
    version.servable = *std::move(result);
    version.retries = 0;
    version.failure = OkStatus();
    SetState(version, VersionState::kAvailable);
    Note(LogLevel::kInfo, replaces ? fmt::format("Replaced servable version {} by {}, {}", job.id.ToString(), job.path,
                                                 version.has_new_file ? "which has changed" : "whose options have changed")
                                   : fmt::format("Successfully loaded servable version {}", job.id.ToString()));
  }
  Advance(now);
}

void ManagedModel::Fail(int64_t number, Version& version, const Status& status, TimePoint now) {
  const bool serves = version.servable != nullptr;
  version.failure = status;
  Note(LogLevel::kError, fmt::format("Loading servable: {} failed: {}{}", Id(number).ToString(), status.ToString(),
                                     serves ? "; the version goes on with the file it had" : ""));
  if (!IsVerdict(status.code()) && version.aspired && version.retries < rules_.max_load_retries) {
    ++version.retries;
    version.retry_at = now + std::max(rules_.load_retry_interval, std::chrono::microseconds(0));
    Note(LogLevel::kInfo, fmt::format("Retrying of Loading servable: {} retry: {} of {}, in {} s", Id(number).ToString(), version.retries,
                                      rules_.max_load_retries, std::chrono::duration<double>(rules_.load_retry_interval).count()));
    if (!serves) SetState(version, VersionState::kLoading, status);
    return;
  }
  if (version.retries > 0) {
    Note(LogLevel::kError, fmt::format("Loading servable: {} exhausted max_num_retries: {}", Id(number).ToString(), rules_.max_load_retries));
  }
  if (!serves) SetState(version, VersionState::kEnd, status);
}

void ManagedModel::Unloaded(int64_t number, const Servable* servable, TimePoint now) {
  const auto found = versions_.find(number);
  if (found == versions_.end() || found->second.leaving != servable) return;  // another took its place long ago
  Version& version = found->second;
  version.leaving = nullptr;
  if (version.servable == nullptr && !version.loading) {
    version.tried.reset();
    SetState(version, version.aspired ? VersionState::kStart : VersionState::kEnd);
  }
  Note(LogLevel::kInfo, fmt::format("Done unloading servable version {}", Id(number).ToString()));
  Advance(now);
}

void ManagedModel::Advance(TimePoint now) {
  UpdateLabels();
  if (rules_.resource_preserving) StopUnwanted();
  StartLoads(now);
  StopUnwanted();
  ForgetEnded();
}

void ManagedModel::StartLoads(TimePoint now) {
  for (auto& [number, version] : versions_) {
    if (!version.aspired || MustWait(version)) continue;
    const bool changed = version.settled && !IsTried(version);
    if (changed) version.retries = 0;
    if (changed && rules_.resource_preserving && version.servable != nullptr && version.found.status.ok()) {
      Drop(number, version);  // and it is loaded when it is gone
      continue;
    }
    if (!changed && (!version.retry_at || now < *version.retry_at)) continue;
    version.retry_at.reset();
    if (changed) version.has_new_file = version.found != version.tried || config_.load_options == version.tried_options;
    version.tried = version.found;
    version.tried_options = config_.load_options;
    if (version.found.status.ok()) {
      StartLoad(number, version);
    } else {
      // Nothing to load: another look tells when that has changed.
      Note(LogLevel::kError, fmt::format("Servable {}: {}{}", Id(number).ToString(), version.found.status.ToString(),
                                         version.servable == nullptr ? "" : "; the version goes on with the file it had"));
      version.failure = version.found.status;
      if (version.servable == nullptr) SetState(version, VersionState::kEnd, version.found.status);
    }
  }
}

void ManagedModel::StartLoad(int64_t number, Version& version) {
  version.loading = true;
  if (version.servable == nullptr) SetState(version, VersionState::kLoading);
  const bool is_base_path = version.found.path == config_.base_path;
  consequences_.loads.push_back({Id(number), version.found.path, version.found.stamp, is_base_path, version.tried_options});
}

void ManagedModel::Drop(int64_t number, Version& version) {
  version.leaving = version.servable.get();
  consequences_.dropped.push_back(std::exchange(version.servable, nullptr));
  SetState(version, VersionState::kUnloading);
  Note(LogLevel::kInfo, fmt::format("Unloading servable version {}", Id(number).ToString()));
}

void ManagedModel::StopUnwanted() {
  const bool may_drop = removed_ || std::ranges::any_of(versions_, [this](const auto& entry) { return MayReplaceOthers(entry.second); });
  for (auto& [number, version] : versions_) {
    if (version.aspired) continue;
    version.retry_at.reset();
    if (version.servable != nullptr && may_drop && !IsStillMeant(number)) {
      Drop(number, version);
    } else if (version.servable == nullptr && version.leaving == nullptr && !version.loading && version.state != VersionState::kEnd) {
      SetState(version, VersionState::kEnd);  // it never got to serve
    }
  }
}

void ManagedModel::ForgetEnded() {
  size_t ended = 0;
  std::erase_if(versions_, [&ended](const auto& entry) {
    const Version& version = entry.second;
    return !version.aspired && !version.loading && version.state == VersionState::kEnd && ++ended > kMaxEndedVersions;
  });
}

void ManagedModel::NoteMissingLabels(const std::vector<StorageVersion>& found) {
  std::map<std::string, int64_t, std::less<>> missing;
  for (const auto& [label, number] : config_.labels) {
    if (Find(number) != nullptr || std::ranges::find(found, number, &StorageVersion::version) != found.end()) continue;
    missing.emplace(label, number);
    if (const auto noted = missing_labels_.find(label); noted != missing_labels_.end() && noted->second == number) continue;
    const int64_t meant = VersionOf(label).value_or(number);
    Note(LogLevel::kWarning, fmt::format("Label \"{}\" of servable {} is for version {}, which is not there; {}", label, config_.name, number,
                                         meant == number ? "it means nothing yet" : fmt::format("it goes on meaning version {}", meant)));
  }
  missing_labels_ = std::move(missing);
}

void ManagedModel::UpdateLabels() {
  if (removed_) return;
  for (const auto& [label, number] : config_.labels) {
    const int64_t meant = VersionOf(label).value_or(number);
    if (Find(meant) == nullptr) continue;
    const auto [before, is_new] = meanings_.try_emplace(label, meant);
    if (!is_new && before->second == meant) continue;
    Note(LogLevel::kInfo, fmt::format("Label \"{}\" of servable {} means version {} now{}", label, config_.name, meant,
                                      is_new ? "" : fmt::format(", not {}", before->second)));
    before->second = meant;
  }
}

bool ManagedModel::IsStillMeant(int64_t number) const {
  return std::ranges::any_of(meanings_, [&](const auto& meaning) {
    if (meaning.second != number) return false;
    const auto label = config_.labels.find(meaning.first);
    if (label == config_.labels.end() || label->second == number) return false;
    const auto next = versions_.find(label->second);
    return next == versions_.end() || !MayReplaceOthers(next->second);
  });
}

bool ManagedModel::MayReplaceOthers(const Version& version) const {
  return version.aspired && (version.servable != nullptr || (rules_.resource_preserving && version.settled && version.found.status.ok()));
}

bool ManagedModel::MustWait(const Version& version) const {
  if (version.loading || version.leaving != nullptr) return true;
  return rules_.resource_preserving && std::ranges::any_of(versions_, [](const auto& entry) {
           return !entry.second.aspired && (entry.second.leaving != nullptr || entry.second.loading);
         });
}

void ManagedModel::SetState(Version& version, VersionState state, Status status) {
  if (version.state == state && version.status == status) return;
  version.state = state;
  version.status = std::move(status);
  consequences_.states_changed = true;
}

void ManagedModel::SetProblem(Status problem) {
  if (problem_ == problem) return;
  problem_ = std::move(problem);
  if (problem_.ok()) return;
  std::vector<int64_t> serving;
  for (const auto& [number, version] : versions_) {
    if (version.servable != nullptr) serving.push_back(number);
  }
  Note(LogLevel::kWarning,
       serving.empty() ? problem_.message() : fmt::format("{}; version(s) {} of it serve on", problem_.message(), fmt::join(serving, ", ")));
}

Consequences ManagedModel::TakeConsequences() { return std::exchange(consequences_, {}); }

TimePoint ManagedModel::next_event() const {
  TimePoint next = kNoDeadline;
  for (const auto& [number, version] : versions_) {
    if (!version.aspired || MustWait(version)) continue;
    if (version.retry_at) next = std::min(next, *version.retry_at);
    if (!version.settled) next = std::min(next, version.found_since + rules_.settle_time);
  }
  return next;
}

std::optional<int64_t> ManagedModel::VersionOf(const std::string& label) const {
  const auto now = config_.labels.find(label);
  if (now == config_.labels.end()) return std::nullopt;
  const auto before = meanings_.find(label);
  return before == meanings_.end() || Find(now->second) != nullptr || Find(before->second) == nullptr ? now->second : before->second;
}

ServableHandle ManagedModel::Find(std::optional<int64_t> wanted) const {
  if (wanted) {
    const auto found = versions_.find(*wanted);
    return found == versions_.end() ? nullptr : found->second.servable;
  }
  ServableHandle unwanted;
  for (const auto& [number, version] : versions_) {
    if (version.servable != nullptr && version.aspired) return version.servable;
    if (unwanted == nullptr) unwanted = version.servable;
  }
  return unwanted;
}

bool ManagedModel::IsComing(std::optional<int64_t> wanted) const {
  if (!observed_ && !removed_) return true;
  return std::ranges::any_of(versions_, [&wanted](const auto& entry) {
    const auto& [number, version] = entry;
    return (!wanted || *wanted == number) && version.aspired && version.state != VersionState::kAvailable && version.state != VersionState::kEnd;
  });
}

bool ManagedModel::IsGone() const {
  return std::ranges::none_of(versions_, [](const auto& entry) {
    const Version& version = entry.second;
    return version.servable != nullptr || version.loading || version.leaving != nullptr;
  });
}

Status ManagedModel::StatusOf(const Version& version) const {
  if (version.servable == nullptr) return version.status;
  if (!version.failure.ok()) {
    return {version.failure.code(), fmt::format("its replacement could not be loaded, and it serves on as it was: {}", version.failure.message())};
  }
  return problem_.ok() ? version.status : Status(problem_.code(), fmt::format("it serves on as it was: {}", problem_.message()));
}

std::vector<ManagedModel::LoadedVersion> ManagedModel::versions() const {
  std::vector<LoadedVersion> versions;
  for (const auto& [number, version] : versions_) versions.push_back({number, version.state, StatusOf(version), version.servable});
  return versions;
}

VersionStatus ManagedModel::Ask(const LoadedVersion& version) {
  VersionStatus status{.version = version.version, .state = version.state, .status = version.status};
  if (version.servable == nullptr) return status;
  status.memory_bytes = version.servable->memory_bytes();
  if (Status health = version.servable->health(); !health.ok()) status.status = std::move(health);
  return status;
}

bool ManagedModel::AtRest() const {
  return removed_ || (observed_ && std::ranges::all_of(versions_, [this](const auto& entry) {
                        const Version& version = entry.second;
                        const bool settled = version.state == VersionState::kAvailable || version.state == VersionState::kEnd;
                        return !version.aspired || (settled && !version.loading && IsTried(version));
                      }));
}

std::vector<VersionStatus> ManagedModel::failures() const {
  std::vector<VersionStatus> failures;
  for (const auto& [number, version] : versions_) {
    if (version.aspired && !version.failure.ok()) failures.push_back({number, version.state, version.failure});
  }
  return failures;
}

}  // namespace tflite_serving
