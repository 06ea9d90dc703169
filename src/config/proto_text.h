// Configuration files in protobuf's text format, read as the original does and with more to say of what is wrong in them.
//
// All functions are thread-safe and write nothing to the log or to standard error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace tflite_serving {

// Messages inside of messages; the deepest one with a meaning is the fifth.
inline constexpr int kMaxProtoTextDepth = 16;

// The text of a file. RESOURCE_EXHAUSTED for more than `max_bytes`; NOT_FOUND, which tells of COPY and mounts if this process runs in a container;
// and whatever else keeps the file from being read. Whether it is a container is seen from `root`, the root of the file system; tests have one of
// their own.
StatusOr<std::string> ReadProtoTextFile(const std::string& path, size_t max_bytes, const std::string& root = "/");

// Sets `message`, which is empty, from `text`. INVALID_ARGUMENT, with a reason for InvalidProtoTextFile:
//   Error parsing text-format tensorflow.serving.ModelConfig: 2:15: Expected "{", found "x". (expected is text like: EXAMPLE)
Status ParseProtoText(std::string_view text, std::string_view example, google::protobuf::Message& message);

// INVALID_ARGUMENT, "Invalid protobuf file: 'FILE': REASON".
Status InvalidProtoTextFile(std::string_view file_name, std::string_view reason);

// An error of what a file says, as "MESSAGE (in 'FILE')".
Status AddFileName(const Status& error, std::string_view file_name);

}  // namespace tflite_serving
