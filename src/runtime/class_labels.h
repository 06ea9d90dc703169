// What the classes of a model's outputs are called, from TFLite metadata: the entry "TFLITE_METADATA" of the file, a FlatBuffer ("M001",
// metadata_schema.fbs of TFLite Support), says which file has an output's labels; the files lie in a ZIP archive behind the model.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

inline constexpr std::string_view kTfliteMetadataEntry = "TFLITE_METADATA";

// The labels of each output of subgraph number `subgraph`, in the order of its outputs; empty where none are named. `metadata` is the entry's
// content, `file` the whole file. Errors say what is wrong with the metadata, the archive or a label file: a model is none the worse for it.
StatusOr<std::vector<std::vector<std::string>>> ReadClassLabels(std::span<const std::byte> metadata, std::span<const std::byte> file,
                                                                size_t subgraph);

}  // namespace tflite_serving
