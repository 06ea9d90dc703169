#include "transport/http_coding.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transport/http_test_zlib.h"

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
  int status;  // of the refusal; 0: none
  std::string text;
  size_t capacity;
};

Inflated Inflate(HttpCoding coding, std::string_view encoded, size_t max_bytes = kMaxBytes) {
  HttpInflater inflater(coding, encoded, max_bytes);
  ByteBuffer body;
  for (bool done = false;;) {
    const size_t before = body.size();
    const HttpRefusal refusal = inflater.Inflate(body, done);
    EXPECT_LE(body.size() - before, kInflateSliceBytes);
    if (refusal || done) return {refusal.status, std::string(body.view()), body.capacity()};
  }
}

TEST(HttpCodingTest, ContentEncodings) {
  EXPECT_EQ(ParseContentEncoding(""), HttpCoding::kIdentity);
  EXPECT_EQ(ParseContentEncoding("identity"), HttpCoding::kIdentity);
  EXPECT_EQ(ParseContentEncoding("gzip"), HttpCoding::kGzip);
  EXPECT_EQ(ParseContentEncoding(" X-GZip "), HttpCoding::kGzip);
  EXPECT_EQ(ParseContentEncoding("identity, Deflate,"), HttpCoding::kDeflate);
  for (const char* value : {"br", "zstd", "gzip, deflate", "gzip,gzip", "compress", "gzip;q=1"}) {
    EXPECT_EQ(ParseContentEncoding(value), HttpCoding::kUnsupported) << value;
  }
}

TEST(HttpCodingTest, AcceptedEncodings) {
  for (const char* value : {"gzip", "x-gzip", "deflate, GZIP", "gzip;q=0.001", "gzip ; q=1.000", "br;q=1, gzip;q=0.5", "*", "*;q=0.3",
                            "identity;q=0, *", "identity;q=0.5, gzip;q=0.5", "gzip;level=9;Q=1", "identity;q=0.2,gzip"}) {
    EXPECT_TRUE(AcceptsGzip(value)) << value;
  }
  for (const char* value : {"", "identity", "deflate", "br", "gzip;q=0", "gzip;q=0.000", "*, gzip;q=0", "*;q=0", "gzip;q=0.5, identity",
                            "gzip;q=", "gzip;q=2", "gzip;q=x", "gzip;q=0.0001", "gzip;q=1x", "gzipped"}) {
    EXPECT_FALSE(AcceptsGzip(value)) << value;
  }
}

TEST(HttpCodingTest, InflatesEveryFormatAndSize) {
  for (const size_t size : {size_t{0}, size_t{1}, kInputBytes, kInflateSliceBytes - 1, kInflateSliceBytes, kInflateSliceBytes + 1, kMaxBytes}) {
    const std::string text = Text(size);
    EXPECT_TRUE(Inflate(HttpCoding::kGzip, Deflated(text)).text == text) << size;
    EXPECT_TRUE(Inflate(HttpCoding::kDeflate, Deflated(text, kZlibWindow)).text == text) << size;
    EXPECT_TRUE(Inflate(HttpCoding::kDeflate, Deflated(text, kBareWindow)).text == text) << size;
  }
}

TEST(HttpCodingTest, SeveralGzipMembersAreOneBody) {
  EXPECT_EQ(Inflate(HttpCoding::kGzip, Deflated("{\"inst") + Deflated("") + Deflated("ances\"}")).text, "{\"instances\"}");
  std::string members;
  const std::string empty = Deflated("");
  for (size_t i = 1; i < kMaxGzipMembers; ++i) members += empty;
  EXPECT_EQ(Inflate(HttpCoding::kGzip, members + Deflated("last")).text, "last");
  EXPECT_EQ(Inflate(HttpCoding::kGzip, members + empty + Deflated("last")).status, 400);
}

TEST(HttpCodingTest, RefusesOneByteMoreThanAllowed) {
  const std::string text = Text(1000);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, Deflated(text), 1000).text, text);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, Deflated(text), 999).status, 413);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, Deflated(text.substr(0, 500)) + Deflated(text.substr(500)), 999).status, 413);
}

TEST(HttpCodingTest, ABombCostsNoMoreMemoryThanTheLimit) {
  const std::string bomb = Deflated(std::string(64 * kMaxBytes, '0'));
  const Inflated refused = Inflate(HttpCoding::kGzip, bomb);
  EXPECT_EQ(refused.status, 413);
  EXPECT_LE(refused.capacity, kMaxBytes + 1);
}

TEST(HttpCodingTest, RefusesWhatIsDamaged) {
  const std::string gzip = Deflated(Text(1000));
  for (size_t size = 1; size < gzip.size(); ++size) EXPECT_EQ(Inflate(HttpCoding::kGzip, gzip.substr(0, size)).status, 400) << size;
  std::string checksum = gzip;
  checksum[checksum.size() - 5] = static_cast<char>(checksum[checksum.size() - 5] ^ 1);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, checksum).status, 400);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, gzip + "more").status, 400);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, "{\"instances\": [1]}").status, 400);
  EXPECT_EQ(Inflate(HttpCoding::kGzip, Deflated("zlib", kZlibWindow)).status, 400);
  EXPECT_EQ(Inflate(HttpCoding::kDeflate, Deflated("zlib", kZlibWindow) + "more").status, 400);
  EXPECT_EQ(Inflate(HttpCoding::kDeflate, gzip).status, 400);
}

TEST(HttpCodingTest, CompressesWhatGetsSmaller) {
  const std::string text = Text(100'000);
  std::string out = "what was there";
  ASSERT_TRUE(Gzip(text, out));
  EXPECT_LT(out.size(), text.size());
  EXPECT_TRUE(Gunzipped(out, text.size()) == text);
  EXPECT_FALSE(Gzip("short", out));
  EXPECT_FALSE(Gzip("", out));
}

}  // namespace
}  // namespace tflite_serving
