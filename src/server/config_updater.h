// Gives the manager its configurations, one after the other: the flags' or the file's at start, the file's when it has changed, and those of
// HandleReloadConfigRequest as they come.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "config/model_server_config.h"
#include "lifecycle/manager.h"

namespace tflite_serving {

struct ConfigUpdaterOptions {
  std::string file;                       // --model_config_file; empty: none
  std::chrono::seconds poll_interval{0};  // of looks at the file; 0 or less: it is read once
  std::chrono::seconds time_limit{20};    // for the models of one configuration to be loaded, before its sender is answered
  bool labels_may_be_unavailable = false;
  std::function<void(const std::vector<ModelConfig>&)> on_accepted = [](const auto&) {};  // told each configuration that the manager has taken
};

// Thread-safe.
class ConfigUpdater {
 public:
  // Configurations that may wait for the one being applied.
  static constexpr size_t kMaxWaiting = 16;

  // `manager` is borrowed and must outlive this object.
  ConfigUpdater(Manager& manager, ConfigUpdaterOptions options) : manager_(manager), options_(std::move(options)) {}
  ~ConfigUpdater() { Stop(); }
  ConfigUpdater(const ConfigUpdater&) = delete;
  ConfigUpdater& operator=(const ConfigUpdater&) = delete;

  // The configuration at start: the file's, or without one `model` alone. Returns before its models are loaded. A base path that is not there is a
  // warning. Errors: those of the file, and SetModels.
  Status ApplyFirst(const ModelConfig& model);

  // Starts the thread "model_config", and "model_start", which calls `on_started` once, as soon as no model of the first configuration is loading,
  // with what could not be served (Manager::Failures). To be called once, after ApplyFirst.
  void Start(std::function<void(const Status& failures)> on_started);

  // Applies a configuration on that thread, after those that came before; then calls `done` with
  //   what SetModels refuses   nothing was changed
  //   UNKNOWN            a model cannot be served (Manager::Failures); the configuration stays, and so does what could be loaded
  //   DEADLINE_EXCEEDED  models are still loading, and go on
  //   UNAVAILABLE        kMaxWaiting others wait, or the server is stopping; nothing was changed
  void Reload(ModelConfigList config, std::function<void(const Status&)> done);

  // The same with what the file says now, whether it has changed or not. FAILED_PRECONDITION without a file.
  void ReloadFile(std::function<void(const Status&)> done);

  // Finishes what is being applied without waiting for its models, refuses what waits, and joins. Calling it again does nothing.
  // Manager::Stop must have been called, or this waits for models that are loading.
  void Stop();

 private:
  struct Waiting {
    ModelConfigList config;
    bool is_in_file = false;  // the configuration is what the file says
    std::function<void(const Status&)> done;
  };

  void Enqueue(Waiting next);

  void Work();
  // The next one to apply, or nothing at `until`, or when it is time to stop.
  std::optional<Waiting> Next(TimePoint until);
  // Whether the manager took it is in `accepted`; `source` is for the log.
  Status Apply(const ModelConfigList& config, std::string_view source, bool& accepted);
  // `anyway`: also if it says what it said last.
  Status ApplyFile(bool anyway);
  void PollFile();

  Manager& manager_;
  const ConfigUpdaterOptions options_;
  std::vector<std::string> first_models_;
  ModelConfigList from_file_;  // as the manager took it last
  Status file_problem_;        // of the last look at it
  Mutex mutex_;
  CondVar wake_;
  std::deque<Waiting> waiting_ TFLS_GUARDED_BY(mutex_);
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::jthread starter_;  // these last: they use everything above
  std::jthread thread_;
};

}  // namespace tflite_serving
