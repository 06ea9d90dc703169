// Models in object storage and on web servers: looked at as directories are, and fetched to a cache on this machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/remote_files.h"
#include "storage/environment.h"
#include "storage/local_cache.h"
#include "storage/location.h"
#include "storage/object_store.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

struct RemoteModelsOptions {
  CacheOptions cache;
  std::chrono::milliseconds look_interval{60'000};
  std::chrono::milliseconds look_timeout{15'000};    // of a whole look, its tries included
  std::chrono::milliseconds first_retry_delay{250};  // twice as long after each try, up to kMaxRetryDelay, and a quarter more or less
};

// Thread-safe.
class RemoteModels : public RemoteFiles {
 public:
  static constexpr std::chrono::seconds kMaxRetryDelay{8};
  // Of a file, without a byte more than before.
  static constexpr int kMaxAttempts = 6;
  // Of a directory that is fetched as a whole.
  static constexpr size_t kMaxFetchedFiles = 10'000;

  RemoteModels(const RemoteModelsOptions& options, Environment environment);

  bool Holds(std::string_view path) const override { return IsRemotePath(path); }
  std::unique_ptr<const FileSystem> Look(const std::string& path, const Cancellation& stop) override;
  // Of a model file, beside itself: what the server reads beside it (kReadBeside), but nothing beside a base path that is a file itself.
  StatusOr<LocalCopy> Fetch(const FetchRequest& request, const Cancellation& stop) override;
  std::chrono::milliseconds look_interval() const override { return options_.look_interval; }

  void Collect(MetricsPage& page) const;

 private:
  // The store of a location's root, made at its first use.
  StatusOr<std::shared_ptr<ObjectStore>> StoreOf(const Location& location);
  // With tries.
  StatusOr<std::vector<RemoteObject>> List(ObjectStore& store, const std::string& path, TimePoint deadline, const Cancellation& stop) const;
  StatusOr<std::vector<RemoteObject>> TryLook(const std::string& path, const Cancellation& stop);
  StatusOr<LocalCopy> TryFetch(const FetchRequest& request, const Cancellation& stop);
  // To the file `to`, going on behind what it has.
  StatusOr<FileDigests> Download(ObjectStore& store, const std::string& path, const RemoteObject& object, const std::string& to,
                                 const Cancellation& stop);
  // Before try `attempt`, from 2 on; false: not wanted any more, or it would end behind `deadline`.
  bool WaitToRetry(int attempt, TimePoint deadline, const Cancellation& stop) const;

  const RemoteModelsOptions options_;
  const Environment environment_;
  LocalCache cache_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<ObjectStore>> stores_ TFLS_GUARDED_BY(mutex_);
  Counter looks_, failed_looks_, fetches_, cached_fetches_, failed_fetches_, fetched_bytes_;
};

}  // namespace tflite_serving
