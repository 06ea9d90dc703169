#include "telemetry/trace_context.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <span>

namespace tflite_serving {
namespace {

constexpr size_t kMaxTraceStateSize = 512;
constexpr size_t kMaxRequestIdSize = 128;
constexpr unsigned kSampledFlag = 1;
constexpr std::string_view kHexDigits = "0123456789abcdef";

// Where the parts of a traceparent stand: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
constexpr size_t kTraceIdAt = 3;
constexpr size_t kSpanIdAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kTraceParentSize = 55;

// Lower-case alone, as Trace Context has it.
bool ParseHex(std::string_view text, std::span<uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t high = kHexDigits.find(text[2 * i]);
    const size_t low = kHexDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

std::string Hex(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

template <typename Id>
Id RandomId() {
  Id id;
  for (size_t at = 0; at < id.size(); at += sizeof(uint64_t)) {
    const uint64_t number = NonzeroRandom();
    std::memcpy(&id[at], &number, sizeof(number));
  }
  return id;
}

std::mt19937_64 SeededGenerator() {
  std::array<uint32_t, 16> seed{};
  // The kernel can refuse only under a sandbox that knows no getrandom.
  if (::getentropy(seed.data(), sizeof(seed)) != 0) seed[0] = static_cast<uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  std::seed_seq sequence(seed.begin(), seed.end());
  return std::mt19937_64(sequence);
}

}  // namespace

std::optional<TraceContext> ParseTraceParent(std::string_view header) {
  std::array<uint8_t, 1> version{};
  std::array<uint8_t, 1> flags{};
  TraceContext context;
  if (header.size() < kTraceParentSize || header[kTraceIdAt - 1] != '-' || header[kSpanIdAt - 1] != '-' || header[kFlagsAt - 1] != '-' ||
      !ParseHex(header, version) || !ParseHex(header.substr(kTraceIdAt), context.trace_id) || !ParseHex(header.substr(kSpanIdAt), context.span_id) ||
      !ParseHex(header.substr(kFlagsAt), flags)) {
    return std::nullopt;
  }
  if (version[0] == 0xff || context.trace_id == TraceId{} || context.span_id == SpanId{}) return std::nullopt;
  if (header.size() > kTraceParentSize && (version[0] == 0 || header[kTraceParentSize] != '-')) return std::nullopt;
  context.sampled = (flags[0] & kSampledFlag) != 0;
  return context;
}

std::string FormatTraceParent(const TraceContext& context) {
  return "00-" + Hex(context.trace_id) + "-" + Hex(context.span_id) + (context.sampled ? "-01" : "-00");
}

bool IsValidTraceState(std::string_view header) {
  return header.size() <= kMaxTraceStateSize && std::ranges::all_of(header, [](char c) { return c >= ' ' && c <= '~'; });
}

uint64_t NonzeroRandom() {
  thread_local std::mt19937_64 generator = SeededGenerator();
  uint64_t number = 0;
  while (number == 0) number = generator();
  return number;
}

TraceId MakeTraceId() { return RandomId<TraceId>(); }
SpanId MakeSpanId() { return RandomId<SpanId>(); }
std::string MakeRequestId() { return Hex(MakeTraceId()); }

bool IsValidRequestId(std::string_view id) {
  const auto allowed = [](char c) { return c > ' ' && c <= '~' && std::string_view("\"'`\\").find(c) == std::string_view::npos; };
  return !id.empty() && id.size() <= kMaxRequestIdSize && std::ranges::all_of(id, allowed);
}

}  // namespace tflite_serving
