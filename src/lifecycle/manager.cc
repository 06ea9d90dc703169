#include "lifecycle/manager.h"

#include <utility>

#include <fmt/format.h>

#include "lifecycle/storage_path.h"
#include "telemetry/log.h"

namespace tflite_serving {

Status Manager::AddModel(const std::string& name, const std::string& base_path) {
  TFLS_ASSIGN_OR_RETURN(const std::vector<StorageVersion> found, FindVersions(name, base_path));
  {
    MutexLock lock(mutex_);
    models_[name];
  }
  const StorageVersion& latest = found.back();
  const ServableId id{name, latest.version};
  if (!latest.status.ok()) {
    SetState(id, {.state = VersionState::kEnd, .status = latest.status});
    return latest.status;
  }
  return LoadVersion(id, latest.path);
}

Status Manager::LoadVersion(const ServableId& id, const std::string& path) {
  SetState(id, {.state = VersionState::kLoading});
  StatusOr<ServableHandle> servable = loader_(id, path);
  if (!servable.ok()) {
    TFLS_ERROR("Loading servable: {} failed: {}", id.ToString(), servable.status().ToString());
    SetState(id, {.state = VersionState::kEnd, .status = servable.status()});
    return servable.status();
  }
  SetState(id, {.state = VersionState::kAvailable, .servable = *std::move(servable)});
  TFLS_INFO("Successfully loaded servable version {}", id.ToString());
  return OkStatus();
}

void Manager::SetState(const ServableId& id, Version version) {
  {
    MutexLock lock(mutex_);
    models_[id.name].insert_or_assign(id.version, std::move(version));
  }
  on_change_();
}

StatusOr<ServableHandle> Manager::GetServable(const ModelSpec& spec) const {
  if (!spec.version_label.empty()) return InvalidArgumentError(fmt::format("Unrecognized servable version label: {}", spec.version_label));
  {
    MutexLock lock(mutex_);
    if (const auto model = models_.find(spec.name); model != models_.end()) {
      for (const auto& [number, version] : model->second) {
        if (version.servable != nullptr && (!spec.version || *spec.version == number)) return version.servable;
      }
    }
  }
  return NotFoundError(fmt::format("Servable not found for request: {}", spec.ToString()));
}

std::vector<VersionStatus> Manager::GetVersionStatuses(std::string_view name) const {
  std::vector<VersionStatus> statuses;
  MutexLock lock(mutex_);
  if (const auto model = models_.find(name); model != models_.end()) {
    for (const auto& [number, version] : model->second) statuses.push_back({number, version.state, version.status});
  }
  return statuses;
}

std::vector<std::string> Manager::ListModels() const {
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  names.reserve(models_.size());
  for (const auto& [name, versions] : models_) names.push_back(name);
  return names;
}

}  // namespace tflite_serving
