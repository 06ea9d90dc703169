// What a request is known by beyond this process: W3C Trace Context's identifiers (https://www.w3.org/TR/trace-context/), and a request id, by which
// people find it in logs. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tflite_serving {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

struct TraceContext {
  TraceId trace_id{};  // neither is all zeros in a valid context
  SpanId span_id{};
  bool sampled = false;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// The header `traceparent`, without white space around it. Nothing if it is not valid: then the request has no parent, and its `tracestate` is
// dropped. Of versions after 00 it reads what 00 has.
std::optional<TraceContext> ParseTraceParent(std::string_view header);
// As version 00.
std::string FormatTraceParent(const TraceContext& context);

// Whether a `tracestate` may be passed on, which is done without a change: at most 512 characters of printable ASCII.
bool IsValidTraceState(std::string_view header);

// From a generator of the calling thread's own, seeded by the kernel: unique, but no secrets. No system calls but for a thread's first.
uint64_t NonzeroRandom();
TraceId MakeTraceId();
SpanId MakeSpanId();
std::string MakeRequestId();  // 32 hex digits

// Whether a client's own request id may be used: 1 to 128 characters of printable ASCII, without space, quotes and backslash, so that it forges
// nothing where it is printed.
bool IsValidRequestId(std::string_view id);

}  // namespace tflite_serving
