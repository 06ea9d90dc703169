#include "storage/local_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "storage/digest.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDigests = ".sha256";
constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kLock = ".lock";
constexpr size_t kMaxDigestsBytes = size_t{64} << 20;
constexpr mode_t kOnlyOwner = 0700;
constexpr std::chrono::milliseconds kLockInterval{100};  // between two looks whether another process is done
constexpr int kMaxAttempts = 20;                         // to get an entry alone that is not whole

// Locks the file at `path`, which is made if it is missing; nothing if somebody else has it. A file that was removed meanwhile does not count.
StatusOr<std::optional<UniqueFd>> TryLock(const std::string& path, int how) {
  for (;;) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return ErrnoToStatus(errno, "open " + path);
    if (::flock(file.get(), how | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<UniqueFd>();
      return ErrnoToStatus(errno, "flock " + path);
    }
    struct stat mine{};
    struct stat there{};
    if (::fstat(file.get(), &mine) == 0 && ::stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino) return std::optional(std::move(file));
  }
}

// CANCELLED if `stop` is set.
Status Pause(const Cancellation& stop) {
  Mutex mutex;
  CondVar nobody;
  const MutexLock wait(mutex);
  nobody.WaitUntil(mutex, Clock::Steady().Now() + kLockInterval);
  return stop.cancelled() ? CancelledError("no longer wanted") : OkStatus();
}

// Waits for the lock.
StatusOr<UniqueFd> Lock(const std::string& path, int how, const Cancellation& stop) {
  for (;;) {
    TFLS_ASSIGN_OR_RETURN(std::optional<UniqueFd> lock, TryLock(path, how));
    if (lock) return *std::move(lock);
    TFLS_RETURN_IF_ERROR(Pause(stop));
  }
}

uint64_t SizeBelow(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code file_error;
    if (at->is_regular_file(file_error)) bytes += at->file_size(file_error);
  }
  return bytes;
}

bool IsKey(std::string_view name) {
  return name.size() == LocalCache::kKeyChars && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Whether what lies there is this user's, and nobody else may change it.
bool IsOurs(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0 && info.st_uid == ::geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// An entry as a whole, with its digests and what was fetched of it.
struct Kept {
  uint64_t bytes = 0;
  fs::file_time_type last_use = fs::file_time_type::min();
};

std::map<std::string, Kept> EntriesIn(const std::string& directory) {
  std::map<std::string, Kept> entries;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const std::string key = name.substr(0, name.find('.'));
    if (!IsKey(key)) continue;  // somebody else's
    Kept& entry = entries[key];
    std::error_code file_error;
    if (at->is_directory(file_error)) entry.bytes += SizeBelow(at->path());
    const fs::file_time_type time = at->last_write_time(file_error);
    if (!file_error && !name.ends_with(kLock)) entry.last_use = std::max(entry.last_use, time);
  }
  return entries;
}

}  // namespace

Status LocalCache::Prepare() const {
  const std::string& directory = options_.directory;
  std::error_code error;
  fs::create_directories(fs::path(directory).parent_path(), error);
  if (::mkdir(directory.c_str(), kOnlyOwner) != 0 && errno != EEXIST) {
    return UnavailableError(fmt::format("--model_cache_dir: {}", ErrnoToStatus(errno, "mkdir " + directory).message()));
  }
  struct stat info{};
  if (::stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return UnavailableError(fmt::format("--model_cache_dir: {} is no directory", directory));
  }
  // Root's are volumes, as engines and Kubernetes make them for all who are in a container; whose an entry is is looked at for each.
  if (info.st_uid != 0 && !IsOurs(directory)) {
    return UnavailableError(
        fmt::format("--model_cache_dir: {} belongs to another user, or others may write to it: models there could be anybody's", directory));
  }
  if (::access(directory.c_str(), W_OK) != 0) {
    return UnavailableError(fmt::format("--model_cache_dir: {}", ErrnoToStatus(errno, directory).message()));
  }
  return OkStatus();
}

uint64_t LocalCache::UsedBytes() const {
  uint64_t bytes = 0;
  for (const auto& [key, entry] : EntriesIn(options_.directory)) bytes += entry.bytes;
  return bytes;
}

Status LocalCache::MakeRoom(const std::string& key, uint64_t bytes) const {
  std::map<std::string, Kept> entries = EntriesIn(options_.directory);
  const uint64_t begun = entries[key].bytes;
  entries.erase(key);
  uint64_t used = 0;
  std::vector<std::pair<fs::file_time_type, std::string>> by_use;
  for (const auto& [name, entry] : entries) {
    used += entry.bytes;
    by_use.emplace_back(entry.last_use, name);
  }
  std::ranges::sort(by_use);
  const auto is_on_disk = [&] {
    struct statvfs disk{};
    return ::statvfs(options_.directory.c_str(), &disk) != 0 || bytes <= begun + uint64_t{disk.f_bavail} * disk.f_frsize;
  };
  for (const auto& [last_use, name] : by_use) {
    if (used + bytes <= options_.max_bytes && is_on_disk()) break;
    TFLS_ASSIGN_OR_RETURN(const std::optional<UniqueFd> lock, TryLock(PathOf(name, kLock), LOCK_EX));
    if (!lock) continue;  // it is used
    std::error_code error;
    for (const std::string_view suffix : {kDigests, std::string_view(), kPartial, kLock}) fs::remove_all(PathOf(name, suffix), error);
    used -= entries[name].bytes;
    TFLS_INFO("Removed {} ({} bytes) from the models' cache, to have room for others", PathOf(name, ""), entries[name].bytes);
  }
  if (used + bytes > options_.max_bytes) {
    return ResourceExhaustedError(
        fmt::format("{} bytes are more than there is room for in {}: {} bytes of others are in use, and --model_cache_max_mb is {}", bytes,
                    options_.directory, used, options_.max_bytes >> 20));
  }
  return is_on_disk() ? OkStatus()
                      : ResourceExhaustedError(fmt::format("{} bytes are more than are free on the disk of {}", bytes, options_.directory));
}

