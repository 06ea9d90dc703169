// Files that are not on this machine ("s3://bucket/models/digits"): asked for over the network, and copied before they are used.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/cancellation.h"
#include "base/file.h"
#include "base/status.h"

namespace tflite_serving {

// What to copy.
struct FetchRequest {
  std::string path;  // of a file, or a directory
  FileStamp stamp;   // what it was found to be; of a directory that may be of a file in it
  bool is_directory = false;
  bool is_alone = false;  // of a file: nothing beside it belongs to it
};

struct LocalCopy {
  std::string path;                   // of that file or directory
  FileStamp stamp;                    // of the file at that path
  std::shared_ptr<const void> lease;  // keeps the copy there
};

// Thread-safe. All of it may take long; an attempt is given up when `stop` is set.
class RemoteFiles {
 public:
  virtual ~RemoteFiles() = default;

  virtual bool Holds(std::string_view path) const = 0;
  // What there is at `path` and below it, as it is now. Its functions give the errors of the network, and of whoever refuses.
  virtual std::unique_ptr<const FileSystem> Look(const std::string& path, const Cancellation& stop) = 0;
  // Copies a file with what belongs to it beside it, or a whole directory. UNAVAILABLE if it is no longer what it was found to be.
  virtual StatusOr<LocalCopy> Fetch(const FetchRequest& request, const Cancellation& stop) = 0;
  // How long to wait between two looks.
  virtual std::chrono::milliseconds look_interval() const = 0;
};

}  // namespace tflite_serving
