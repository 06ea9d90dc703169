// The models that are configured, their loaded versions, and the way requests find them.
//
// What becomes of a version is decided in managed_model.h; this carries it out. Threads: "model_poll" looks at the disk, "model_load" loads,
// "model_unload" destroys; memory_budget.h has its own (ARCHITECTURE.md). Base paths elsewhere are looked at by "model_look" and fetched by
// "model_fetch", which nothing on this machine waits for.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/remote_files.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "lifecycle/managed_model.h"
#include "lifecycle/memory_budget.h"
#include "lifecycle/retired_servables.h"
#include "lifecycle/servable_loader.h"
#include "servable/model_config.h"
#include "servable/servable.h"

namespace tflite_serving {

// Told the name of a model after the state of any of its versions has changed, or it came or went, on the thread that changed it and without any lock
// held: it may ask the manager for the states.
using StateListener = std::function<void(const std::string& name)>;

struct ManagerOptions {
  LifecycleRules rules;
  int num_load_threads = 1;
  MemoryBudgetOptions memory_budget = {};   // of models on the built-in runtime; custom ones stay
  bool custom_modules_are_watched = false;  // --reload_custom_on_change
  RemoteFiles* remote = nullptr;            // borrowed; null: all base paths are on this machine
};

// How SetModels takes a configuration.
struct ConfigRules {
  // A base path that is not there is an error, unless that model is configured with it already. Otherwise it is a warning, and looked at again.
  bool paths_must_exist = false;
  // --allow_version_labels_for_unavailable_models
  bool labels_may_be_unavailable = false;
};

// Thread-safe, unless said otherwise.
class Manager : public ServableSource {
 public:
  Manager(
      ServableLoader loader, const ManagerOptions& options, StateListener on_change = [](const std::string&) {},
      const FileSystem& files = FileSystem::Real(), const Clock& clock = Clock::Steady());
  // Stops it. Handles that are out stay valid.
  ~Manager() override;
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Makes `models`, whose names differ, all that is served: new ones are loaded, those no longer named are unloaded, others change their policy,
  // path and labels. A model that is gone is forgotten by the next call. Checks everything first and changes nothing if it is refused; returns before
  // anything is loaded. One call at a time. Errors:
  //   FAILED_PRECONDITION  a label means a version that is neither AVAILABLE nor chosen by the same configuration (the original's text)
  //   of FindVersions      see ConfigRules
  // Gives the names of those that are new or changed.
  StatusOr<std::vector<std::string>> SetModels(std::vector<ModelConfig> models, const ConfigRules& rules);

  // Looks at every base path on this machine, and starts what follows from it. One call at a time.
  void Poll();
  // Calls Poll every `interval` from now on, or never if that is zero, and looks elsewhere as often as RemoteFiles say; retries happen in either
  // case. To be called once.
  void StartPolling(std::chrono::milliseconds interval);

  // Until each version of these models that is wanted is AVAILABLE or at its END. False if that is not so by `deadline`, or the manager was stopped.
  bool WaitUntilAtRest(std::span<const std::string> names, TimePoint deadline);
  // Which of these models have a problem(), or wanted versions that cannot be served as they are on disk, in the original's words: "1 model(s) did
  // not become available: {…}", with `noun` for "model(s)"; OK if there are none.
  Status Failures(std::span<const std::string> names, std::string_view noun) const;

  // Why this model has no version that its policy chooses, or not those found last: what the last look at its base path said. OK otherwise.
  Status Problem(std::string_view name) const;

  // Looks, loads and waits no more; what is being loaded is given up, and what is loaded serves on. Returns before that is over.
  void Stop();

  StatusOr<ServableHandle> GetServable(const ModelSpec& spec) const override;
  std::vector<VersionStatus> GetVersionStatuses(std::string_view name) const override;
  std::vector<std::string> ListModels() const override;
  bool HasModel(std::string_view name) const override;
  // The loads and states of all versions, those that are served themselves, and the memory budget.
  void Collect(MetricsPage& page) const;
  // As it is configured now; nothing if it is not.
  std::optional<ModelConfig> ConfigOf(std::string_view name) const;

 private:
  using Models = std::map<std::string, ManagedModel, std::less<>>;
  using Found = StatusOr<std::vector<StorageVersion>>;

  // Attempts to load, by how they ended; and the time of those that succeeded.
  struct Loads {
    std::array<uint64_t, kNumStatusCodes> by_code{};
    std::chrono::nanoseconds time{0};

    void Add(const Loads& other);
  };

  // Of a base path that is elsewhere.
  struct RemoteLook {
    bool under_way = false;
    TimePoint next{};  // once that is over
  };
  struct RemoteThreads {
    WorkerPool lookers;
    WorkerPool fetchers;
  };
  struct Due {
    bool poll = false;
    std::vector<ModelConfig> looks;
    std::vector<std::string> advances;
    TimePoint next = kNoDeadline;
  };

  void CollectLoads(MetricsPage& page) const;
  void CollectModel(const std::string& name, MetricsPage& page) const;
  Found Find(const ModelConfig& config) const;
  bool IsRemote(const std::string& base_path) const { return options_.remote != nullptr && options_.remote->Holds(base_path); }
  // What is found at those of `models` that are looked at before they are taken; nothing for the others.
  std::vector<std::optional<Found>> FindFirst(const std::vector<ModelConfig>& models, const ConfigRules& rules);
  // Has a model_look thread look, unless one does.
  void StartLook(const ModelConfig& config);
  Due WhatIsDue(TimePoint next_poll) TFLS_REQUIRES(mutex_);
  Status CheckModel(const ModelConfig& config, const std::optional<Found>& found, const ConfigRules& rules) const TFLS_REQUIRES(mutex_);
  // Changes a model under the lock and carries out what follows; nothing if there is no such model.
  void Change(const std::string& name, const std::function<void(ManagedModel&)>& change);
  void CarryOut(const std::string& name, Consequences consequences);
  void Fetch(const LoadJob& job);
  void Load(const LoadJob& job, const LocalCopy& copy);
  void CountLoad(const std::string& name, StatusCode code, std::chrono::nanoseconds time);
  void PollLoop(std::chrono::milliseconds interval);
  bool AreAtRest(std::span<const std::string> names) const TFLS_REQUIRES(mutex_);

  const ServableLoader loader_;
  const ManagerOptions options_;
  const StateListener on_change_;
  const FileSystem& files_;
  const Clock& clock_;
  Cancellation stop_;
  mutable Mutex mutex_;
  CondVar changed_;  // any state, or stop_
  Models models_ TFLS_GUARDED_BY(mutex_);
  std::map<std::string, Loads, std::less<>> loads_ TFLS_GUARDED_BY(mutex_);  // of models_
  Loads all_loads_ TFLS_GUARDED_BY(mutex_);                                  // of models that are gone too
  std::map<std::string, RemoteLook, std::less<>> looks_ TFLS_GUARDED_BY(mutex_);
  WorkerPool loaders_;
  std::unique_ptr<RemoteThreads> remote_threads_ TFLS_GUARDED_BY(mutex_);  // from the first remote base path on
  RetiredServables retired_;
  const std::shared_ptr<MemoryBudget> budget_;  // null: none
  std::jthread poller_;                         // last: it uses everything above
};

}  // namespace tflite_serving
