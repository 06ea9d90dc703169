#include "api/request_record.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "base/file.h"
#include "base/temporary_directory.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

using std::chrono::microseconds;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class FakeClock : public Clock {
 public:
  TimePoint Now() const override { return now; }
  TimePoint now{std::chrono::hours(1)};
};

class RequestMetricsTest : public testing::Test {
 protected:
  std::string Text() {
    MetricsPage page(metrics::kAll);
    metrics_.Collect(page);
    return page.Text();
  }

  const Signature signature_ = IdentitySignature(DType::kFloat, {-1, 2});
  FakeServableSource source_{{std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>{signature_})}};
  FakeClock clock_;
  RequestMetrics metrics_{source_};
  const RequestObservers observers_{.clock = &clock_, .metrics = &metrics_};
  FakeHttpCall rest_{"POST", "/", ""};
  FakeGrpcCall grpc_{""};
};

TEST_F(RequestMetricsTest, TimesOfARequestAreDividedAmongItsStages) {
  RequestRecord record;
  record.Begin(observers_, grpc_, ApiMethod::kPredict);
  record.SetModel("m");
  record.Queued();
  EXPECT_THAT(Text(), HasSubstr("tflite_serving_requests_in_flight{protocol=\"grpc\"} 1\n"));
  clock_.now += microseconds(100);
  record.Started();
  *record.run_times() = {.given = clock_.now + microseconds(40), .began = clock_.now + microseconds(50), .ended = clock_.now + microseconds(1050)};
  clock_.now += microseconds(1060);
  record.End(&signature_, StatusCode::kOk, 0);
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_in_flight{protocol=\"grpc\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:serving:request_count{model_name=\"m\",status=\"OK\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:serving:request_latency_sum{model_name=\"m\",API=\"Predict\",entrypoint=\"GRPC\"} 1160\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:serving:runtime_latency_sum{model_name=\"m\",API=\"Predict\",runtime=\"TF1\"} 1000\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_total{model=\"m\",protocol=\"grpc\",method=\"predict\",code=\"OK\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_request_duration_seconds_sum{model=\"m\",protocol=\"grpc\",method=\"predict\"} 0.00116\n"));
  const std::pair<const char*, const char*> stages[] = {{"queue", "0.00011"}, {"decode", "4e-05"}, {"run", "0.001"}, {"encode", "1e-05"}};
  for (const auto& [stage, seconds] : stages) {
    EXPECT_THAT(text, HasSubstr(std::string("tflite_serving_request_stage_duration_seconds_sum{model=\"m\",signature=\"serving_default\",stage=\"") +
                                stage + "\"} " + seconds + "\n"));
  }
}

TEST_F(RequestMetricsTest, AFailureIsCountedAndNotTimed) {
  RequestRecord record;
  record.Begin(observers_, rest_, ApiMethod::kClassify);
  record.SetModel("m");
  record.End(&signature_, StatusCode::kInvalidArgument, 0);
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_total{model=\"m\",protocol=\"rest\",method=\"classify\",code=\"INVALID_ARGUMENT\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("latency_count{")));
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_in_flight{protocol=\"rest\"} 0\n"));
}

TEST_F(RequestMetricsTest, NamesThatClientsMakeUpAddNoSeries) {
  for (int i = 0; i < 100; ++i) {
    RequestRecord record;
    record.Begin(observers_, rest_, ApiMethod::kPredict);
    record.SetModel("made_up_" + std::to_string(i));
    record.End(nullptr, StatusCode::kNotFound, 0);
  }
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_total{model=\"\",protocol=\"rest\",method=\"predict\",code=\"NOT_FOUND\"} 100\n"));
  EXPECT_THAT(text, Not(HasSubstr("made_up")));
}

TEST_F(RequestMetricsTest, AModelThatIsGoneIsForgottenAndBeginsAnew) {
  RequestRecord record;
  const auto ask = [&] {
    record.Begin(observers_, rest_, ApiMethod::kPredict);
    record.SetModel("m");
    record.End(&signature_, StatusCode::kOk, 0);
  };
  ask();
  ask();
  EXPECT_THAT(Text(), HasSubstr("code=\"OK\"} 2\n"));
  const auto kept = std::exchange(source_.servables, {});
  EXPECT_THAT(Text(), Not(HasSubstr("\"m\"")));
  source_.servables = kept;
  ask();  // the record of a task that remembers the model
  EXPECT_THAT(Text(), HasSubstr("code=\"OK\"} 1\n"));
}

TEST_F(RequestMetricsTest, OthersAreCountedByMethod) {
  metrics_.Count(Protocol::kGrpc, ApiMethod::kMetadata, "m", StatusCode::kOk);
  metrics_.Count(Protocol::kRest, ApiMethod::kMalformed, "", StatusCode::kInvalidArgument);
  metrics_.CountRejected(RequestMetrics::Rejection::kUnreadBody);
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_total{model=\"m\",protocol=\"grpc\",method=\"metadata\",code=\"OK\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr(":tensorflow:serving:request_count{model_name=\"m\"")));  // the original does not count these over gRPC
  EXPECT_THAT(text, HasSubstr(":tensorflow:serving:request_count{model_name=\"\",status=\"INVALID_ARGUMENT\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_requests_rejected_total{reason=\"unread_body\"} 1\n"));
}