bool LocalCache::IsWhole(const std::string& key, std::span<const CachedFile> files) const {
  const StatusOr<std::string> digests = ReadFile(PathOf(key, kDigests), kMaxDigestsBytes);
  if (!digests.ok() || !IsOurs(PathOf(key, "")) || !IsOurs(PathOf(key, kDigests))) return false;
  std::string expected;
  for (const CachedFile& file : files) {
    const StatusOr<FileDigests> found = DigestFile(PathOf(key, "/" + file.name));
    if (!found.ok()) return false;
    expected += fmt::format("{}  {}\n", Hex(found->sha256), file.name);
  }
  return *digests == expected;
}

Status LocalCache::Fill(const std::string& key, std::span<const CachedFile> files, const Fetch& fetch) const {
  uint64_t bytes = 0;
  for (const CachedFile& file : files) bytes += file.size_bytes;
  std::error_code error;
  if (fs::remove(PathOf(key, kDigests), error)) TFLS_WARNING("{} is not what it was when it was fetched; it is fetched again", PathOf(key, ""));
  fs::remove_all(PathOf(key, ""), error);
  TFLS_RETURN_IF_ERROR(MakeRoom(key, bytes));
  const std::string partial = PathOf(key, kPartial);
  if ((::mkdir(partial.c_str(), kOnlyOwner) != 0 && errno != EEXIST) || !IsOurs(partial)) {
    return UnavailableError(fmt::format("{} cannot be made, or is another user's", partial));
  }
  std::string digests;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string path = partial + "/" + files[i].name;
    fs::create_directories(fs::path(path).parent_path(), error);
    if (error) return UnavailableError(fmt::format("{}: {}", path, error.message()));
    TFLS_ASSIGN_OR_RETURN(const FileDigests expected, fetch(i, path));
    TFLS_ASSIGN_OR_RETURN(const FileStamp stamp, GetFileStamp(path));
    if (static_cast<uint64_t>(stamp.size_bytes) != files[i].size_bytes) {
      fs::remove(path, error);
      return UnavailableError(fmt::format("{} has {} bytes, expected {}", files[i].name, stamp.size_bytes, files[i].size_bytes));
    }
    TFLS_ASSIGN_OR_RETURN(const FileDigests found, DigestFile(path));
    if ((!expected.md5.empty() && expected.md5 != found.md5) || (!expected.sha256.empty() && expected.sha256 != found.sha256)) {
      fs::remove(path, error);
      return UnavailableError(fmt::format("{}: what arrived has not the checksum that the store has for it", files[i].name));
    }
    digests += fmt::format("{}  {}\n", Hex(found.sha256), files[i].name);
  }
  fs::rename(partial, PathOf(key, ""), error);
  if (error) return UnavailableError(fmt::format("{}: {}", PathOf(key, ""), error.message()));
  const std::string unfinished = PathOf(key, ".sha256.new");
  fs::remove(unfinished, error);  // of another user, it stays and is found not to be ours
  std::ofstream(unfinished, std::ios::binary) << digests;
  fs::permissions(unfinished, fs::perms::owner_read | fs::perms::owner_write, error);
  fs::rename(unfinished, PathOf(key, kDigests), error);
  return error ? UnavailableError(fmt::format("{}: {}", unfinished, error.message())) : OkStatus();
}

StatusOr<LocalCache::Entry> LocalCache::Open(const std::string& key, std::span<const CachedFile> files, const Fetch& fetch,
                                             const Cancellation& stop) {
  TFLS_RETURN_IF_ERROR(Prepare());
  for (int attempt = 1;; ++attempt) {
    TFLS_ASSIGN_OR_RETURN(UniqueFd lock, Lock(PathOf(key, kLock), LOCK_SH, stop));  // waits while another process fetches it
    const bool was_there = IsWhole(key, files);
    if (!was_there) {
      lock = UniqueFd();
      TFLS_ASSIGN_OR_RETURN(std::optional<UniqueFd> own, TryLock(PathOf(key, kLock), LOCK_EX));
      if (!own) {
        if (attempt == kMaxAttempts) return UnavailableError(fmt::format("{} is not what it was when it was fetched, and in use", PathOf(key, "")));
        TFLS_RETURN_IF_ERROR(Pause(stop));
        continue;
      }
      if (!IsWhole(key, files)) TFLS_RETURN_IF_ERROR(Fill(key, files, fetch));
      lock = *std::move(own);
      ::flock(lock.get(), LOCK_SH);
      if (::access(PathOf(key, kDigests).c_str(), F_OK) != 0) continue;  // removed in between
    }
    std::error_code error;
    fs::last_write_time(PathOf(key, kDigests), fs::file_time_type::clock::now(), error);
    return Entry{.directory = PathOf(key, ""), .lease = std::make_shared<UniqueFd>(std::move(lock)), .was_there = was_there};
  }
}

}  // namespace tflite_serving
