// Finds the versions of a model on disk.
//
// A base path is one of
//
//   /models/digits            a directory of versions: 1/model.tflite, 2/model.tflite, 0017/anything.tflite
//   /models/digits            a directory that holds the model itself (model.tflite, or one *.tflite) and no versions: version 1
//   /models/digits.tflite     a model file: version 1
//
// absolute, or relative to the working directory, with or without "file://" before an absolute one; or a URL of the same, if the file system has URLs
// (base/remote_files.h). Symbolic links are followed, so a Kubernetes ConfigMap or a "current" link works. Where a directory holds both versions and
// a .tflite file, the versions count.
//
// Version names are read as TensorFlow Serving does (file_system_storage_path_source.cc): a run of digits that fits int64, leading zeros allowed;
// of two names for one number the alphabetically last wins ("1" beats "001"), with a warning; other names, and files with numeric
// names, are no versions. A directory is searched for its model like this: `model.tflite` if that is a file; otherwise the only file that ends
// in ".tflite". Names that start with a dot do not count (macOS leaves "._model.tflite" beside "model.tflite").
//
// A version that is not a .tflite file but a directory, whatever it holds (VersionForm), is searched for in the same way: the numeric directories of
// the base path, or without any the base path itself as version 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace tflite_serving {

// One version as it was found; nothing has been opened yet.
struct StorageVersion {
  int64_t version = 0;
  std::string path;     // of the .tflite file, or the directory; empty if `status` is an error
  FileStamp stamp;      // of that file; of a directory, of what VersionForm watches
  Status status;        // why this version cannot be served: no model in it, or several. The other versions are not affected.
  std::string warning;  // about what was found, for the log; empty: none

  friend bool operator==(const StorageVersion&, const StorageVersion&) = default;
};

// What a version is.
struct VersionForm {
  bool is_directory = false;  // and not a .tflite file in it
  // Of a directory, the file whose change is a change of the version, relative to the directory. Empty: only another directory in its place is.
  std::string watched = {};
};

// The versions of `model_name` under `base_path`, lowest first, and at least one. Asks only for names and stamps; thread-safe, holds no state.
//
// Errors, each naming the model, the path and what was found there:
//   INVALID_ARGUMENT     the base path does not exist or cannot be read (the original's code and text), is neither file nor directory, is a file
//                        without ".tflite", has a scheme other than file://, or is a directory without versions and with several models
//   NOT_FOUND            the base path is a directory with neither a version nor a model (the original's text, continued)
StatusOr<std::vector<StorageVersion>> FindVersions(const FileSystem& files, std::string_view model_name, const std::string& base_path,
                                                   const VersionForm& form = {});

}  // namespace tflite_serving
