#include "api/rest_pages.h"

#include <future>

#include <gtest/gtest.h>

#include "api/fake_calls.h"

namespace tflite_serving {
namespace {

// Answers 404 to all.
class Elsewhere : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    call.response().status = 404;
    call.Finish();
  }
};

class RestPagesTest : public testing::Test {
 protected:
  HttpResponse Ask(const std::string& target) {
    FakeHttpCall call("GET", target, "");
    handler_.Handle(call);
    return call.Wait();
  }

  Elsewhere next_;
  WorkerPool workers_{"worker", 1, 0};
  RestPages handler_{{{"/metrics", {[](const HttpRequest&) { return RestPage{.content_type = "text/plain", .body = "ours"}; }, true}},
                      {"/m/original", {[](const HttpRequest&) { return RestPage{.status = 503, .content_type = "text/plain", .body = "theirs"}; }}}},
                     workers_,
                     next_};
};

TEST_F(RestPagesTest, EachPageAtItsPath) {
  const HttpResponse ours = Ask("/metrics");
  EXPECT_EQ(ours.status, 200);
  EXPECT_EQ(ours.body, "ours");
  EXPECT_EQ(ours.content_type, "text/plain");
  EXPECT_EQ(Ask("/m/original").body, "theirs");
  EXPECT_EQ(Ask("/m/original").status, 503);
  for (const char* other : {"/", "/metrics/", "/metric", "/v1/models/m"}) EXPECT_EQ(Ask(other).status, 404) << other;
}

TEST_F(RestPagesTest, AQueryIsRefused) {
  const HttpResponse refused = Ask("/m/original?x=1");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, "{\n    \"error\": \"Unexpected path: /m/original?x=1. Should be /m/original\"\n}");
}

TEST_F(RestPagesTest, BusyWorkersHideNothing) {
  std::promise<void> gate;
  std::promise<void> running;
  WorkerPool busy("worker", 1, 1);  // its thread may ask for the gate when the test is over: before that is gone, it is joined
  RestPages handler({{"/metrics", {[](const HttpRequest&) { return RestPage{.content_type = "text/plain", .body = "ours"}; }, true}}}, busy, next_);
  std::function<void()> wait = [&] {
    running.set_value();
    gate.get_future().wait();
  };
  ASSERT_TRUE(busy.TrySubmit(wait));
  running.get_future().wait();
  std::function<void()> queued = [] {};
  ASSERT_TRUE(busy.TrySubmit(queued));
  FakeHttpCall call("GET", "/metrics", "");
  handler.Handle(call);
  EXPECT_EQ(call.Wait().body, "ours");
  gate.set_value();
}

}  // namespace
}  // namespace tflite_serving
