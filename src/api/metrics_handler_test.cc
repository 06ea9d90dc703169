#include "api/metrics_handler.h"

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

class MetricsHandlerTest : public testing::Test {
 protected:
  HttpResponse Ask(const std::string& target) {
    FakeHttpCall call("GET", target, "");
    handler_.Handle(call);
    return call.Wait();
  }

  Elsewhere next_;
  WorkerPool workers_{"worker", 1, 0};
  MetricsHandler handler_{{{"/metrics", [] { return std::string("ours"); }}, {"/m/original", [] { return std::string("theirs"); }}}, workers_, next_};
};

TEST_F(MetricsHandlerTest, EachPageAtItsPath) {
  const HttpResponse ours = Ask("/metrics");
  EXPECT_EQ(ours.status, 200);
  EXPECT_EQ(ours.body, "ours");
  EXPECT_EQ(ours.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Ask("/m/original").body, "theirs");
  for (const char* other : {"/", "/metrics/", "/metric", "/v1/models/m"}) EXPECT_EQ(Ask(other).status, 404) << other;
}

TEST_F(MetricsHandlerTest, AQueryIsRefused) {
  const HttpResponse refused = Ask("/m/original?x=1");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, "{\n    \"error\": \"Unexpected path: /m/original?x=1. Should be /m/original\"\n}");
}

TEST_F(MetricsHandlerTest, BusyWorkersDoNotHideThem) {
  WorkerPool busy("worker", 1, 1);
  MetricsHandler handler({{"/metrics", [] { return std::string("ours"); }}}, busy, next_);
  std::promise<void> gate;
  std::promise<void> running;
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
