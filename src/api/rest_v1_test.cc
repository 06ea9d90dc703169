#include "api/rest_v1.h"

#include <iterator>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/rest_error.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"

namespace tflite_serving {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

class RestV1Test : public testing::Test {
 protected:
  struct Answer {
    int status;
    std::string body;
  };
  Answer Ask(const std::string& method, const std::string& target, const std::string& body = "") {
    FakeHttpCall call(method, target, body);
    rest_.Handle(call);
    const HttpResponse& response = call.Wait();
    return {response.status, response.body};
  }

  std::shared_ptr<FakeServable> servable_ =
      std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1, 2})});
  FakeServableSource source_{{servable_}};
  WorkerPool workers_{"worker", 1, 1};
  RestV1 rest_{source_, workers_, Clock::Steady(), {}};
};

TEST_F(RestV1Test, PredictsRowsAndColumns) {
  const Answer rows = Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2.5], [3, 4]]})");
  EXPECT_EQ(rows.status, 200);
  EXPECT_EQ(rows.body, R"({"predictions":[[1.0,2.5],[3.0,4.0]]})");
  EXPECT_EQ(Ask("POST", "/v1/models/m/versions/3:predict", R"({"inputs": [[1, 2]]})").body, R"({"outputs":[[1.0,2.0]]})");
}

TEST_F(RestV1Test, AWorkerGivesTheSameAnswer) {
  servable_->runs_inline = false;
  EXPECT_EQ(Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]]})").body, R"({"predictions":[[1.0,2.0]]})");
}

TEST_F(RestV1Test, AFullQueueRefuses) {
  servable_->runs_inline = false;
  const std::pair<std::string, std::string> requests[] = {{"/v1/models/m:predict", R"({"instances": [[1, 2]]})"},
                                                          {"/v1/models/m:classify", R"({"examples": [{"x": [1, 2]}]})"}};
  for (const auto& [target, body] : requests) {
    std::promise<void> running;
    std::promise<void> gate;
    std::shared_future<void> open = gate.get_future().share();
    servable_->on_run = [&, first = true](const RunRequest& request, const RunDone& done) mutable {
      if (std::exchange(first, false)) {
        running.set_value();
        open.wait();
      }
      done(OkStatus(), request.inputs);
    };
    FakeHttpCall in_the_worker("POST", target, body);
    rest_.Handle(in_the_worker);
    running.get_future().wait();
    FakeHttpCall in_the_queue("POST", target, body);
    rest_.Handle(in_the_queue);

    FakeHttpCall refused("POST", target, body);
    FakeHttpCall unread("POST", target, "");
    EXPECT_EQ(rest_.RefusesUnread(unread), target.ends_with(":predict"));
    EXPECT_EQ(unread.response().status, target.ends_with(":predict") ? 503 : 200);
    rest_.Handle(refused);
    const HttpResponse& refusal = refused.Wait();
    EXPECT_EQ(refusal.status, 503);
    EXPECT_THAT(refusal.body, HasSubstr("too many requests"));
    EXPECT_THAT(refusal.headers, Contains(Pair("Retry-After", "1")));
    gate.set_value();
    EXPECT_EQ(in_the_worker.Wait().status, 200);
    EXPECT_EQ(in_the_queue.Wait().status, 200);
  }
}

TEST_F(RestV1Test, SyntaxErrorsComeBeforeTheUnknownModelAndThatBeforeTheSignature) {
  const Answer syntax = Ask("POST", "/v1/models/none:predict", "{");
  EXPECT_EQ(syntax.status, 400);
  EXPECT_THAT(syntax.body, HasSubstr("JSON Parse error"));
  const Answer model = Ask("POST", "/v1/models/none:predict", R"({"signature_name": "none", "instances": []})");
  EXPECT_EQ(model.status, 404);
  EXPECT_THAT(model.body, HasSubstr("Servable not found for request: Latest(none)"));
  const Answer signature = Ask("POST", "/v1/models/m:predict", R"({"signature_name": "none", "instances": [1]})");
  EXPECT_EQ(signature.status, 400);
  EXPECT_THAT(signature.body, HasSubstr(R"(Serving signature name: \"none\" not found in signature def)"));
  const Answer shape = Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2, 3]]})");
  EXPECT_EQ(shape.status, 400);
  EXPECT_THAT(shape.body, HasSubstr(R"(input \"x\": expected float[?,2], got float[1,3])"));
  EXPECT_EQ(servable_->runs, 0);
}

