#include "config/proto_text.h"

#include <array>

#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include "base/file.h"

namespace tflite_serving {
namespace {

// Docker and Podman leave these in the root of a container.
constexpr std::array<std::string_view, 2> kContainerMarks = {".dockerenv", "run/.containerenv"};

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = line < 0 ? message : fmt::format("{}:{}: {}", line + 1, column + 1, message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;  // counted from 1, as libprotobuf's own log does
};

}  // namespace

StatusOr<std::string> ReadProtoTextFile(const std::string& path, size_t max_bytes, const std::string& root) {
  StatusOr<std::string> text = ReadFile(path, max_bytes);
  if (text.ok() || text.status().code() != StatusCode::kNotFound) return text;
  std::string message = fmt::format("{}; No such file or directory", path);
  for (const std::string_view mark : kContainerMarks) {
    const StatusOr<FileKind> kind = GetFileKind(fmt::format("{}{}", root, mark));
    if (!kind.ok() || *kind == FileKind::kMissing) continue;
    message += ". This is a container: has its Dockerfile a COPY for the file, or `docker run` a mount (-v HOST_FOLDER:CONTAINER_FOLDER)?";
    break;
  }
  return NotFoundError(message);
}

Status ParseProtoText(std::string_view text, std::string_view example, google::protobuf::Message& message) {
  const google::protobuf::LogSilencer silencer;  // it also logs what it returns
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxProtoTextDepth);
  if (!parser.ParseFromString(std::string(text), &message)) {
    return InvalidArgumentError(
        fmt::format("Error parsing text-format {}: {} (expected is text like: {})", message.GetTypeName(), error.text(), example));
  }
  // Text may escape any bytes into a string, a message may not.
  if (std::string bytes; !message.SerializeToString(&bytes) || !message.ParseFromString(bytes)) {
    return InvalidArgumentError("it has a string that is not UTF-8");
  }
  return OkStatus();
}

Status InvalidProtoTextFile(std::string_view file_name, std::string_view reason) {
  return InvalidArgumentError(fmt::format("Invalid protobuf file: '{}': {}", file_name, reason));
}

Status AddFileName(const Status& error, std::string_view file_name) {
  return {error.code(), fmt::format("{} (in '{}')", error.message(), file_name)};
}

}  // namespace tflite_serving
