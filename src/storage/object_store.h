// Where objects are kept: what is asked of a bucket, or of a web server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "storage/digest.h"

namespace tflite_serving {

// A file in a store.
struct RemoteObject {
  std::string name;  // its path below what was listed; empty: that itself
  uint64_t size_bytes = 0;
  std::string entity_tag;  // differs from one content to the next; as the store has it, with quotes

  friend bool operator==(const RemoteObject&, const RemoteObject&) = default;
};

// What a listing may have at most: more is RESOURCE_EXHAUSTED.
inline constexpr size_t kMaxListedObjects = 100'000;

// Thread-safe. Errors: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED; UNAVAILABLE where another try may help. Messages name the URL and what the
// store said, and no secrets.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // All objects in the directory `path` and below it, or the object at `path` where that is a file's. None: there is no such directory.
  virtual StatusOr<std::vector<RemoteObject>> List(const std::string& path, TimePoint deadline, const Cancellation& stop) = 0;

  // Takes pieces as they come; false: enough. `offset` is where they begin: 0 if the store sends all from the start again.
  using Sink = std::function<bool(uint64_t offset, std::string_view piece)>;
  // The object at `path` from `offset` on, as long as it is still the one with that tag; UNAVAILABLE otherwise. Gives the digests that the whole has,
  // as far as the store tells them; the others are empty.
  virtual StatusOr<FileDigests> Read(const std::string& path, const RemoteObject& object, uint64_t offset, const Cancellation& stop,
                                     const Sink& sink) = 0;
};

}  // namespace tflite_serving
