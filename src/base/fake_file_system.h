// For tests: a file system in memory that the test fills, changes and breaks.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace tflite_serving {

// Thread-compatible. Directories exist as far as something is below them, or as MakeDirectory made them.
class FakeFileSystem : public FileSystem {
 public:
  // Writes a file, or writes it anew: every time it has another stamp.
  void Write(const std::string& path) {
    files_[path] = {.device = 1, .inode = ++writes_, .size_bytes = 1, .modified_ns = static_cast<int64_t>(writes_)};
  }
  // Puts a file where it was before, with the stamp that it had.
  void Write(const std::string& path, const FileStamp& stamp) { files_[path] = stamp; }
  void MakeDirectory(const std::string& path) { directories_.insert(path); }
  // Removes a file, or a directory with all below it.
  void Remove(const std::string& path) {
    std::erase_if(files_, [&path](const auto& file) { return IsAtOrBelow(file.first, path); });
    std::erase_if(directories_, [&path](const std::string& directory) { return IsAtOrBelow(directory, path); });
  }
  // From now on every question about exactly this path fails; an OK status mends it.
  void Break(const std::string& path, Status status) { broken_.insert_or_assign(path, std::move(status)); }

  StatusOr<FileKind> Kind(const std::string& path) const override {
    TFLS_RETURN_IF_ERROR(Fault(path));
    if (files_.contains(path)) return FileKind::kFile;
    return IsDirectory(path) ? FileKind::kDirectory : FileKind::kMissing;
  }
  StatusOr<FileStamp> Stamp(const std::string& path) const override {
    TFLS_RETURN_IF_ERROR(Fault(path));
    const auto file = files_.find(path);
    return file == files_.end() ? StatusOr<FileStamp>(NotFoundError(path)) : file->second;
  }
  StatusOr<std::vector<std::string>> List(const std::string& path) const override {
    TFLS_RETURN_IF_ERROR(Fault(path));
    if (!IsDirectory(path)) return NotFoundError(path);
    std::set<std::string> names;
    const auto add = [&](const std::string& entry) {
      if (entry != path && IsAtOrBelow(entry, path)) names.insert(entry.substr(path.size() + 1, entry.find('/', path.size() + 1) - path.size() - 1));
    };
    for (const auto& [file, stamp] : files_) add(file);
    for (const std::string& directory : directories_) add(directory);
    return std::vector<std::string>(names.begin(), names.end());
  }

 private:
  static bool IsAtOrBelow(const std::string& entry, const std::string& path) { return entry == path || entry.starts_with(path + "/"); }

  Status Fault(const std::string& path) const {
    const auto fault = broken_.find(path);
    return fault == broken_.end() ? OkStatus() : fault->second;
  }
  bool IsDirectory(const std::string& path) const {
    const auto is_below = [&path](const std::string& entry) { return entry.starts_with(path + "/"); };
    for (const auto& [file, stamp] : files_) {
      if (is_below(file)) return true;
    }
    for (const std::string& directory : directories_) {
      if (directory == path || is_below(directory)) return true;
    }
    return false;
  }

  std::map<std::string, FileStamp> files_;
  std::set<std::string> directories_;
  std::map<std::string, Status> broken_;
  uint64_t writes_ = 0;
};

}  // namespace tflite_serving
