#include "http_client/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http_client/fake_http_server.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TimePoint Patience() { return Clock::Steady().Now() + std::chrono::seconds(60); }

std::unique_ptr<HttpClient> NewClient(HttpClientOptions options = {}) {
  options.uses_proxies = false;
  return std::move(HttpClient::Create("tests", options)).value();
}

TEST(IsHttpHeaderTest, NamesAreTokensAndValuesHaveNoControls) {
  EXPECT_TRUE(IsHttpHeader("X-Api-Key", "a b\"c\""));
  EXPECT_FALSE(IsHttpHeader("", "a"));
  EXPECT_FALSE(IsHttpHeader("a b", "a"));
  EXPECT_FALSE(IsHttpHeader("a", "b\r\nc: d"));
}

TEST(HttpClientTest, RequestsAndAnswers) {
  FakeHttpServer server({FakeHttpServer::Answer("200 OK", "ETag:  \"x\" \r\nRetry-After: 7\r\n", "hello"), FakeHttpServer::Answer("404 Not Found")});
  const std::unique_ptr<HttpClient> client = NewClient();
  const HttpClientResponse first =
      client->Send({.method = "POST", .url = server.url(), .headers = {{"X-One", "1"}, {"X-None", ""}}, .body = "question"}, Patience());
  EXPECT_EQ(first.status, 200) << first.error;
  EXPECT_EQ(first.body, "hello");
  EXPECT_EQ(first.Header("etag"), "\"x\"");
  EXPECT_EQ(first.Header("none"), "");
  EXPECT_EQ(first.retry_after, std::chrono::seconds(7));
  EXPECT_EQ(client->Send({.url = server.url()}, Patience()).status, 404);
  const std::vector<FakeHttpServer::Request> requests = server.Requests(2);
  EXPECT_THAT(requests[0].head,
              testing::AllOf(testing::StartsWith("POST /a/path HTTP/1.1\r\n"), HasSubstr("X-One: 1\r\n"), HasSubstr("X-None:\r\n")));
  EXPECT_EQ(requests[0].body, "question");
  EXPECT_THAT(requests[1].head, testing::AllOf(testing::StartsWith("GET /a/path HTTP/1.1\r\n"), Not(HasSubstr("X-One"))));
}

TEST(HttpClientTest, ASinkTakesWhatWasAskedForAndNoErrors) {
  FakeHttpServer server(
      {FakeHttpServer::Answer("206 Partial Content", "Content-Range: bytes 3-5/6\r\n", "def"), FakeHttpServer::Answer("403 Forbidden", "", "no")});
  const std::unique_ptr<HttpClient> client = NewClient();
  std::string taken;
  const HttpClient::Sink sink = [&taken](const HttpClientResponse& head, std::string_view piece) {
    EXPECT_EQ(head.status, 206);
    EXPECT_EQ(head.Header("content-range"), "bytes 3-5/6");
    taken += piece;
    return true;
  };
  EXPECT_EQ(client->Send({.url = server.url()}, Patience(), nullptr, sink).status, 206);
  EXPECT_EQ(client->Send({.url = server.url()}, Patience(), nullptr, sink).body, "no");
  EXPECT_EQ(taken, "def");
  const auto refuse = [](const HttpClientResponse&, std::string_view) { return false; };
  FakeHttpServer other({FakeHttpServer::Answer("200 OK", "", "abc")});
  const HttpClientResponse ended = client->Send({.url = other.url()}, Patience(), nullptr, refuse);
  EXPECT_EQ(ended.status, 0);
  EXPECT_NE(ended.error, "");
}

TEST(HttpClientTest, AnswersAreLimited) {
  FakeHttpServer server({FakeHttpServer::Answer("200 OK", "", std::string(100, 'x')),
                         FakeHttpServer::Answer("200 OK", "A: " + std::string(63 << 10, 'x') + "\r\n"),
                         FakeHttpServer::Answer("200 OK", "A: " + std::string(64 << 10, 'x') + "\r\n")});
  const std::unique_ptr<HttpClient> client = NewClient({.max_body_bytes = 10});
  EXPECT_EQ(client->Send({.url = server.url()}, Patience()).body, std::string(10, 'x'));
  EXPECT_EQ(client->Send({.url = server.url()}, Patience()).status, 200);
  EXPECT_EQ(client->Send({.url = server.url()}, Patience()).status, 0);
}

TEST(HttpClientTest, RedirectsAreFollowedWhereThatIsAskedFor) {
  FakeHttpServer there({FakeHttpServer::Answer("200 OK", "X-There: 1\r\n", "there")});
  const std::string redirect = FakeHttpServer::Answer("302 Found", fmt::format("X-Here: 1\r\nLocation: {}\r\n", there.url()));
  FakeHttpServer here({redirect, redirect, FakeHttpServer::Answer("302 Found", "Location: file:///etc/passwd\r\n")});
  EXPECT_EQ(NewClient()->Send({.url = here.url()}, Patience()).status, 302);
  const HttpClientResponse followed =
      NewClient({.follows_redirects = true})->Send({.url = here.url(), .headers = {{"Authorization", "secret"}}}, Patience());
  EXPECT_EQ(followed.body, "there");
  EXPECT_EQ(followed.Header("x-here"), "");
  EXPECT_THAT(there.Requests(1)[0].head, Not(HasSubstr("secret")));  // another port is another server
  EXPECT_EQ(NewClient({.follows_redirects = true})->Send({.url = here.url()}, Patience()).status, 0);
}

TEST(HttpClientTest, WhatDoesNotComeEnds) {
  FakeHttpServer server({std::string(FakeHttpServer::kHangs), std::string(FakeHttpServer::kHangs), std::string(FakeHttpServer::kHangs)});
  EXPECT_EQ(NewClient()->Send({.url = server.url()}, Clock::Steady().Now() + milliseconds(50)).error, "no answer in time");
  Cancellation stop;
  stop.Cancel();
  EXPECT_EQ(NewClient()->Send({.url = server.url()}, kNoDeadline, &stop).error, "no longer wanted");
  const std::unique_ptr<HttpClient> client = NewClient();
  client->EndBy(Clock::Steady().Now());
  EXPECT_EQ(client->Send({.url = server.url()}, kNoDeadline).error, "no answer in time");
}

TEST(HttpClientTest, PlacesOfUrls) {
  const std::unique_ptr<HttpClient> client = NewClient();
  EXPECT_EQ(client->PlaceOf("https://user:secret@host/path"), "host:443");
  EXPECT_EQ(client->PlaceOf("http://[::1]:80/"), "[::1]:80");
  EXPECT_EQ(client->PlaceOf("ftp://host"), "");
  EXPECT_EQ(client->PlaceOf("host"), "");
}

}  // namespace
}  // namespace tflite_serving
