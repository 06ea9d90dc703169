#include "telemetry/otlp_message.h"

#include <array>
#include <concepts>
#include <cstddef>

#include "base/utf8.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kScopeName = "tflite-serving";
constexpr std::array<std::string_view, RequestSpan::kNumStages> kStageNames = {"decode", "queue", "wait", "run", "encode"};

enum SpanKind : uint64_t { kInternal = 1, kServer = 2 };
constexpr uint64_t kStatusError = 2;
// Span.flags: sampled; it is known whether the parent is remote; it is.
constexpr uint32_t kLocalParentFlags = 0x101;
constexpr uint32_t kRemoteParentFlags = 0x301;

// Appends fields to a serialized message. Format: https://protobuf.dev/programming-guides/encoding/
class Fields {
 public:
  Fields& Varint(uint32_t number, uint64_t value) { return Number(uint64_t{number} << 3).Number(value); }
  // fixed32 or fixed64.
  template <std::unsigned_integral T>
  Fields& Fixed(uint32_t number, T value) {
    return Number(uint64_t{number} << 3 | (sizeof(T) == 8 ? 1 : 5)).Raw({reinterpret_cast<const char*>(&value), sizeof(value)});
  }
  Fields& Bytes(uint32_t number, std::string_view bytes) { return Number(uint64_t{number} << 3 | 2).Number(bytes.size()).Raw(bytes); }
  Fields& Bytes(uint32_t number, std::span<const uint8_t> id) { return Bytes(number, {reinterpret_cast<const char*>(id.data()), id.size()}); }
  Fields& Text(uint32_t number, std::string_view text) { return text.empty() ? *this : Bytes(number, ReplaceInvalidUtf8(text)); }
  Fields& Message(uint32_t number, const Fields& inside) { return Bytes(number, inside.text_); }
  // A KeyValue; none for an empty text.
  Fields& Attribute(uint32_t number, std::string_view key, std::string_view value) {
    return value.empty() ? *this : Message(number, Fields().Text(1, key).Message(2, Fields().Text(1, value)));
  }
  Fields& Attribute(uint32_t number, std::string_view key, uint64_t value) {
    return Message(number, Fields().Text(1, key).Message(2, Fields().Varint(3, value)));
  }

  std::string Release() { return std::move(text_); }

 private:
  Fields& Number(uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
    text_ += static_cast<char>(value);
    return *this;
  }
  Fields& Raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }

  std::string text_;
};

// Whether it is the server's fault, as OpenTelemetry's conventions for gRPC servers have it.
bool IsServerError(StatusCode code) {
  return code == StatusCode::kUnknown || code == StatusCode::kDeadlineExceeded || code == StatusCode::kUnimplemented ||
         code == StatusCode::kInternal || code == StatusCode::kUnavailable || code == StatusCode::kDataLoss;
}

Fields Interval(Fields span, std::string_view name, SpanKind kind, TimePoint begin, TimePoint end, std::chrono::nanoseconds since_epoch) {
  const auto time = [since_epoch](TimePoint at) { return static_cast<uint64_t>((at.time_since_epoch() + since_epoch).count()); };
  span.Text(5, name).Varint(6, kind).Fixed(7, time(begin)).Fixed(8, time(end));
  return span;
}

Fields ServerSpan(const RequestSpan& request, std::chrono::nanoseconds since_epoch) {
  Fields ids;
  ids.Bytes(1, request.context.trace_id).Bytes(2, request.context.span_id).Text(3, request.trace_state);
  if (request.parent) ids.Bytes(4, *request.parent);
  Fields span = Interval(std::move(ids), request.name, kServer, request.begin, request.end, since_epoch);
  span.Attribute(9, "tflite_serving.protocol", request.protocol).Attribute(9, "tflite_serving.model", request.model);
  if (request.version) span.Attribute(9, "tflite_serving.version", static_cast<uint64_t>(*request.version));
  span.Attribute(9, "tflite_serving.signature", request.signature)
      .Attribute(9, "tflite_serving.code", StatusCodeName(request.status.code()))
      .Attribute(9, "tflite_serving.request_id", request.request_id)
      .Attribute(9, "tflite_serving.request_bytes", request.request_bytes)
      .Attribute(9, "tflite_serving.reply_bytes", request.reply_bytes);
  if (IsServerError(request.status.code())) span.Message(15, Fields().Text(2, request.status.message()).Varint(3, kStatusError));
  span.Fixed(16, request.parent ? kRemoteParentFlags : kLocalParentFlags);
  return span;
}

bool TakeVarint(std::string_view& text, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !text.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(text.front());
    text.remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Takes a field: a varint, or one that has `inside`. False at the end, and at what is neither.
bool TakeField(std::string_view& text, uint64_t& number, uint64_t& value, std::string_view& inside) {
  uint64_t tag = 0;
  if (!TakeVarint(text, tag) || !TakeVarint(text, value)) return false;
  number = tag >> 3;
  inside = {};
  if ((tag & 7) == 0) return true;
  if ((tag & 7) != 2 || value > text.size()) return false;
  inside = text.substr(0, value);
  text.remove_prefix(value);
  return true;
}

}  // namespace

std::string EncodeExportRequest(const KeyValues& resource, std::span<const RequestSpan> requests, std::chrono::nanoseconds since_epoch) {
  Fields attributes;
  for (const auto& [key, value] : resource) attributes.Attribute(1, key, value);
  Fields scope_spans;
  scope_spans.Message(1, Fields().Text(1, kScopeName));
  for (const RequestSpan& request : requests) {
    scope_spans.Message(2, ServerSpan(request, since_epoch));
    for (size_t i = 0; i < request.stages.size(); ++i) {
      const RequestSpan::Interval& stage = request.stages[i];
      if (stage.begin == TimePoint{}) continue;
      Fields ids;
      ids.Bytes(1, request.context.trace_id).Bytes(2, MakeSpanId()).Bytes(4, request.context.span_id);
      const TimePoint end = stage.end < stage.begin ? request.end : stage.end;  // one that the request ended in
      scope_spans.Message(2, Interval(std::move(ids), kStageNames[i], kInternal, stage.begin, end, since_epoch).Fixed(16, kLocalParentFlags));
    }
  }
  return Fields().Message(1, Fields().Message(1, attributes).Message(2, scope_spans)).Release();
}

ExportAnswer DecodeExportResponse(std::string_view message) {
  ExportAnswer answer;
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view partial_success;
  while (TakeField(message, number, value, partial_success)) {
    if (number != 1) continue;
    for (std::string_view inside; TakeField(partial_success, number, value, inside);) {
      if (number == 1) answer.rejected_spans = value;
      if (number == 2) answer.message = inside;
    }
  }
  return answer;
}

}  // namespace tflite_serving
