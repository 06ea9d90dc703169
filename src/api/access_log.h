// The access log: one line for each request of the API, in the format of the log.
//
//   2026-11-22 14:03:07.123456: I access] request id=4bf92f35… protocol=rest method=predict model=m version=1 signature=serving_default code=OK
//       request_bytes=24 reply_bytes=31 total_us=112 queue_us=0 decode_us=8 wait_us=0 run_us=85 encode_us=7
//
// (in one line). What a request does not have is left out: version and signature of one that found no model, and stages of one that was not run.
// Nothing of what requests and replies hold is in it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/request_metrics.h"
#include "base/status.h"
#include "telemetry/line_writer.h"

namespace tflite_serving {

// What there is to say of a request that has been answered. Borrowed texts.
struct RequestSummary {
  Protocol protocol = Protocol::kRest;
  ApiMethod method = ApiMethod::kPredict;
  std::string_view id;      // empty: none
  std::string_view client;  // likewise
  std::string_view model;
  int64_t version = 0;  // 0: none
  std::string_view signature;
  StatusCode code = StatusCode::kOk;
  size_t request_bytes = 0;
  size_t reply_bytes = 0;
  bool was_timed = false;
  bool has_run = false;
  std::chrono::nanoseconds total{0}, queue{0}, decode{0}, wait{0}, run{0}, encode{0};
};

// Thread-safe.
class AccessLog {
 public:
  // `path` as LineWriter's; errors likewise.
  static StatusOr<std::unique_ptr<AccessLog>> Open(const std::string& path);

  void Write(const RequestSummary& request);
  void Reopen() { writer_->Reopen(); }
  uint64_t dropped() const { return writer_->dropped(); }

 private:
  explicit AccessLog(std::unique_ptr<LineWriter> writer) : writer_(std::move(writer)) {}

  const std::unique_ptr<LineWriter> writer_;
};

}  // namespace tflite_serving
