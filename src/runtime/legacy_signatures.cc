#include "runtime/legacy_signatures.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "wire/message_reader.h"

namespace tflite_serving {
namespace {

// FlexBuffers: a value's packed type is its type and, in the two lowest bits, the logarithm of its width.
constexpr unsigned kFlexString = 5;
constexpr unsigned kFlexMap = 9;
constexpr unsigned kFlexBlob = 25;
// All keys and values together may be this much longer than the FlexBuffer: each of its entries may name one long text.
constexpr size_t kSharing = 4;
// Of the root: its packed type, and its width.
constexpr size_t kRootBytes = 2;

// tensorflow.SignatureDef
constexpr uint32_t kInputsField = 1;
constexpr uint32_t kOutputsField = 2;
constexpr uint32_t kMethodNameField = 3;
// An entry of a map
constexpr uint32_t kKeyField = 1;
constexpr uint32_t kValueField = 2;
// tensorflow.TensorInfo
constexpr uint32_t kTensorNameField = 1;

// A FlexBuffer that is a map from texts to texts. A reader remembers whether it was ever led outside.
class FlexMapReader {
 public:
  explicit FlexMapReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  StatusOr<std::vector<std::pair<std::string_view, std::string_view>>> Read() {
    if (bytes_.size() <= kRootBytes) return InvalidArgumentError("it is too short for a FlexBuffer");
    const size_t root_width = std::to_integer<size_t>(bytes_[bytes_.size() - 1]);
    const unsigned root_type = std::to_integer<unsigned>(bytes_[bytes_.size() - 2]);
    if (root_type >> 2 != kFlexMap || !IsWidth(root_width) || root_width > bytes_.size() - kRootBytes) {
      return InvalidArgumentError(fmt::format("its root is of type {} and width {}, where a map is expected", root_type >> 2, root_width));
    }
    const size_t width = size_t{1} << (root_type & 3);
    const size_t map = Follow(bytes_.size() - kRootBytes - root_width, root_width);
    // Before a map: where its keys are, how wide these are, and how many elements it has.
    const uint64_t count = Number(map - width, width);
    const size_t keys = Follow(map - 3 * width, width);
    const size_t key_width = Number(map - 2 * width, width);
    if (map < 3 * width || !IsWidth(key_width) || count > bytes_.size() || Number(keys - key_width, key_width) != count) is_sound_ = false;
    std::vector<std::pair<std::string_view, std::string_view>> entries;
    size_t budget = kSharing * bytes_.size();
    for (size_t i = 0; is_sound_ && i < count; ++i) {
      const std::string_view key = Key(Follow(keys + i * key_width, key_width));
      const unsigned type = static_cast<unsigned>(Number(map + count * width + i, 1));
      if (is_sound_ && type >> 2 != kFlexString && type >> 2 != kFlexBlob) {
        return InvalidArgumentError(fmt::format("the value of \"{}\" is of type {}, where bytes are expected", key, type >> 2));
      }
      const std::string_view text = Text(Follow(map + i * width, width), size_t{1} << (type & 3));
      if (key.size() + text.size() > budget) return InvalidArgumentError("it names the same content from too many places");
      budget -= key.size() + text.size();
      entries.emplace_back(key, text);
    }
    if (!is_sound_) return InvalidArgumentError(fmt::format("it refers to what lies outside of its {} bytes", bytes_.size()));
    return entries;
  }

 private:
  static bool IsWidth(size_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

  // 0, and no longer sound, outside. Little-endian, and a position that was counted below zero lies outside too.
  uint64_t Number(size_t position, size_t width) {
    uint64_t value = 0;
    if (width > sizeof(value) || position > bytes_.size() || width > bytes_.size() - position) {
      is_sound_ = false;
      return 0;
    }
    std::memcpy(&value, bytes_.data() + position, width);
    return value;
  }

  // What the reference at `position` leads to; references lead backwards.
  size_t Follow(size_t position, size_t width) {
    const uint64_t distance = Number(position, width);
    if (distance > position) is_sound_ = false;
    return position - distance;
  }

  std::string_view Key(size_t position) {
    if (!is_sound_ || position >= bytes_.size()) return {};
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position, bytes_.size() - position);
    const size_t end = rest.find('\0');
    if (end == std::string_view::npos) is_sound_ = false;
    return rest.substr(0, end);
  }

  std::string_view Text(size_t position, size_t width) {
    const uint64_t size = Number(position - width, width);
    if (!is_sound_ || size > bytes_.size() - position) {
      is_sound_ = false;
      return {};
    }
    return {reinterpret_cast<const char*>(bytes_.data()) + position, static_cast<size_t>(size)};
  }

