// Every limit of the HTTP server: what a client may send, how slowly, and how much memory is kept for the next request.
#pragma once

#include <chrono>
#include <cstddef>

namespace tflite_serving {

// What the operator may set. A request past a limit is answered with the status named here, then its connection is closed.
struct HttpLimits {
  size_t max_target_bytes = size_t{8} << 10;   // 414: path and query
  size_t max_header_bytes = size_t{64} << 10;  // 431: request line and header fields, line ends included
  size_t max_headers = 100;                    // 431: header lines
  size_t max_body_bytes = size_t{256} << 20;   // 413: the body, decoded from chunks; and again once it is inflated

  // A connection that has no request open is closed silently after this long.
  std::chrono::milliseconds idle_timeout{60'000};
  // 408: from the first byte of a head to its last.
  std::chrono::milliseconds header_timeout{20'000};
  // 408 while a body is read; a plain close while a response is written. Both must move at least one byte in this time…
  std::chrono::milliseconds progress_timeout{20'000};
  // …and, after a first `progress_timeout`, at this rate on the average, so that a byte now and then does not hold a connection for ever.
  size_t min_bytes_per_second = 500;
  // In place of the last three for a request that has begun when the server is told to end: it must go on within this.
  std::chrono::milliseconds drain_patience{500};

  // Responses of at least this many bytes are compressed for clients that accept it; 0: none is. The default is what the first flight of a TCP
  // connection carries (ten segments, RFC 6928): a response that fits into it would arrive no sooner for being smaller.
  size_t min_gzip_bytes = size_t{14} << 10;
};

// 400: what the framing of a chunked body (sizes, extensions, trailers) may take beyond kChunkOverheadBytes for each chunk.
inline constexpr size_t kMaxChunkOverheadBytes = size_t{16} << 10;
inline constexpr size_t kChunkOverheadBytes = 16;

// The smallest declared body whose handler is asked before it is read (HttpHandler::RefusesUnread).
inline constexpr size_t kMinRefusedUnreadBytes = size_t{64} << 10;

// What a body gets at once when its length is declared; a longer one grows by doubling as its bytes really arrive.
inline constexpr size_t kFirstBodyBytes = size_t{1} << 20;

// The buffer that heads are read into: its first size, what a chunked body or a drain may make of it, and what an idle connection keeps.
inline constexpr size_t kInputBytes = size_t{4} << 10;
inline constexpr size_t kStreamInputBytes = size_t{64} << 10;
inline constexpr size_t kMaxIdleInputBytes = size_t{16} << 10;

// A response that is finished on an event loop's own thread is compressed there up to this size; a larger one goes out as it is.
inline constexpr size_t kMaxInlineGzipBytes = size_t{128} << 10;

// Body memory that one event loop keeps for later requests, in all and for one request or response.
inline constexpr size_t kMaxPooledBytes = size_t{32} << 20;
inline constexpr size_t kMaxPooledBodyBytes = size_t{4} << 20;
inline constexpr size_t kMaxPooledExchanges = 256;
// And of each header field that is kept for handlers.
inline constexpr size_t kMaxPooledFieldBytes = size_t{1} << 10;

// After a refusal the rest of what the client is sending is read and dropped, up to these, so that it sees the answer rather than a reset.
inline constexpr size_t kLingerBytes = size_t{32} << 20;
inline constexpr std::chrono::milliseconds kLingerTimeout{5'000};

// Requests that one connection may have answered before the others of its loop get a turn.
inline constexpr unsigned kMaxRequestsPerTurn = 16;

// Deadlines are looked at this often, or more often if a limit is shorter than four of these.
inline constexpr std::chrono::milliseconds kMaxSweepInterval{250};
inline constexpr std::chrono::milliseconds kMinSweepInterval{5};

}  // namespace tflite_serving
