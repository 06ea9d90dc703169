// Every limit of the gRPC server: what a client may send, how fast, how slowly, and how much memory is kept for the next call.
#pragma once

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace tflite_serving {

// What the operator may set, most of it by gRPC channel arguments (SetChannelArguments).
struct GrpcLimits {
  // RESOURCE_EXHAUSTED: a request message, after decompression.
  size_t max_receive_message_bytes = INT_MAX;
  // Calls in flight on one connection, those that a client gave up and a handler still works at included; further ones are reset (REFUSED_STREAM).
  uint32_t max_concurrent_streams = 1024;
  // RESOURCE_EXHAUSTED: the names and values of a request's headers, and 32 for each, as HTTP/2 counts.
  uint32_t max_metadata_bytes = 16 << 10;

  // A connection that has been silent for so long is asked whether it is still there (PING), and closed if it says nothing for the other.
  std::chrono::milliseconds keepalive_time = std::chrono::minutes(2);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(20);
  // A connection without calls for so long is asked to go (GOAWAY), as is one of this age, whose calls then get the grace.
  std::chrono::milliseconds max_connection_idle = std::chrono::milliseconds::max();
  std::chrono::milliseconds max_connection_age = std::chrono::milliseconds::max();
  std::chrono::milliseconds max_connection_age_grace = std::chrono::milliseconds::max();

  // From accept to the client's SETTINGS.
  std::chrono::milliseconds preface_timeout = std::chrono::seconds(10);
  // A request that stops arriving, a reply that the client does not take, and a socket that takes nothing at all.
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(60);
  // In its place for a request that has begun when its connection drains.
  std::chrono::milliseconds drain_patience = std::chrono::milliseconds(500);
  // What a draining connection waits for the client's answer to GOAWAY before new calls are ignored.
  std::chrono::milliseconds drain_round_trip = std::chrono::seconds(1);
};

// `time` + `duration`, without overflow: kNoDeadline where either is endless.
inline TimePoint After(TimePoint time, std::chrono::milliseconds duration) {
  const bool endless = time == kNoDeadline || duration >= std::chrono::hours(24 * 365 * 100);
  return endless ? kNoDeadline : time + duration;
}

// HTTP/2's flow control: what may be on its way unasked, so that a large request does not wait for round trips.
inline constexpr int32_t kStreamWindowBytes = 8 << 20;
inline constexpr int32_t kConnectionWindowBytes = 16 << 20;
inline constexpr uint32_t kMaxFrameBytes = 1 << 20;

// Frames that cost work and bring nothing (RST_STREAM, PING, SETTINGS, PRIORITY, empty DATA, CONTINUATION): one
// connection may send so many at once and so many a second; then it is closed with ENHANCE_YOUR_CALM. Rapid reset (CVE-2023-44487) and its kin.
inline constexpr int64_t kMaxIdleFrames = 10'000;
inline constexpr int64_t kIdleFramesPerSecond = 1'000;
// Headers past so many times max_metadata_bytes end the connection: their sender does not stop at the limit that it was told.
inline constexpr size_t kMetadataExcess = 4;

// A message gets this at once; a longer one grows by doubling as its bytes really arrive.
inline constexpr size_t kFirstMessageBytes = size_t{1} << 20;
// Shorter replies are copied beside their frame's head; longer ones go to the socket from where they were written.
inline constexpr size_t kMaxCopiedReplyBytes = 1 << 10;
// A message to a streaming method: a request for reflection or health.
inline constexpr size_t kMaxStreamMessageBytes = size_t{4} << 20;
// A compressed message holds no more than this, whatever else is allowed: it is inflated where it arrives, and others wait.
inline constexpr size_t kMaxInflatedBytes = size_t{256} << 20;
// Frames that wait for a socket that takes nothing, beside four for each call; with more the connection is closed.
inline constexpr size_t kMaxQueuedFrames = 4096;
// Messages of a streaming call that wait for the client; one more ends the call with RESOURCE_EXHAUSTED.
inline constexpr size_t kMaxQueuedStreamBytes = size_t{8} << 20;

// Read for each connection, and by all connections of a loop in turn when more is there. No connection reads more than the last in one turn, or
// writes.
inline constexpr size_t kGrpcInputBytes = size_t{4} << 10;
inline constexpr size_t kGrpcBulkInputBytes = size_t{128} << 10;
inline constexpr size_t kMaxBytesPerTurn = size_t{2} << 20;
// Of a message that is on its way so many bytes are waited for at once while there are other calls, which wait as well.
inline constexpr size_t kMaxSharedLowWaterBytes = size_t{128} << 10;
// Taken from HTTP/2 ahead of the socket.
inline constexpr size_t kMaxQueuedOutputBytes = size_t{256} << 10;
// After a connection's last frame what the client still sends is dropped, up to these, so that it sees that frame rather than a reset.
inline constexpr size_t kGrpcLingerBytes = size_t{4} << 20;
inline constexpr std::chrono::milliseconds kGrpcLingerTimeout{1'000};

// Memory that one event loop keeps for later calls, in all and for one message; and the calls.
inline constexpr size_t kMaxPooledCallBytes = size_t{32} << 20;
inline constexpr size_t kMaxPooledMessageBytes = size_t{4} << 20;
inline constexpr size_t kMaxPooledCalls = 256;

// Deadlines are looked at this often at least, and at most.
inline constexpr std::chrono::milliseconds kGrpcSweepInterval{250};
inline constexpr std::chrono::milliseconds kMinGrpcSweepInterval{5};

}  // namespace tflite_serving
