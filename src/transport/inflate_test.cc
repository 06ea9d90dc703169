#include "transport/inflate.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transport/zlib_test_data.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

// Text that neither compresses to nothing nor repeats at once.
std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += fmt::format("{},", i * i % 9973);
  text.resize(size);
  return text;
}

struct Inflated {
  StatusCode status;
  std::string text;
  size_t capacity;
};

Inflated Inflate(CompressedFormat format, std::string_view compressed, size_t max_bytes = kMaxBytes) {
  Inflater inflater(format, compressed, max_bytes);
  ByteBuffer output;
  for (bool done = false;;) {
    const size_t before = output.size();
    const Status status = inflater.Step(output, done);
    EXPECT_LE(output.size() - before, kInflateSliceBytes);
    if (!status.ok() || done) return {status.code(), std::string(output.view()), output.capacity()};
  }
}

TEST(InflateTest, NothingIsNoStream) {
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, "").status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kDeflate, "").status, StatusCode::kInvalidArgument);
}

TEST(InflateTest, InflatesEveryFormatAndSize) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, kInflateSliceBytes - 1, kInflateSliceBytes, kInflateSliceBytes + 1, kMaxBytes}) {
    const std::string text = Text(size);
    EXPECT_TRUE(Inflate(CompressedFormat::kGzip, Deflated(text)).text == text) << size;
    EXPECT_TRUE(Inflate(CompressedFormat::kDeflate, Deflated(text, kZlibWindow)).text == text) << size;
    EXPECT_TRUE(Inflate(CompressedFormat::kDeflate, Deflated(text, kBareWindow)).text == text) << size;
  }
}

TEST(InflateTest, SeveralGzipMembersAreOneContent) {
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, Deflated("{\"inst") + Deflated("") + Deflated("ances\"}")).text, "{\"instances\"}");
  std::string members;
  const std::string empty = Deflated("");
  for (size_t i = 1; i < kMaxGzipMembers; ++i) members += empty;
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, members + Deflated("last")).text, "last");
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, members + empty + Deflated("last")).status, StatusCode::kInvalidArgument);
}

TEST(InflateTest, RefusesOneByteMoreThanAllowed) {
  const std::string text = Text(1000);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, Deflated(text), 1000).text, text);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, Deflated(text), 999).status, StatusCode::kResourceExhausted);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, Deflated(text.substr(0, 500)) + Deflated(text.substr(500)), 999).status, StatusCode::kResourceExhausted);
}

TEST(InflateTest, ABombCostsNoMoreMemoryThanTheLimit) {
  const std::string bomb = Deflated(std::string(64 * kMaxBytes, '0'));
  const Inflated refused = Inflate(CompressedFormat::kGzip, bomb);
  EXPECT_EQ(refused.status, StatusCode::kResourceExhausted);
  EXPECT_LE(refused.capacity, kMaxBytes + 1);
}

TEST(InflateTest, RefusesWhatIsDamaged) {
  const std::string gzip = Deflated(Text(1000));
  for (size_t size = 1; size < gzip.size(); ++size)
    EXPECT_EQ(Inflate(CompressedFormat::kGzip, gzip.substr(0, size)).status, StatusCode::kInvalidArgument) << size;
  std::string checksum = gzip;
  checksum[checksum.size() - 5] = static_cast<char>(checksum[checksum.size() - 5] ^ 1);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, checksum).status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, gzip + "more").status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, "{\"instances\": [1]}").status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kGzip, Deflated("zlib", kZlibWindow)).status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kDeflate, Deflated("zlib", kZlibWindow) + "more").status, StatusCode::kInvalidArgument);
  EXPECT_EQ(Inflate(CompressedFormat::kDeflate, gzip).status, StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tflite_serving
