// Decompression of what a client sent, with a bound on the result that holds before memory is used.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/status.h"
#include "transport/byte_buffer.h"

namespace tflite_serving {

// Appends what `compressed` holds to `output`: one gzip member (RFC 1952) or zlib stream (RFC 1950), and nothing after it.
// RESOURCE_EXHAUSTED: there is more than `max_bytes` of it, of which no more than that is ever held. UNAVAILABLE: there is no memory.
// INVALID_ARGUMENT: it is neither, or it is damaged or cut.
Status Inflate(std::string_view compressed, size_t max_bytes, ByteBuffer& output);

}  // namespace tflite_serving