TEST_F(RequestMetricsTest, ExamplesOfARequest) {
  RequestRecord record;
  record.Begin(observers_, grpc_, ApiMethod::kMultiInference);
  record.SetModel("m");
  record.SetExamples(5);
  record.End(std::string_view(), StatusCode::kOk, 0);
  EXPECT_THAT(Text(), HasSubstr(":tensorflow:serving:request_example_count_total{model=\"m\"} 5\n"));
  EXPECT_THAT(Text(), HasSubstr(":tensorflow:serving:request_example_counts_bucket{model=\"m\",le=\"4\"} 0\n"));
  EXPECT_THAT(Text(), HasSubstr(":tensorflow:serving:request_example_counts_bucket{model=\"m\",le=\"8\"} 1\n"));
}

TEST(RequestRecordTest, WithoutObserversNothingIsNoted) {
  RequestRecord record;
  FakeHttpCall call("POST", "/", "");
  record.Begin({}, call, ApiMethod::kPredict);
  record.SetModel("m");
  record.Queued();
  record.Started();
  record.Rejected();
  EXPECT_EQ(record.run_times(), nullptr);
  record.End(std::string_view(), StatusCode::kOk, 0);
  EXPECT_EQ(call.response().ids.request_id, "");
}

class AccessLogTest : public RequestMetricsTest {
 protected:
  void TearDown() override { SetLogFormat(LogFormat::kText); }

  // What is in the log after `write`.
  std::string Logged(const std::function<void(const RequestObservers&)>& write) {
    {
      StatusOr<std::unique_ptr<AccessLog>> log = AccessLog::Open(file_);
      EXPECT_TRUE(log.ok());
      write({.clock = &clock_, .access_log = log->get()});
    }
    return *ReadFile(file_, 1 << 20);
  }
  void Predict(const RequestObservers& observers, std::string_view model) {
    RequestRecord record;
    record.Begin(observers, rest_, ApiMethod::kPredict);
    record.SetModel(model);
    record.SetVersion(3);
    *record.run_times() = {.given = clock_.now + microseconds(40), .began = clock_.now + microseconds(50), .ended = clock_.now + microseconds(1050)};
    clock_.now += microseconds(1060);
    record.End(&signature_, StatusCode::kOk, 31);
  }

  TemporaryDirectory directory_;
  const std::string file_ = directory_.path() + "/access.log";
};

TEST_F(AccessLogTest, ARequestHasOneLine) {
  rest_.response().ids.request_id = "id-1";
  EXPECT_THAT(
      Logged([&](const RequestObservers& observers) { Predict(observers, "m"); }),
      MatchesRegex("[0-9-]+ [0-9:.]+: I access. request id=id-1 protocol=rest method=predict model=m version=3 signature=serving_default code=OK "
                   "request_bytes=0 reply_bytes=31 total_us=1060 queue_us=0 decode_us=40 wait_us=10 run_us=1000 encode_us=10\n"));
}

TEST_F(AccessLogTest, WhatClientsWriteForgesNoLine) {
  rest_.response().ids.request_id = "id-1";
  const std::string text = Logged([&](const RequestObservers& observers) { Predict(observers, "m code=OK\nE \"forged\" \x1b"); });
  EXPECT_THAT(text, HasSubstr(R"( model="m code=OK\nE \"forged\" \u001B" version=3)"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
}

TEST_F(AccessLogTest, AsJson) {
  SetLogFormat(LogFormat::kJson);
  const std::string text = Logged([&](const RequestObservers& observers) { Predict(observers, "a\"b\xff"); });
  EXPECT_THAT(text, MatchesRegex(R"(\{"time":"[0-9T:.-]+Z","level":"info","source":"access","message":"request","id":"[0-9a-f]{32}",.*)"));
  EXPECT_THAT(text, HasSubstr("\"model\":\"a\\\"b\xEF\xBF\xBD\",\"version\":3,"));
  EXPECT_THAT(rest_.response().ids.request_id, MatchesRegex("[0-9a-f]{32}"));
}

TEST_F(AccessLogTest, ACallThatIsNotTimed) {
  const std::string text = Logged([&](const RequestObservers& observers) {
    grpc_.ids().request_id = "a";
    ReportCall(observers, grpc_, ApiMethod::kStatus, "none", StatusCode::kNotFound, 0);
  });
  EXPECT_THAT(text, HasSubstr("request id=a protocol=grpc method=status model=none code=NOT_FOUND request_bytes=0 reply_bytes=0\n"));
}

}  // namespace
}  // namespace tflite_serving
