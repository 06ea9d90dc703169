#include "runtime/class_labels.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "runtime/flatbuffer.h"
#include "runtime/zip_file.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kIdentifier = "M001";
// Field numbers of the schema's tables.
constexpr int kModelSubgraphs = 3;
constexpr int kSubgraphOutputs = 3;
constexpr int kTensorFiles = 6;
constexpr int kFileName = 0;
constexpr int kFileType = 2;
constexpr int kFileLocale = 3;
// AssociatedFileType
constexpr int8_t kAxisLabels = 2;
constexpr int8_t kValueLabels = 3;

// The name of the file with a tensor's labels: of several, in several languages, one without a language, else the first. Empty if there is none.
std::string LabelFileOf(const FlatTable& tensor) {
  std::string name;
  for (const FlatTable& file : tensor.Tables(kTensorFiles)) {
    const auto type = file.Scalar<int8_t>(kFileType);
    if (type != kAxisLabels && type != kValueLabels) continue;
    if (file.String(kFileLocale).empty()) return std::string(file.String(kFileName));
    if (name.empty()) name = file.String(kFileName);
  }
  return name;
}

// One label a line.
std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace

StatusOr<ClassLabels> ClassLabels::Open(std::span<const std::byte> metadata, std::span<const std::byte> file) {
  FlatBuffer buffer(metadata);
  ClassLabels labels;
  labels.file_ = file;
  for (const FlatTable& subgraph : buffer.Root(kIdentifier).Tables(kModelSubgraphs)) {
    std::vector<std::string>& names = labels.names_.emplace_back();
    for (const FlatTable& tensor : subgraph.Tables(kSubgraphOutputs)) names.push_back(LabelFileOf(tensor));
  }
  if (!buffer.error().empty()) return InvalidArgumentError(fmt::format("the metadata is not sound: {}", buffer.error()));
  return labels;
}

StatusOr<std::vector<std::string>> ClassLabels::Read(size_t subgraph, size_t output) {
  const std::string name = subgraph < names_.size() && output < names_[subgraph].size() ? names_[subgraph][output] : "";
  if (name.empty()) return std::vector<std::string>();
  const auto [found, is_new] = read_.try_emplace(name);
  LabelFile& labels = found->second;
  if (is_new) {
    StatusOr<std::string> text = ReadZippedFile(file_, name);
    if (!text.ok()) return Status(text.status().code(), fmt::format("label file \"{}\": {}", name, text.status().message()));
    labels.lines = SplitLines(*text);
    labels.bytes = text->size() + labels.lines.size() * sizeof(std::string);
  }
  if (labels.bytes > bytes_left_) {
    return ResourceExhaustedError(fmt::format("label file \"{}\": the labels of all outputs exceed {} bytes", name, kMaxBytes));
  }
  bytes_left_ -= labels.bytes;
  return labels.lines;
}

}  // namespace tflite_serving
