#include "transport/http/http_response_head.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(HttpDateTest, IsRenderedAsRfc9110Says) {
  HttpDate date;
  EXPECT_EQ(date.At(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.At(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.At(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(RenderResponseHeadTest, WritesStatusLengthAndHeaders) {
  HttpResponse response;
  response.status = 429;
  response.content_type = "text/plain";
  response.body = "12345";
  response.headers = {{"Retry-After", "1"}, {"X-Echo", "a\r\nb\x7f\tc"}};
  std::string head = "left over";
  RenderResponseHead(response, "now", HttpPersistence::kKeepAlive, head);
  EXPECT_EQ(
      head,
      "HTTP/1.1 429 Too Many Requests\r\nDate: now\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nRetry-After: 1\r\nX-Echo: a  b \tc\r\n\r\n");
}

TEST(RenderResponseHeadTest, SaysWhetherTheConnectionStays) {
  HttpResponse response;
  response.status = 299;
  std::string head;
  RenderResponseHead(response, "now", HttpPersistence::kClose, head);
  EXPECT_EQ(head, "HTTP/1.1 299 \r\nDate: now\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  response.status = 304;
  RenderResponseHead(response, "now", HttpPersistence::kKeepAliveHttp10, head);
  EXPECT_EQ(head, "HTTP/1.1 304 Not Modified\r\nDate: now\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpErrorBodyTest, LooksLikeTensorFlowServings) { EXPECT_EQ(HttpErrorBody("no"), "{\n    \"error\": \"no\"\n}"); }

}  // namespace
}  // namespace tflite_serving
