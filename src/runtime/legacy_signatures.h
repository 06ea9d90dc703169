// The signatures that TensorFlow Serving reads of a .tflite file: the metadata entry "signature_defs_metadata", which the schema's own signature
// table has replaced. Models prepared for that server have it, and their clients use its names.
//
// The entry is a FlexBuffer (https://flatbuffers.dev, "FlexBuffers"), a map from signature keys to serialized tensorflow.SignatureDef messages.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "runtime/tflite_file.h"

namespace tflite_serving {

inline constexpr std::string_view kLegacySignaturesEntry = "signature_defs_metadata";

struct LegacySignature {
  std::string key;
  std::string method_name;                    // may be empty
  std::map<std::string, std::string> inputs;  // names for clients, and names of tensors
  std::map<std::string, std::string> outputs;
};

// Reads the entry's content, sorted by key. INVALID_ARGUMENT, saying what is wrong, if it is not such a map.
StatusOr<std::vector<LegacySignature>> ReadLegacySignatures(std::span<const std::byte> content);

// The same signature over subgraph 0 of `file`, which is where TensorFlow Serving looks. Tensors may be named with or without ":0". INTERNAL, as
// there, for a tensor that is not an input (output) of it: `Signature input x references an unknown tensor: Unknown tensor 'a'.`
StatusOr<FileSignature> ResolveLegacySignature(const LegacySignature& signature, const TfliteFile& file);

}  // namespace tflite_serving
