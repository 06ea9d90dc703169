// The messages of OTLP, OpenTelemetry's protocol, as serialized protobuf. Field numbers are those of opentelemetry-proto's
// collector/trace/v1/trace_service.proto, trace/v1/trace.proto and common/v1/common.proto.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "telemetry/request_span.h"

namespace tflite_serving {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

// An ExportTraceServiceRequest with all spans of these requests. Stages get new span ids. `since_epoch` is what a time by the system's clock is ahead
// of the same time by the monotonic clock. Bytes that are not UTF-8 are replaced: a collector would refuse the whole message for them.
std::string EncodeExportRequest(const KeyValues& resource, std::span<const RequestSpan> requests, std::chrono::nanoseconds since_epoch);

// What an ExportTraceServiceResponse says of a partial success; as much of it as can be read.
struct ExportAnswer {
  uint64_t rejected_spans = 0;
  std::string message;
};
ExportAnswer DecodeExportResponse(std::string_view message);

}  // namespace tflite_serving
