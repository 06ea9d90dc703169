// What a store was found to have, as files and directories.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "storage/object_store.h"

namespace tflite_serving {

// Other content has another stamp. It is not one that a local file may have.
FileStamp StampOf(const RemoteObject& object);
// Of a directory with these objects in it, in any order of them.
FileStamp StampOf(std::span<const RemoteObject> objects);

// Immutable, so thread-safe.
class Listing : public FileSystem {
 public:
  // `url` is what was listed, as it was written; an object with an empty name is a file there. An error is the answer to all questions.
  Listing(std::string url, StatusOr<std::vector<RemoteObject>> objects);

  StatusOr<FileKind> Kind(const std::string& path) const override;
  StatusOr<FileStamp> Stamp(const std::string& path) const override;
  StatusOr<std::vector<std::string>> List(const std::string& path) const override;
  bool has_urls() const override { return true; }

 private:
  // The objects below a directory, in the order of their names. `path` begins with url_.
  std::span<const RemoteObject> Below(const std::string& path) const;
  // `path` below url_, without slashes at its ends.
  std::string NameOf(const std::string& path) const;
  const RemoteObject* FileAt(const std::string& path) const;

  const std::string url_;  // without "/" at the end
  Status status_;
  std::vector<RemoteObject> objects_;  // by name
};

}  // namespace tflite_serving