TEST_F(RestV1Test, AFailedRunIsReportedWithItsCode) {
  servable_->on_run = [](const RunRequest&, const RunDone& done) { done(InternalError("it broke"), {}); };
  const Answer answer = Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]]})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, "{\n    \"error\": \"it broke\"\n}");
}

TEST_F(RestV1Test, StatusAndMetadata) {
  const Answer status = Ask("GET", "/v1/models/m");
  EXPECT_EQ(status.status, 200);
  EXPECT_THAT(status.body, StartsWith("{\n \"model_version_status\": [\n  {\n   \"version\": \"3\",\n   \"state\": \"AVAILABLE\",\n"));
  EXPECT_THAT(Ask("GET", "/v1/models/none").body, HasSubstr("Could not find any versions of model none"));
  EXPECT_THAT(Ask("GET", "/v1/models/m/versions/9").body, HasSubstr("Could not find version 9 of model m"));
  EXPECT_THAT(Ask("GET", "/v1/models/m/metadata").body, HasSubstr("\"serving_default\""));
  EXPECT_EQ(Ask("GET", "/v1/models/none/metadata").status, 404);
}

TEST_F(RestV1Test, ListsTheModels) {
  const Answer list = Ask("GET", "/v1/models?what=ever");
  EXPECT_EQ(list.status, 200);
  EXPECT_THAT(list.body, StartsWith("{\n \"models\": [\n  {\n   \"name\": \"m\",\n   \"versions\": [\n    {\n     \"version\": \"3\",\n"));
}

TEST_F(RestV1Test, HeadIsAnsweredAsGet) {
  for (const char* target : {"/v1/models", "/v1/models/m", "/v1/models/m/metadata"}) {
    EXPECT_EQ(Ask("HEAD", target).status, 200);
    EXPECT_EQ(Ask("HEAD", target).body, Ask("GET", target).body);
  }
}

TEST_F(RestV1Test, OptionsAsksForAnOrigin) {
  const auto ask = [this](const char* target, const char* origin) {
    FakeHttpCall call("OPTIONS", target, "");
    call.set_origin(origin);
    rest_.Handle(call);
    EXPECT_EQ(call.Wait().body.empty(), call.response().status != 404);
    EXPECT_TRUE(call.response().headers.empty());
    return call.response().status;
  };
  EXPECT_EQ(ask("/v1/models/m:predict", "http://localhost:3000"), 200);
  EXPECT_EQ(ask("/v1/anything", "https://example.com"), 200);
  EXPECT_EQ(ask("/v1/models/m:predict", "null"), 400);
  EXPECT_EQ(ask("/v1/models/m:predict", ""), 400);
  EXPECT_EQ(ask("/", "http://localhost"), 404);
}

TEST_F(RestV1Test, CorsHeadersAreOnEveryAnswerOfTheApi) {
  RestV1 with_cors(source_, workers_, Clock::Steady(), {.headers = CorsHeaders(false)});
  const auto headers = [&](const char* method, const char* target) {
    FakeHttpCall call(method, target, "{}");
    with_cors.Handle(call);
    std::string all;
    for (const auto& [name, value] : call.Wait().headers) all += fmt::format("{}: {}\n", name, value);
    return all;
  };
  constexpr std::string_view kCors =
      "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: POST, GET\nAccess-Control-Allow-Headers: Content-Type\n";
  EXPECT_EQ(headers("GET", "/v1/models/m"), kCors);
  EXPECT_EQ(headers("POST", "/v1/models/m:predict"), kCors);
  EXPECT_EQ(headers("POST", "/v1/models/none:predict"), kCors);
  EXPECT_EQ(headers("GET", "/v1/nothing"), kCors);
  EXPECT_EQ(headers("OPTIONS", "/v1/models/m:predict"), kCors);
  EXPECT_EQ(headers("GET", "/"), "");
}

TEST_F(RestV1Test, TheOutputFilter) {
  EXPECT_EQ(Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]], "output_filter": ["y"]})").body, R"({"predictions":[[1.0,2.0]]})");
  EXPECT_THAT(Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]], "output_filter": ["y", "y"]})").body,
              HasSubstr("duplicate output tensor alias: y"));
  EXPECT_THAT(Ask("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]], "output_filter": ["z"]})").body,
              HasSubstr("output tensor alias not found in signature: z Outputs expected to be in the set {y}."));
}

