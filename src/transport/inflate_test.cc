#include "transport/inflate.h"

#include <zlib.h>

#include <string>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

// With `window_bits` as zlib has it: 15 for zlib's own format, 31 for gzip, -15 for neither head nor check.
std::string Deflated(const std::string& text, int window_bits) {
  z_stream z{};
  EXPECT_EQ(::deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string compressed(::deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(compressed.data());
  z.avail_out = static_cast<uInt>(compressed.size());
  EXPECT_EQ(::deflate(&z, Z_FINISH), Z_STREAM_END);
  compressed.resize(z.total_out);
  ::deflateEnd(&z);
  return compressed;
}

TEST(InflateTest, ReadsGzipAndZlib) {
  for (const int format : {15, 31}) {
    for (const size_t size : {0, 1, 1000, 16384, 16385, 3'000'000}) {
      std::string text(size, '\0');
      for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i >> 3);
      ByteBuffer output;
      EXPECT_EQ(Inflate(Deflated(text, format), size, output), OkStatus()) << format << " " << size;
      EXPECT_TRUE(output.view() == text) << format << " " << size;
    }
  }
}

TEST(InflateTest, TheBoundHoldsBeforeMemoryIsUsed) {
  const std::string bomb = Deflated(std::string(8'000'000, '\0'), 31);
  EXPECT_LT(bomb.size(), 10'000U);
  ByteBuffer output;
  EXPECT_EQ(Inflate(bomb, 100'000, output), ResourceExhaustedError("it is larger than 100000 bytes when decompressed"));
  EXPECT_LE(output.capacity(), 200'000U);
  ByteBuffer exact;
  EXPECT_EQ(Inflate(Deflated("12345", 31), 5, exact), OkStatus());
  ByteBuffer over;
  EXPECT_EQ(Inflate(Deflated("12345", 31), 4, over).code(), StatusCode::kResourceExhausted);
}

TEST(InflateTest, RefusesWhatIsDamaged) {
  const std::string good = Deflated("some text to compress", 31);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    ByteBuffer output;
    EXPECT_EQ(Inflate(std::string_view(good).substr(0, cut), 1000, output).code(), StatusCode::kInvalidArgument) << cut;
  }
  std::string damaged = good;
  damaged[good.size() - 6] ^= 1;  // of the checksum
  for (const std::string& bad : {damaged, good + "x", good + good, std::string("plain"), Deflated("raw", -15)}) {
    ByteBuffer output;
    EXPECT_EQ(Inflate(bad, 1000, output).code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tflite_serving
