#include "transport/http/http_coding.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "transport/zlib_test_data.h"

namespace tflite_serving {
namespace {

// Text that neither compresses to nothing nor repeats at once.
std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += fmt::format("{},", i * i % 9973);
  text.resize(size);
  return text;
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
