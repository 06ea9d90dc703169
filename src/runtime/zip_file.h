// Reading one file out of a ZIP archive in memory, such as TFLite metadata appends to a model. Format: PKWARE's APPNOTE.TXT.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// A file in an archive that is longer than this, packed or not, is not read.
inline constexpr size_t kMaxZippedFileBytes = size_t{4} << 20;

// The content of `name` in the archive at the end of `bytes`, whatever comes before it. Stored and deflated files are read, their checksum is
// checked. NOT_FOUND if there is no archive, or no such file in it; INVALID_ARGUMENT if the archive is not sound; UNIMPLEMENTED for encryption and
// other ways of packing; RESOURCE_EXHAUSTED beyond kMaxZippedFileBytes.
StatusOr<std::string> ReadZippedFile(std::span<const std::byte> bytes, std::string_view name);

}  // namespace tflite_serving
