// The loaded versions of all models, and the way requests find them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "servable/servable.h"

namespace tflite_serving {

// Makes a servable from the model at `path`; the server says with what. Called without any lock held, possibly for a long time.
using ServableLoader = std::function<StatusOr<ServableHandle>(const ServableId& id, const std::string& path)>;

// Told after the state of any version has changed, on the thread that changed it and without any lock held: it may ask the manager for the states.
using StateListener = std::function<void()>;

// Thread-safe.
class Manager : public ServableSource {
 public:
  explicit Manager(ServableLoader loader, StateListener on_change = [] {}) : loader_(std::move(loader)), on_change_(std::move(on_change)) {}

  // Finds the versions under `base_path` (storage_path.h) and loads the highest, as TensorFlow Serving's default policy does.
  // The error is why nothing could be found or loaded; the version then ends in state END with the same reason.
  Status AddModel(const std::string& name, const std::string& base_path);

  StatusOr<ServableHandle> GetServable(const ModelSpec& spec) const override;
  std::vector<VersionStatus> GetVersionStatuses(std::string_view name) const override;
  std::vector<std::string> ListModels() const override;

 private:
  struct Version {
    VersionState state = VersionState::kStart;
    Status status;
    ServableHandle servable;  // set while AVAILABLE
  };
  using Versions = std::map<int64_t, Version, std::greater<>>;  // the highest first

  Status LoadVersion(const ServableId& id, const std::string& path);
  void SetState(const ServableId& id, Version version);

  const ServableLoader loader_;
  const StateListener on_change_;
  mutable Mutex mutex_;
  std::map<std::string, Versions, std::less<>> models_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
