// Reading small files and directories, with errors that name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

enum class FileKind { kMissing, kFile, kDirectory, kOther };

// Tells one content of a file from the next without reading it; `status_changed_ns`, which a chmod changes too, does not count.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size_bytes = 0;
  int64_t modified_ns = 0;        // since the epoch
  int64_t status_changed_ns = 0;  // the same; 0: unknown

  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.device == b.device && a.inode == b.inode && a.size_bytes == b.size_bytes && a.modified_ns == b.modified_ns;
  }
};

// Follows symbolic links (Kubernetes mounts ConfigMaps as links). kMissing is an answer; an error is a path that cannot be asked about.
StatusOr<FileKind> GetFileKind(const std::string& path);

StatusOr<FileStamp> GetFileStamp(const std::string& path);

// The whole of a regular file of at most `limit_bytes`; a larger one is RESOURCE_EXHAUSTED.
StatusOr<std::string> ReadFile(const std::string& path, size_t limit_bytes);

// The names in a directory, sorted, without "." and "..".
StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

// The functions above, for code whose tests bring a file system of their own (fake_file_system.h). Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual StatusOr<FileKind> Kind(const std::string& path) const { return GetFileKind(path); }
  virtual StatusOr<FileStamp> Stamp(const std::string& path) const { return GetFileStamp(path); }
  virtual StatusOr<std::vector<std::string>> List(const std::string& path) const { return ListDirectory(path); }
  // Whether its paths are URLs.
  virtual bool has_urls() const { return false; }

  // The machine's; lives as long as the process.
  static const FileSystem& Real();
};

}  // namespace tflite_serving