  const std::span<const std::byte> bytes_;
  bool is_sound_ = true;
};

Status Check(const MessageReader& reader) { return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus(); }

// A map's entry from a name to a TensorInfo.
Status ReadTensorInfo(const WireRange& entry, std::map<std::string, std::string>& tensors) {
  std::string key;
  std::string tensor;
  MessageReader reader(entry);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kKeyField, WireType::kLengthDelimited)) {
      TFLS_ASSIGN_OR_RETURN(key, ReadName(field.range));
    }
    if (!field.Is(kValueField, WireType::kLengthDelimited)) continue;
    MessageReader info(field.range);
    for (WireField part; info.Next(part);) {
      if (part.Is(kTensorNameField, WireType::kLengthDelimited)) {
        TFLS_ASSIGN_OR_RETURN(tensor, ReadName(part.range));
      }
    }
    TFLS_RETURN_IF_ERROR(Check(info));
  }
  TFLS_RETURN_IF_ERROR(Check(reader));
  tensors[key] = tensor;
  return OkStatus();
}

StatusOr<LegacySignature> ReadSignatureDef(std::string_view key, std::string_view bytes) {
  LegacySignature signature{.key = std::string(key), .method_name = {}, .inputs = {}, .outputs = {}};
  MessageReader reader((WireRange(bytes)));
  for (WireField field; reader.Next(field);) {
    if (field.Is(kInputsField, WireType::kLengthDelimited)) TFLS_RETURN_IF_ERROR(ReadTensorInfo(field.range, signature.inputs));
    if (field.Is(kOutputsField, WireType::kLengthDelimited)) TFLS_RETURN_IF_ERROR(ReadTensorInfo(field.range, signature.outputs));
    if (field.Is(kMethodNameField, WireType::kLengthDelimited)) {
      TFLS_ASSIGN_OR_RETURN(signature.method_name, ReadName(field.range));
    }
  }
  TFLS_RETURN_IF_ERROR(Check(reader));
  return signature;
}

StatusOr<std::vector<FileSignature::Entry>> Resolve(std::string_view side, const std::map<std::string, std::string>& names, const FileSubgraph& graph,
                                                    const std::vector<int32_t>& tensors) {
  constexpr std::string_view kFirstOutput = ":0";
  std::vector<FileSignature::Entry> entries;
  for (const auto& [key, name] : names) {
    const auto is_called = [&](std::string_view wanted) {
      return std::ranges::find(tensors, wanted, [&](int32_t tensor) -> std::string_view { return graph.tensors[static_cast<size_t>(tensor)].name; });
    };
    auto found = is_called(name);
    if (found == tensors.end()) found = is_called(name + std::string(kFirstOutput));
    if (found == tensors.end() && name.ends_with(kFirstOutput))
      found = is_called(std::string_view(name).substr(0, name.size() - kFirstOutput.size()));
    if (found == tensors.end()) {
      return InternalError(fmt::format("Signature {} {} references an unknown tensor: Unknown tensor '{}'.", side, key, name));
    }
    entries.push_back({key, *found});
  }
  return entries;
}

}  // namespace

StatusOr<std::vector<LegacySignature>> ReadLegacySignatures(std::span<const std::byte> content) {
  TFLS_ASSIGN_OR_RETURN(const auto entries, FlexMapReader(content).Read());
  std::vector<LegacySignature> signatures;
  for (const auto& [key, bytes] : entries) {
    StatusOr<LegacySignature> signature = ReadSignatureDef(key, bytes);
    if (!signature.ok()) return InvalidArgumentError(fmt::format("signature \"{}\": {}", key, signature.status().message()));
    signatures.push_back(*std::move(signature));
  }
  std::ranges::sort(signatures, {}, &LegacySignature::key);
  return signatures;
}

StatusOr<FileSignature> ResolveLegacySignature(const LegacySignature& signature, const TfliteFile& file) {
  const FileSubgraph& graph = file.subgraphs.front();
  FileSignature resolved{.key = signature.key, .method_name = signature.method_name, .inputs = {}, .outputs = {}, .subgraph = 0};
  TFLS_ASSIGN_OR_RETURN(resolved.inputs, Resolve("input", signature.inputs, graph, graph.inputs));
  TFLS_ASSIGN_OR_RETURN(resolved.outputs, Resolve("output", signature.outputs, graph, graph.outputs));
  return resolved;
}

}  // namespace tflite_serving
