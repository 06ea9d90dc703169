// What one configured model is doing: which of its versions are wanted, loading, serving or leaving, and what is to happen next.
//
// All decisions, and no threads, files or clocks: the manager looks at the disk, loads and unloads, and tells this what came of it. A version goes
//
//   START        found, and its file perhaps still being written
//   LOADING      being loaded, or waiting for another try
//   AVAILABLE    serving
//   UNLOADING    takes no new requests; those in flight finish
//   END          gone, or failed for the reason in its status
//
// Rules:
//   - The version policy says which of the versions found are wanted ("aspired"). Where nothing is found any more, all stays as it is: a directory
//     that vanished or was emptied does not end the service.
//   - A version that is no longer wanted leaves once a wanted one serves, in the same step; until then it serves on.
//   - A file that changed is loaded beside its version, under the same number, and takes over in one step. If it cannot be loaded, the version keeps
//     what it had. (Not with resource_preserving: the old one goes first.) So is a version whose load_options have changed.
//   - A label that moves to a version that does not serve yet means its old version until then, which stays for as long.
//   - A file is taken when it has not changed for `settle_time`: one still being copied is waited for. What is there at first is taken at once.
//   - What is wrong with the model itself (IsVerdict) is final until its file changes; other failures are tried again. After
//     a failure a chmod is such a change, and otherwise not.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "lifecycle/storage_path.h"
#include "servable/model_config.h"
#include "servable/servable.h"
#include "telemetry/log.h"

namespace tflite_serving {

struct LifecycleRules {
  int max_load_retries = 5;  // after the first attempt
  std::chrono::microseconds load_retry_interval = std::chrono::minutes(1);
  std::chrono::milliseconds settle_time{1000};
  // Unload what is not wanted, or has changed, before what is wanted is loaded, for models that do not fit in memory twice. Nothing serves in
  // between.
  bool resource_preserving = false;
};

// Whether a load that ended so would end so again with the same file.
bool IsVerdict(StatusCode code);

// A load to carry out; its end is to be told to ManagedModel::Loaded.
struct LoadJob {
  ServableId id;
  std::string path;           // of the .tflite file, or the directory
  FileStamp stamp;            // and what it was found to be
  bool is_base_path = false;  // it is the base path itself
  LoadOptions options;
};

// What a change of a model asks of the manager, which does it without holding its lock.
struct Consequences {
  struct Note {
    LogLevel level;
    std::string text;
  };
  std::vector<Note> notes;              // for the log
  std::vector<LoadJob> loads;           // in their order
  std::vector<ServableHandle> dropped;  // served until now
  bool states_changed = false;
};

// Thread-compatible.
class ManagedModel {
 public:
  // Ended versions that are remembered for status requests, beside the wanted ones.
  static constexpr size_t kMaxEndedVersions = 16;

  ManagedModel(ModelConfig config, const LifecycleRules& rules) : config_(std::move(config)), rules_(rules) {}

  const ModelConfig& config() const { return config_; }

  // A new configuration of the same name. Its versions are those of the next Observe.
  void Configure(ModelConfig config);
  // It is configured no more: all versions leave.
  void Remove(TimePoint now);
  bool removed() const { return removed_; }

  // What a look at the base path found.
  void Observe(const StatusOr<std::vector<StorageVersion>>& found, TimePoint now);
  // The end of a load that was among the consequences.
  void Loaded(const LoadJob& job, StatusOr<ServableHandle> result, TimePoint now);
  // A dropped servable is no longer in use, and its memory freed.
  void Unloaded(int64_t version, const Servable* servable, TimePoint now);
  // Time has passed.
  void Advance(TimePoint now);

  // Those of everything since the last call.
  Consequences TakeConsequences();
  // When Advance or another look would do something; kNoDeadline: never.
  TimePoint next_event() const;

