// Reading small files and directories, with errors that name the path.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

enum class FileKind { kMissing, kFile, kDirectory, kOther };

// Follows symbolic links (Kubernetes mounts ConfigMaps as links). kMissing is an answer; an error is a path that cannot be asked about.
StatusOr<FileKind> GetFileKind(const std::string& path);

// The whole of a regular file of at most `limit_bytes`; a larger one is RESOURCE_EXHAUSTED.
StatusOr<std::string> ReadFile(const std::string& path, size_t limit_bytes);

// The names in a directory, sorted, without "." and "..".
StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

}  // namespace tflite_serving
