#include "transport/http/http_request_parser.h"

#include <string>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

class HttpRequestParserTest : public testing::Test {
 protected:
  HttpLimits limits_;
  HttpRequestParser parser_{limits_};
  HttpFields fields_;
};

TEST_F(HttpRequestParserTest, FindsTheEndOfAHeadHoweverItArrives) {
  const std::string head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string input = head + "GET /next";
  size_t head_size = 0;
  for (size_t size = 0; size < head.size(); ++size) {
    ASSERT_FALSE(parser_.FindHead(input.substr(0, size), head_size)) << size;
    ASSERT_EQ(head_size, 0U) << size;
  }
  ASSERT_FALSE(parser_.FindHead(input, head_size));
  EXPECT_EQ(head_size, head.size());
  ASSERT_FALSE(parser_.FindHead(head, head_size)) << "the next request is looked for from its start";
  EXPECT_EQ(head_size, head.size());
}

TEST_F(HttpRequestParserTest, SaysWhatTheHeadSays) {
  HttpRequestHead head;
  ASSERT_FALSE(
      parser_.ParseHead("POST /v1/models/m:predict HTTP/1.1\r\nhost: h\r\nEXPECT: 100-Continue\r\ncontent-length: 12, 12\r\n\r\n", head, fields_));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/models/m:predict");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_TRUE(head.expects_continue && head.keep_alive && !head.chunked && !head.http_1_0);

  ASSERT_FALSE(parser_.ParseHead("GET / HTTP/1.1\r\nHost:\r\nExpect: 100-continue\r\nConnection: x, close\r\n\r\n", head, fields_));
  EXPECT_TRUE(!head.expects_continue && !head.keep_alive && head.content_length == 0) << "there is no body to wait for";

  ASSERT_FALSE(parser_.ParseHead("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", head, fields_));
  EXPECT_TRUE(head.chunked && head.keep_alive);

  ASSERT_FALSE(parser_.ParseHead("GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", head, fields_));
  EXPECT_TRUE(head.http_1_0 && !head.keep_alive && !head.expects_continue);
}

TEST_F(HttpRequestParserTest, KeepsTheFieldsThatAreReadLater) {
  HttpRequestHead head;
  ASSERT_FALSE(
      parser_.ParseHead("POST / HTTP/1.1\r\nHost: h\r\ncontent-TYPE: application/json; charset=utf-8\r\nAccept: a/b\r\nAccept: c/d;q=0.1,\r\n e/f\r\n"
                        "Accept-Encoding: gzip\r\nOrigin: http://o\r\nContent-Encoding: x-gzip\r\nContent-Length: 1\r\n\r\n",
                        head, fields_));
  EXPECT_EQ(fields_.content_type, "application/json; charset=utf-8");
  EXPECT_EQ(fields_.accept, "a/b, c/d;q=0.1, e/f");
  EXPECT_EQ(fields_.accept_encoding, "gzip");
  EXPECT_EQ(fields_.origin, "http://o");
  EXPECT_EQ(head.coding, HttpCoding::kGzip);
  fields_.Clear();
  EXPECT_EQ(fields_.content_type + fields_.accept + fields_.accept_encoding + fields_.origin + fields_.content_encoding, "");
  EXPECT_EQ(parser_.ParseHead("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n", head, fields_).status, 415);
}

TEST_F(HttpRequestParserTest, FoldedHeadersAreUnfoldedOrRefused) {
  HttpRequestHead head;
  EXPECT_FALSE(parser_.ParseHead("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", head, fields_));
  const std::string long_fold = "GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(5000, 'b') + "\r\n c\r\n\r\n";
  EXPECT_EQ(parser_.ParseHead(long_fold, head, fields_).status, 431);
}

TEST_F(HttpRequestParserTest, DecodesChunksHoweverTheyArrive) {
  const std::string chunks = "3\r\nabc\r\n00A;x=y\r\n0123456789\r\n0;last\r\nTrailer: t\r\n\r\nnext";
  for (size_t step = 1; step <= chunks.size(); ++step) {
    HttpRequestHead head;
    ASSERT_FALSE(parser_.ParseHead("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", head, fields_));
    ByteBuffer body;
    size_t begin = 0;
    bool done = false;
    for (size_t end = step; !done; end = std::min(end + step, chunks.size())) {
      size_t consumed = 0;
      ASSERT_FALSE(parser_.DecodeBody(std::string_view(chunks).substr(begin, end - begin), body, consumed, done)) << step;
      begin += consumed;
      ASSERT_TRUE(done || end < chunks.size()) << step;
    }
    EXPECT_EQ(body.view(), "abc0123456789") << step;
    EXPECT_EQ(chunks.substr(begin), "next") << step;
  }
}

TEST(ByteBufferTest, GrowsMovesAndKeepsItsBytes) {
  ByteBuffer buffer;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    ASSERT_TRUE(buffer.Append(piece));
    expected += piece;
    if (i % 3 == 0) {
      buffer.Consume(4 < buffer.size() ? 4 : 1);
      expected.erase(0, 4 < expected.size() ? 4 : 1);
    }
    ASSERT_EQ(buffer.view(), expected);
  }
  const std::span<char> padded = buffer.Padded();
  EXPECT_EQ(std::string(padded.data(), padded.size() + kBodyPaddingBytes), expected + std::string(kBodyPaddingBytes, '\0'));
  const size_t capacity = buffer.capacity();
  buffer.Clear();
  EXPECT_EQ(buffer.room().size(), capacity);
  buffer.Free();
  EXPECT_EQ(buffer.capacity(), 0U);
}

}  // namespace
}  // namespace tflite_serving
