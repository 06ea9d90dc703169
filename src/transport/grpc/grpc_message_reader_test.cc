#include "transport/grpc/grpc_message_reader.h"

#include <zlib.h>

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_test_client.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

std::string Deflated(const std::string& text) {
  std::string compressed(::compressBound(text.size()), '\0');
  uLongf size = compressed.size();
  EXPECT_EQ(::compress(reinterpret_cast<Bytef*>(compressed.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size()), Z_OK);
  compressed.resize(size);
  return compressed;
}

Status ReadAll(GrpcMessageReader& reader, std::string_view bytes) { return reader.Read(bytes); }

TEST(GrpcMessageReaderTest, ReadsOneMessageAfterTheOther) {
  GrpcMessageReader reader;
  reader.Begin(GrpcEncoding::kIdentity, 100);
  const std::string body = Framed("one") + Framed("") + Framed("three");
  for (size_t step = 1; step <= body.size(); ++step) {
    std::vector<std::string> messages;
    for (size_t at = 0; at < body.size(); at += step) {
      std::string_view bytes = std::string_view(body).substr(at, step);
      while (!bytes.empty()) {
        ASSERT_EQ(reader.Read(bytes), OkStatus());
        EXPECT_TRUE(reader.begun());
        if (!reader.complete()) continue;
        messages.emplace_back(reader.message());
        reader.Next();
        EXPECT_FALSE(reader.begun());
      }
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"one", "", "three"})) << step;
  }
}

TEST(GrpcMessageReaderTest, TakesMemoryOnlyAsBytesArrive) {
  GrpcMessageReader reader;
  reader.Begin(GrpcEncoding::kIdentity, size_t{1} << 31);
  EXPECT_EQ(ReadAll(reader, std::string_view("\0\x7F\xFF\xFF\xFF", 5)), OkStatus());
  EXPECT_LT(reader.capacity(), kFirstMessageBytes + kBodyAlignment);
  EXPECT_EQ(ReadAll(reader, std::string(kFirstMessageBytes + 1, 'x')), OkStatus());
  EXPECT_LE(reader.capacity(), 3 * kFirstMessageBytes);
  EXPECT_FALSE(reader.complete());
}

TEST(GrpcMessageReaderTest, PutsOneByteOfEachMessageWhereItIsWanted) {
  GrpcMessageReader reader;
  for (const size_t byte : {size_t{0}, size_t{1}, size_t{64}, size_t{100'063}}) {
    for (const size_t size : {size_t{200'000}, 3 * kFirstMessageBytes}) {
      reader.Begin(GrpcEncoding::kIdentity, size, byte);
      std::string text(size, 'x');
      text[byte] = 'y';
      EXPECT_EQ(ReadAll(reader, Framed(text)), OkStatus());
      ASSERT_TRUE(reader.complete() && reader.message() == text) << size;
      if (size > kFirstMessageBytes) continue;  // may have moved
      EXPECT_EQ(reinterpret_cast<uintptr_t>(reader.message().data() + byte) % kBodyAlignment, 0U) << byte;
    }
  }
}

TEST(GrpcMessageReaderTest, KnowsWhatIsMissing) {
  GrpcMessageReader reader;
  reader.Begin(GrpcEncoding::kIdentity, 100);
  const std::string framed = Framed("twelve bytes");
  for (size_t i = 0; i < framed.size(); ++i) {
    EXPECT_EQ(reader.missing(), i < GrpcMessageReader::kPrefixBytes ? 0 : framed.size() - i);
    EXPECT_EQ(ReadAll(reader, framed.substr(i, 1)), OkStatus());
  }
  EXPECT_EQ(reader.missing(), 0U);
}

TEST(GrpcMessageReaderTest, InflatesUpToTheLimit) {
  GrpcMessageReader reader;
  const std::string text(100'000, 'z');
  reader.Begin(GrpcEncoding::kDeflate, text.size());
  EXPECT_EQ(ReadAll(reader, Framed(Deflated(text), 1)), OkStatus());
  EXPECT_TRUE(reader.message() == text);
  reader.Begin(GrpcEncoding::kDeflate, text.size());
  EXPECT_EQ(ReadAll(reader, Framed("plain among compressed ones")), OkStatus());
  EXPECT_EQ(reader.message(), "plain among compressed ones");
  reader.Begin(GrpcEncoding::kDeflate, text.size() - 1);
  const Status bomb = ReadAll(reader, Framed(Deflated(text), 1));
  EXPECT_EQ(bomb.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(bomb.message(), HasSubstr("Received message larger than max (it is larger than 99999 bytes"));
  EXPECT_LE(reader.capacity(), 200'000U);
  reader.Begin(GrpcEncoding::kGzip, 1000);
  EXPECT_EQ(ReadAll(reader, Framed("not compressed", 1)).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace tflite_serving