TEST_F(RestV1Test, AClientThatHasGoneIsAnswered499) {
  FakeHttpCall call("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]]})");
  call.Cancel();
  rest_.Handle(call);
  EXPECT_EQ(call.Wait().status, 499);
  EXPECT_EQ(servable_->runs, 0);
}

TEST_F(RestV1Test, WhatIsNoRouteSaysSo) {
  EXPECT_THAT(Ask("GET", "/v1/models/m:predict").body, HasSubstr("Malformed request: GET /v1/models/m:predict"));
  EXPECT_EQ(Ask("GET", "/").status, 404);
}

class RestProfileTest : public RestV1Test {
 protected:
  Answer AskProfile(const std::string& target) {
    FakeHttpCall call("GET", target, "");
    profiling_.Handle(call);
    const HttpResponse& response = call.Wait();
    return {response.status, response.body};
  }

  RestV1 profiling_{source_, workers_, Clock::Steady(), {.profile = true}};
};

TEST_F(RestProfileTest, WithoutItThePathIsNone) {
  const Answer answer = Ask("GET", "/v1/models/m/profile?runs=3");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, "{\n    \"error\": \"Malformed request: GET /v1/models/m/profile?runs=3\"\n}");
}

TEST_F(RestProfileTest, TheQuerySaysWhatIsProfiled) {
  const Answer answer = AskProfile("/v1/models/m/versions/3/profile?signature_name=a%20b&runs=3&more=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"model\": \"m\",\n \"version\": \"3\",\n \"signature\": \"a b\""));
  EXPECT_THAT(answer.body, HasSubstr("\"runs\": 3,"));
  EXPECT_THAT(AskProfile("/v1/models/m/profile").body, HasSubstr("\"runs\": 20,"));
  EXPECT_EQ(AskProfile("/v1/models/m/profile?runs=1").status, 200);
  EXPECT_EQ(AskProfile("/v1/models/m/profile?runs=1000").status, 200);
}

TEST_F(RestProfileTest, WhatIsRefused) {
  for (const char* runs : {"0", "1001", "-1"}) {
    const Answer answer = AskProfile(fmt::format("/v1/models/m/profile?runs={}", runs));
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr(fmt::format("runs: expected 1 to 1000, got {}", runs)));
  }
  for (const char* runs : {"", "x", "1x", "99999999999999999999"}) {
    const Answer answer = AskProfile(fmt::format("/v1/models/m/profile?runs={}", runs));
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr(fmt::format(R"(runs: expected 1 to 1000, got \"{}\")", runs)));
  }
  EXPECT_EQ(AskProfile("/v1/models/none/profile").status, 404);
  servable_->on_profile = [](const ProfileRequest&) -> StatusOr<ModelProfile> { return UnimplementedError("the servable has no operators"); };
  EXPECT_EQ(AskProfile("/v1/models/m/profile").status, 501);
  servable_->on_profile = [](const ProfileRequest& request) -> StatusOr<ModelProfile> {
    if (request.cancellation->cancelled()) return CancelledError("gone");
    return ModelProfile();
  };
  FakeHttpCall gone("GET", "/v1/models/m/profile", "");
  gone.Cancel();
  profiling_.Handle(gone);
  EXPECT_EQ(gone.Wait().status, 499);
}

TEST_F(RestProfileTest, OneAtATime) {
  std::promise<void> running;
  std::promise<void> gate;
  servable_->on_profile = [&, open = gate.get_future().share()](const ProfileRequest&) -> StatusOr<ModelProfile> {
    running.set_value();
    open.wait();
    return ModelProfile();
  };
  FakeHttpCall first("GET", "/v1/models/m/profile", "");
  profiling_.Handle(first);
  running.get_future().wait();
  const Answer second = AskProfile("/v1/models/m/profile");
  EXPECT_EQ(second.status, 503);
  EXPECT_THAT(second.body, HasSubstr("another profile is being made; try again later"));
  gate.set_value();
  EXPECT_EQ(first.Wait().status, 200);
  servable_->on_profile = [](const ProfileRequest&) -> StatusOr<ModelProfile> { return ModelProfile(); };
  EXPECT_EQ(AskProfile("/v1/models/m/profile").status, 200);
}

TEST(HttpStatusTest, EveryCodeHasItsNumber) {
  // By code, from OK to UNAUTHENTICATED.
  constexpr int kNumbers[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};
  for (size_t code = 0; code < std::size(kNumbers); ++code) EXPECT_EQ(HttpStatusOf(static_cast<StatusCode>(code)), kNumbers[code]) << code;
}

}  // namespace
}  // namespace tflite_serving
