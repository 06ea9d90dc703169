#include "api/access_log.h"

#include <array>
#include <utility>

#include "telemetry/log.h"

namespace tflite_serving {

StatusOr<std::unique_ptr<AccessLog>> AccessLog::Open(const std::string& path) {
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<LineWriter> writer, LineWriter::Open(path, "access_log"));
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(writer)));
}

void AccessLog::Write(const RequestSummary& request) {
  std::array<LogField, 16> fields;
  size_t count = 0;
  const auto text = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) fields[count++] = {name, value};
  };
  const auto number = [&](std::string_view name, size_t value) { fields[count++] = {name, static_cast<int64_t>(value)}; };
  const auto time = [&](std::string_view name, std::chrono::nanoseconds value) { number(name, static_cast<size_t>(value.count() / 1000)); };
  text("id", request.id);
  text("client", request.client);
  text("protocol", ProtocolName(request.protocol));
  text("method", ApiMethodName(request.method));
  text("model", request.model);
  if (request.version != 0) fields[count++] = {"version", request.version};
  text("signature", request.signature);
  text("code", StatusCodeName(request.code));
  number("request_bytes", request.request_bytes);
  number("reply_bytes", request.reply_bytes);
  if (request.was_timed) time("total_us", request.total);
  if (request.has_run) {
    time("queue_us", request.queue);
    time("decode_us", request.decode);
    time("wait_us", request.wait);
    time("run_us", request.run);
    time("encode_us", request.encode);
  }
  writer_->Write(FormatLogLine(LogLevel::kInfo, std::chrono::system_clock::now(), "access", "request", std::span(fields).first(count)));
}

}  // namespace tflite_serving
