// For tests: a source of servables that holds exactly what the test puts in.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "servable/servable.h"

namespace tflite_serving {

// Thread-compatible.
class FakeServableSource : public ServableSource {
 public:
  explicit FakeServableSource(std::vector<ServableHandle> held) : servables(std::move(held)) {}

  StatusOr<ServableHandle> GetServable(const ModelSpec& spec) const override {
    for (const ServableHandle& servable : servables) {
      if (servable->id().name == spec.name && (!spec.version || *spec.version == servable->id().version)) return servable;
    }
    return NotFoundError("Servable not found for request: " + spec.ToString());
  }
  std::vector<VersionStatus> GetVersionStatuses(std::string_view name) const override {
    std::vector<VersionStatus> statuses;
    for (const ServableHandle& servable : servables) {
      if (servable->id().name == name) statuses.push_back({.version = servable->id().version, .state = VersionState::kAvailable});
    }
    return statuses;
  }
  bool HasModel(std::string_view name) const override { return !GetVersionStatuses(name).empty(); }
  std::vector<std::string> ListModels() const override {
    std::vector<std::string> names;
    for (const ServableHandle& servable : servables) names.push_back(servable->id().name);
    return names;
  }

  std::vector<ServableHandle> servables;  // for tests to change while nobody asks
};

}  // namespace tflite_serving