  // What a label means: its version, or, until that serves, the one that it meant before, as long as that one does. Nothing for an unknown label.
  std::optional<int64_t> VersionOf(const std::string& label) const;
  // The version that serves requests for `version`, or for the highest available if that is nullopt, of the wanted ones if there are any; null if
  // none does.
  ServableHandle Find(std::optional<int64_t> version) const;
  // Whether that version, or without one any wanted version, may yet come: it is loading, or about to, if only after something was unloaded; or
  // nobody has looked yet.
  bool IsComing(std::optional<int64_t> version) const;
  // What is known of a version without asking its servable.
  struct LoadedVersion {
    int64_t version;
    VersionState state;
    Status status;            // why it ended, or why it serves what it had before
    ServableHandle servable;  // while AVAILABLE
  };
  // Highest first.
  std::vector<LoadedVersion> versions() const;
  // With what the servable says, which may read files: not to be called under a lock.
  static VersionStatus Ask(const LoadedVersion& version);
  // Nothing of it is loaded, being loaded or being unloaded.
  bool IsGone() const;
  // Every wanted version is AVAILABLE or at its END, as far as is known.
  bool AtRest() const;
  // Why no version is wanted, or the versions are not those found last; OK otherwise.
  const Status& problem() const { return problem_; }
  // The wanted versions whose file could not be loaded, with the reason: at their END, or serving what they had before.
  std::vector<VersionStatus> failures() const;

 private:
  struct Version {
    VersionState state = VersionState::kStart;
    Status status;
    Status failure;  // of the last load
    bool aspired = false;
    StorageVersion found;                 // last time
    TimePoint found_since{};              // and it has been so since
    bool settled = false;                 // for settle_time
    std::optional<StorageVersion> tried;  // what the last load was of
    LoadOptions tried_options;            // and with what
    bool has_new_file = true;             // what changed last was not the options alone
    bool loading = false;                 // a LoadJob is out
    int retries = 0;
    std::optional<TimePoint> retry_at;
    ServableHandle servable;            // while AVAILABLE
    const Servable* leaving = nullptr;  // while UNLOADING
  };
  using Versions = std::map<int64_t, Version, std::greater<>>;

  // Whether the last load of this version was of what is there now. One that failed may succeed after a chmod.
  bool IsTried(const Version& version) const {
    return version.found == version.tried && config_.load_options == version.tried_options &&
           (version.failure.ok() || version.found.stamp.status_changed_ns == version.tried->stamp.status_changed_ns);
  }
  ServableId Id(int64_t number) const { return {config_.name, number}; }
  void Note(LogLevel level, std::string text) { consequences_.notes.push_back({level, std::move(text)}); }
  void SetState(Version& version, VersionState state, Status status = OkStatus());
  void SetProblem(Status problem);
  void ObserveVersion(const StorageVersion& found, bool is_first, TimePoint now);
  // What was found chooses no version: all stays as it is.
  void KeepAll(Status problem, TimePoint now);
  void StartLoads(TimePoint now);
  void StartLoad(int64_t number, Version& version);
  void Fail(int64_t number, Version& version, const Status& status, TimePoint now);
  void Drop(int64_t number, Version& version);
  void StopUnwanted();
  void NoteMissingLabels(const std::vector<StorageVersion>& found);
  void UpdateLabels();
  // A label still means this version, because its own does not serve yet.
  bool IsStillMeant(int64_t number) const;
  Status StatusOf(const Version& version) const;
  void ForgetEnded();
  // It is wanted and serves, or with resource_preserving could be loaded: others may go for it.
  bool MayReplaceOthers(const Version& version) const;
  // A load of this version has to wait for something else to end.
  bool MustWait(const Version& version) const;

  ModelConfig config_;
  std::map<std::string, int64_t, std::less<>> meanings_;        // the versions that served last as what the labels of config_ mean
  std::map<std::string, int64_t, std::less<>> missing_labels_;  // those of config_ whose versions were not found
  LifecycleRules rules_;
  Versions versions_;
  bool removed_ = false;
  bool observed_ = false;  // with this configuration
  Status problem_;
  std::vector<int64_t> missing_;  // of the versions that the policy names
  Consequences consequences_;
};

}  // namespace tflite_serving
