// The words of gRPC over HTTP/2 (grpc.io, "gRPC over HTTP2"): what its headers say, in and out.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// What a status message is cut to, with kTruncatedSuffix after it: it travels in a header, whose size clients limit.
inline constexpr size_t kMaxStatusMessageBytes = 1024;
inline constexpr std::string_view kTruncatedSuffix = "...TRUNCATED";

// Whether `content_type` is application/grpc, or that with +proto or with parameters.
bool IsGrpcContentType(std::string_view content_type);

// A grpc-timeout: one to eight digits and a unit, "100m" is 100 ms. None for anything else.
std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);

// The encodings that a request may be compressed with, for grpc-accept-encoding.
inline constexpr std::string_view kAcceptedEncodings = "identity,deflate,gzip";
enum class GrpcEncoding { kIdentity, kDeflate, kGzip };
std::optional<GrpcEncoding> ParseGrpcEncoding(std::string_view name);

// `message` as a grpc-message header: cut, never inside of a UTF-8 sequence, and percent-encoded where it is not printable ASCII.
std::string EncodeStatusMessage(std::string_view message);

}  // namespace tflite_serving
