#include "storage/remote_models.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <random>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "storage/bucket_store.h"
#include "storage/digest.h"
#include "storage/listing.h"
#include "storage/web_store.h"
#include "telemetry/log.h"
#include "telemetry/metric_names.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 2> kReadBeside = {"assets.extra/tf_serving_warmup_requests", "batching_params.pbtxt"};
constexpr milliseconds kStopInterval{100};  // between two looks whether a try is still wanted

bool IsWorthARetry(const Status& status) { return status.code() == StatusCode::kUnavailable; }

milliseconds WithJitter(milliseconds delay) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return delay * std::uniform_int_distribution<int64_t>(768, 1280)(random) / 1024;
}

// The directory that a file at `path` is in; `path` itself if it is one.
std::string DirectoryOf(const FetchRequest& request, const std::string& path) {
  if (request.is_directory) return path;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

Status Write(int file, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoToStatus(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return OkStatus();
}

// Another content has another key; so has the same one elsewhere.
std::string KeyOf(const std::string& url, std::span<const RemoteObject> objects) {
  std::string text = url;
  for (const RemoteObject& object : objects) text += fmt::format("\n{}\n{}\n{}", Hex(object.name), Hex(object.entity_tag), object.size_bytes);
  return Hex(Sha256Of(text)).substr(0, LocalCache::kKeyChars);
}

}  // namespace

RemoteModels::RemoteModels(const RemoteModelsOptions& options, Environment environment)
    : options_(options), environment_(std::move(environment)), cache_(options.cache) {}

StatusOr<std::shared_ptr<ObjectStore>> RemoteModels::StoreOf(const Location& location) {
  {
    const MutexLock lock(mutex_);
    if (const auto found = stores_.find(location.root); found != stores_.end()) return found->second;
  }
  std::shared_ptr<ObjectStore> store;
  switch (location.kind) {
    case StoreKind::kS3:
      store = BucketStore::ForS3(location.host(), environment_);
      break;
    case StoreKind::kGoogle:
      store = BucketStore::ForGoogle(location.host(), environment_);
      break;
    case StoreKind::kWeb:
      store = std::make_shared<WebStore>(location.root, environment_);
      break;
  }
  const MutexLock lock(mutex_);
  return stores_.try_emplace(location.root, std::move(store)).first->second;
}

bool RemoteModels::WaitToRetry(int attempt, TimePoint deadline, const Cancellation& stop) const {
  constexpr int kMaxDoublings = 16;
  const milliseconds delay = options_.first_retry_delay * (1 << std::min(attempt - 2, kMaxDoublings));
  const TimePoint due = Clock::Steady().Now() + WithJitter(std::min<milliseconds>(delay, kMaxRetryDelay));
  if (due > deadline) return false;
  Mutex mutex;
  CondVar nobody;
  const MutexLock lock(mutex);
  while (!stop.cancelled() && Clock::Steady().Now() < due) nobody.WaitUntil(mutex, std::min(due, Clock::Steady().Now() + kStopInterval));
  return !stop.cancelled();
}

StatusOr<std::vector<RemoteObject>> RemoteModels::List(ObjectStore& store, const std::string& path, TimePoint deadline,
                                                       const Cancellation& stop) const {
  for (int attempt = 1;; ++attempt) {
    StatusOr<std::vector<RemoteObject>> objects = store.List(path, deadline, stop);
    if (objects.ok() || !IsWorthARetry(objects.status()) || !WaitToRetry(attempt + 1, deadline, stop)) return objects;
  }
}

StatusOr<std::vector<RemoteObject>> RemoteModels::TryLook(const std::string& path, const Cancellation& stop) {
  TFLS_ASSIGN_OR_RETURN(const Location location, ParseLocation(path));
  TFLS_ASSIGN_OR_RETURN(const std::shared_ptr<ObjectStore> store, StoreOf(location));
  TFLS_ASSIGN_OR_RETURN(std::vector<RemoteObject> objects, List(*store, location.path, Clock::Steady().Now() + options_.look_timeout, stop));
  for (RemoteObject& object : objects) {
    if (location.kind == StoreKind::kWeb) object.name = EscapeUrl(object.name);  // as `path` is
  }
  return objects;
}

std::unique_ptr<const FileSystem> RemoteModels::Look(const std::string& path, const Cancellation& stop) {
  StatusOr<std::vector<RemoteObject>> objects = TryLook(path, stop);
  (objects.ok() ? looks_ : failed_looks_).Add(1);
  return std::make_unique<const Listing>(path, std::move(objects));
}

StatusOr<FileDigests> RemoteModels::Download(ObjectStore& store, const std::string& path, const RemoteObject& object, const std::string& to,
                                             const Cancellation& stop) {
  const UniqueFd file(::open(to.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return ErrnoToStatus(errno, "open " + to);
  const off_t there = ::lseek(file.get(), 0, SEEK_END);
  auto size = static_cast<uint64_t>(std::max<off_t>(there, 0));
  if (size > object.size_bytes) size = 0;
  for (int attempt = 1;;) {
    const uint64_t before = size;
    Status failure;
    const auto write = [&](uint64_t offset, std::string_view piece) {
      if (piece.size() > object.size_bytes - std::min(offset, object.size_bytes)) {
        failure = UnavailableError(fmt::format("{} is longer than the {} bytes that it was said to have", object.name, object.size_bytes));
      } else {
        failure = Write(file.get(), offset, piece);
      }
      if (!failure.ok()) return false;
      size = offset + piece.size();
      fetched_bytes_.Add(piece.size());
      return true;
    };
    StatusOr<FileDigests> read = store.Read(path, object, size == object.size_bytes ? 0 : size, stop, write);
    if (!failure.ok()) return Status(failure.code(), fmt::format("{}: {}", to, failure.message()));
    if (stop.cancelled()) return CancelledError("no longer wanted");
    if (read.ok() && size == object.size_bytes) return read;
    if (!read.ok() && !IsWorthARetry(read.status())) return read.status();
    attempt = size > before ? 2 : attempt + 1;
    if (attempt > kMaxAttempts)
      return read.ok() ? UnavailableError(fmt::format("{} ends after {} of {} bytes", path, size, object.size_bytes)) : read.status();
    if (!WaitToRetry(attempt, kNoDeadline, stop)) return CancelledError("no longer wanted");
  }
}

StatusOr<LocalCopy> RemoteModels::Fetch(const FetchRequest& request, const Cancellation& stop) {
  StatusOr<LocalCopy> copy = TryFetch(request, stop);
  if (!copy.ok()) failed_fetches_.Add(1);
  return copy;
}

StatusOr<LocalCopy> RemoteModels::TryFetch(const FetchRequest& request, const Cancellation& stop) {
  TFLS_ASSIGN_OR_RETURN(Location location, ParseLocation(request.path));
  TFLS_ASSIGN_OR_RETURN(const std::shared_ptr<ObjectStore> store, StoreOf(location));
  std::string name;  // of the file in its directory, which `location` becomes
  TFLS_ASSIGN_OR_RETURN(std::vector<RemoteObject> objects, List(*store, request.is_alone ? location.path : DirectoryOf(request, location.path),
                                                                Clock::Steady().Now() + options_.look_timeout, stop));
  if (!request.is_directory) {
    name = location.path.substr(location.path.rfind('/') + 1);
    location.path = DirectoryOf(request, location.path);
    for (RemoteObject& object : objects) {
      if (request.is_alone) object.name = name;
    }
    std::erase_if(objects, [&name](const RemoteObject& object) {
      return object.name != name && std::ranges::find(kReadBeside, object.name) == kReadBeside.end();
    });
    const auto model = std::ranges::find(objects, name, &RemoteObject::name);
    if (model == objects.end() || StampOf(*model) != request.stamp) {
      return UnavailableError(fmt::format("{} is no longer what it was found to be", request.path));
    }
  }
  std::ranges::sort(objects, {}, &RemoteObject::name);
  if (objects.size() > kMaxFetchedFiles) return ResourceExhaustedError(fmt::format("{} has more than {} files", request.path, kMaxFetchedFiles));
  std::vector<CachedFile> files;
  for (const RemoteObject& object : objects) {
    if (!IsPlainPath(object.name)) return InvalidArgumentError(fmt::format("{}: \"{}\" cannot be the name of a file", request.path, object.name));
    files.push_back({object.name, object.size_bytes});
  }

  const TimePoint start = Clock::Steady().Now();
  const auto download = [&](size_t index, const std::string& to) {
    return Download(*store, fmt::format("{}{}{}", location.path, location.path.empty() ? "" : "/", objects[index].name), objects[index], to, stop);
  };
  TFLS_ASSIGN_OR_RETURN(LocalCache::Entry entry, cache_.Open(KeyOf(location.root + "/" + location.path, objects), files, download, stop));
  if (!entry.was_there) {
    TFLS_INFO("Fetched {} ({} file(s)) to {} in {:.2f} s", request.path, files.size(), entry.directory,
              std::chrono::duration<double>(Clock::Steady().Now() - start).count());
  }
  (entry.was_there ? cached_fetches_ : fetches_).Add(1);
  LocalCopy copy{.path = request.is_directory ? entry.directory : entry.directory + "/" + name, .stamp = {}, .lease = std::move(entry.lease)};
  TFLS_ASSIGN_OR_RETURN(copy.stamp, GetFileStamp(copy.path));
  return copy;
}

void RemoteModels::Collect(MetricsPage& page) const {
  page.Add(metrics::kStorageLooks, {"success"}, static_cast<double>(looks_.value()));
  page.Add(metrics::kStorageLooks, {"failure"}, static_cast<double>(failed_looks_.value()));
  page.Add(metrics::kStorageFetches, {"fetched"}, static_cast<double>(fetches_.value()));
  page.Add(metrics::kStorageFetches, {"cached"}, static_cast<double>(cached_fetches_.value()));
  page.Add(metrics::kStorageFetches, {"failed"}, static_cast<double>(failed_fetches_.value()));
  page.Add(metrics::kStorageCacheBytes, {}, static_cast<double>(cache_.UsedBytes()));
  page.Add(metrics::kStorageFetchedBytes, {}, static_cast<double>(fetched_bytes_.value()));
}

}  // namespace tflite_serving
