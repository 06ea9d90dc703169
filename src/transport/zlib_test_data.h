// For tests: bodies as clients compress and decompress them, by zlib.
#pragma once

#define ZLIB_CONST
#include <zlib.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace tflite_serving {

// The window sizes by which zlib tells the formats apart.
inline constexpr int kGzipWindow = 16 + MAX_WBITS;
inline constexpr int kZlibWindow = MAX_WBITS;
inline constexpr int kBareWindow = -MAX_WBITS;

inline std::string Deflated(std::string_view text, int window = kGzipWindow) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<const Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// `size`: what comes out.
inline std::string Gunzipped(std::string_view bytes, size_t size) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, kGzipWindow), Z_OK);
  std::string out(size, '\0');
  stream.next_in = reinterpret_cast<const Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(stream.total_out, size);
  inflateEnd(&stream);
  return out;
}

}  // namespace tflite_serving
