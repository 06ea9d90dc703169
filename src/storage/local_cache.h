// Where copies of remote files lie on this machine, so that they are fetched once: by one server or by several that share the directory.
//
//   DIRECTORY/KEY/…         the files of an entry, once it is whole
//   DIRECTORY/KEY.sha256    their digests, in the format of sha256sum; written last, and used last when it was touched last
//   DIRECTORY/KEY.partial/  what was fetched so far: another try, or another process, goes on there
//   DIRECTORY/KEY.lock      locked while the entry is used (shared), or written or removed (exclusive): flock(2)
//
// An entry that nobody uses is removed when there is no room for another, those first that were not used for the longest time. Digests are checked
// when an entry is opened: what was damaged is fetched again, and so is what another user put there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancellation.h"
#include "base/status.h"
#include "storage/digest.h"

namespace tflite_serving {

struct CacheOptions {
  std::string directory;   // made if it is missing, for this user alone; refused if it is another's, but for root's, or others may write to it
  uint64_t max_bytes = 0;  // of all entries
};

// A file of an entry.
struct CachedFile {
  std::string name;  // IsPlainPath
  uint64_t size_bytes = 0;
};

// Thread-safe, also among processes.
class LocalCache {
 public:
  static constexpr size_t kKeyChars = 32;  // hexadecimal digits, in small letters

  explicit LocalCache(CacheOptions options) : options_(std::move(options)) {}

  struct Entry {
    std::string directory;
    std::shared_ptr<const void> lease;  // while it is held the entry stays
    bool was_there = false;
  };
  // Puts file `index` into `path`, where its beginning may be. Gives the digests that it has to have, as far as they are known; those and its size
  // are checked afterwards.
  using Fetch = std::function<StatusOr<FileDigests>(size_t index, const std::string& path)>;

  // The entry `key`, of kKeyChars, with these files; `fetch` brings those that are not there. Waits while another process fetches them.
  // Errors: CANCELLED by `stop`; RESOURCE_EXHAUSTED: no room, in the directory or on its disk; UNAVAILABLE: the directory cannot be used; those
  // of `fetch`.
  StatusOr<Entry> Open(const std::string& key, std::span<const CachedFile> files, const Fetch& fetch, const Cancellation& stop);

  // Of all entries, also those that are not whole.
  uint64_t UsedBytes() const;

 private:
  Status Prepare() const;
  Status MakeRoom(const std::string& key, uint64_t bytes) const;
  Status Fill(const std::string& key, std::span<const CachedFile> files, const Fetch& fetch) const;
  bool IsWhole(const std::string& key, std::span<const CachedFile> files) const;
  std::string PathOf(const std::string& key, std::string_view suffix) const { return options_.directory + "/" + key + std::string(suffix); }

  const CacheOptions options_;
};

}  // namespace tflite_serving
