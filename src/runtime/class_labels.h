// What the classes of a model's outputs are called, from TFLite metadata: the entry "TFLITE_METADATA" of the file, a FlatBuffer ("M001",
// metadata_schema.fbs of TFLite Support), says which file has an output's labels; the files lie in a ZIP archive behind the model.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

inline constexpr std::string_view kTfliteMetadataEntry = "TFLITE_METADATA";

// The labels of one model. Errors say what is wrong with the metadata, the archive or a label file: a model is none the worse for it.
// Thread-compatible.
class ClassLabels {
 public:
  // What all labels handed out may take, texts and string objects: many outputs, of many signatures, may name one file. Some two million short ones.
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // Labels of nothing.
  ClassLabels() = default;
  // Reads which output has which file. `metadata` is the entry's content; `file`, the whole file, must outlive the result.
  static StatusOr<ClassLabels> Open(std::span<const std::byte> metadata, std::span<const std::byte> file);

  // The labels of output number `output` of subgraph number `subgraph`; empty where none are named. RESOURCE_EXHAUSTED beyond kMaxBytes.
  StatusOr<std::vector<std::string>> Read(size_t subgraph, size_t output);

 private:
  struct LabelFile {
    std::vector<std::string> lines;
    size_t bytes = 0;
  };

  std::span<const std::byte> file_;
  std::vector<std::vector<std::string>> names_;  // of label files, by subgraph and output; empty where there is none
  std::map<std::string, LabelFile> read_;        // by name
  size_t bytes_left_ = kMaxBytes;
};

}  // namespace tflite_serving
