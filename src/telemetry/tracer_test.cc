#include "telemetry/tracer.h"

#include <cmath>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http_client/fake_http_server.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::chrono::hours kNever{1};

TraceContext ContextOfNumber(uint8_t number) {
  TraceContext context{.sampled = true};
  context.trace_id.fill(number);
  context.span_id.fill(number);
  return context;
}

// A request that takes a second and has one stage: two spans.
RequestSpan SpanOf(const std::string& model) {
  RequestSpan span{
      .context = ContextOfNumber(1), .name = "predict", .protocol = "rest", .begin = TimePoint(seconds(1)), .end = TimePoint(seconds(2))};
  span.stage(SpanStage::kRun) = {TimePoint(milliseconds(1200)), TimePoint(milliseconds(1700))};
  span.model = model;
  return span;
}

// Sends each request at once and retries at once.
TracerOptions OptionsFor(const std::string& url) {
  return {.endpoint = url, .batch_spans = 1, .export_interval = kNever, .first_retry_delay = milliseconds(1), .flush_timeout = milliseconds(100)};
}

std::unique_ptr<Tracer> TracerOf(const TracerOptions& options) {
  StatusOr<std::unique_ptr<Tracer>> tracer = Tracer::Create(options);
  EXPECT_TRUE(tracer.ok()) << tracer.status().message();
  return *std::move(tracer);
}

std::vector<uint64_t> CountsOf(const Tracer& tracer) {
  const Tracer::Counts counts = tracer.counts();
  return {counts.exported, counts.dropped, counts.failed};
}

// {exported, dropped, failed} once the tracer is done with so many spans.
std::vector<uint64_t> CountsOf(const Tracer& tracer, uint64_t num_spans) {
  const TimePoint deadline = Clock::Steady().Now() + seconds(30);
  while (tracer.counts().exported + tracer.counts().failed < num_spans && Clock::Steady().Now() < deadline) std::this_thread::yield();
  return CountsOf(tracer);
}

std::string HexOf(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

std::string Encoded(const RequestSpan& span) { return EncodeExportRequest({}, {&span, 1}, seconds(0)); }

// As Python's opentelemetry-proto serializes the same message.
TEST(OtlpMessageTest, IsWhatOthersWrite) {
  RequestSpan span{.trace_state = "a=b", .name = "predict", .protocol = "rest", .begin = TimePoint(seconds(1)), .end = TimePoint(seconds(2))};
  for (uint8_t i = 0; i < 16; ++i) span.context.trace_id[i] = static_cast<uint8_t>(0x01 + i);
  for (uint8_t i = 0; i < 8; ++i) span.context.span_id[i] = static_cast<uint8_t>(0x11 + i);
  span.parent = {0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28};
  span.model = "m";
  span.version = 7;
  span.signature = "serving_default";
  span.request_id = "r1";
  span.request_bytes = 300;
  span.status = InternalError("broken");
  EXPECT_EQ(HexOf(EncodeExportRequest({{"service.name", "digits"}}, {&span, 1}, seconds(1'700'000'000))),
            "0aa8030a1a0a180a0c736572766963652e6e616d6512080a066469676974731289030a100a0e74666c6974652d73657276696e6712f4020a1001020304050607"
            "08090a0b0c0d0e0f10120811121314151617181a03613d62220821222324252627282a077072656469637430023900cac471fe9c97174100945fadfe9c97174a"
            "210a1774666c6974655f73657276696e672e70726f746f636f6c12060a04726573744a1b0a1474666c6974655f73657276696e672e6d6f64656c12030a016d4a"
            "1c0a1674666c6974655f73657276696e672e76657273696f6e120218074a2d0a1874666c6974655f73657276696e672e7369676e617475726512110a0f736572"
            "76696e675f64656661756c744a210a1374666c6974655f73657276696e672e636f6465120a0a08494e5445524e414c4a210a1974666c6974655f73657276696e"
            "672e726571756573745f696412040a0272314a230a1c74666c6974655f73657276696e672e726571756573745f6279746573120318ac024a200a1a74666c6974"
            "655f73657276696e672e7265706c795f6279746573120218007a0a120662726f6b656e1802850101030000");
}

TEST(OtlpMessageTest, EachStageIsASpanBelowTheRequests) {
  RequestSpan span = SpanOf("m");
  const std::string below = std::string("\x22\x08") + std::string(8, '\x01');
  EXPECT_EQ(span.num_spans(), 2u);
  EXPECT_THAT(Encoded(span), AllOf(HasSubstr(below + "\x2a\x03run"), Not(HasSubstr("decode"))));
  for (const SpanStage stage : {SpanStage::kDecode, SpanStage::kQueue, SpanStage::kWait, SpanStage::kEncode})
    span.stage(stage) = {span.begin, span.end};
  EXPECT_EQ(span.num_spans(), 6u);
  EXPECT_THAT(Encoded(span), AllOf(HasSubstr("decode"), HasSubstr("queue"), HasSubstr("wait"), HasSubstr("encode")));
}

TEST(OtlpMessageTest, AStageThatDidNotEndEndsWithTheRequest) {
  RequestSpan span = SpanOf("m");
  span.stage(SpanStage::kRun).end = {};
  RequestSpan ended = span;
  ended.stage(SpanStage::kRun).end = span.end;
  const auto without_id = [](std::string text) { return text.erase(text.rfind("\x12\x08"), 10); };
  EXPECT_EQ(without_id(Encoded(span)), without_id(Encoded(ended)));
}

TEST(OtlpMessageTest, OnlyTheServersFaultsAreErrors) {
  RequestSpan span = SpanOf("m");
  span.status = UnavailableError("too many requests");
  EXPECT_THAT(Encoded(span), AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("too many requests")));
  span.status = NotFoundError("no such model");
  EXPECT_THAT(Encoded(span), AllOf(HasSubstr("NOT_FOUND"), Not(HasSubstr("no such model"))));
}

TEST(OtlpMessageTest, TextIsUtf8) { EXPECT_THAT(Encoded(SpanOf("a\xff")), AllOf(HasSubstr("a\xEF\xBF\xBD"), Not(HasSubstr("a\xff")))); }

TEST(OtlpMessageTest, ReadsAPartialSuccess) {
  const std::string partial = "\x0a\x0c\x08\x96\x01\x12\x07too old";
  EXPECT_EQ(DecodeExportResponse(partial).rejected_spans, 150u);
  EXPECT_EQ(DecodeExportResponse(partial).message, "too old");
  EXPECT_EQ(DecodeExportResponse("").rejected_spans, 0u);
  EXPECT_EQ(DecodeExportResponse("\x1a\x01x" + partial).rejected_spans, 150u);
  for (size_t size = 0; size < partial.size(); ++size) EXPECT_EQ(DecodeExportResponse(partial.substr(0, size)).rejected_spans, 0u);
  EXPECT_EQ(DecodeExportResponse("<html>").rejected_spans, 0u);
  EXPECT_EQ(DecodeExportResponse(std::string(20, '\xff')).rejected_spans, 0u);
}

TEST(TracerTest, SendsABatchWhenItIsFull) {
  FakeHttpServer collector;
  TracerOptions options = OptionsFor(collector.url());
  options.batch_spans = 4;
  options.headers = {{"Authorization", "Bearer secret"}, {"X-Empty", ""}};
  options.resource = {{"deployment.environment.name", "test"}};
  const auto tracer = TracerOf(options);
  tracer->Export(SpanOf("first"));
  tracer->Export(SpanOf("second"));
  EXPECT_THAT(CountsOf(*tracer, 4), ElementsAre(4, 0, 0));
  const std::vector<FakeHttpServer::Request> requests = collector.Requests(1);
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(requests[0].head, AllOf(StartsWith("POST /a/path HTTP/1.1\r\n"), HasSubstr("\r\nContent-Type: application/x-protobuf\r\n"),
                                      HasSubstr("\r\nAuthorization: Bearer secret\r\n"), HasSubstr("\r\nX-Empty:\r\n"), Not(HasSubstr("Expect"))));
  EXPECT_THAT(requests[0].body, AllOf(HasSubstr("service.name"), HasSubstr("tflite-serving"), HasSubstr("deployment.environment.name"),
                                      HasSubstr("first"), HasSubstr("second")));
}

TEST(TracerTest, SendsWhatHasWaitedForTheInterval) {
  FakeHttpServer collector;
  TracerOptions options = OptionsFor(collector.url());
  options.batch_spans = 512;
  options.export_interval = milliseconds(1);
  const auto tracer = TracerOf(options);
  tracer->Export(SpanOf("a"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(2, 0, 0));
  tracer->Export(SpanOf("b"));
  EXPECT_THAT(CountsOf(*tracer, 4), ElementsAre(4, 0, 0));
}

TEST(TracerTest, DropsWhatTheQueueHasNoRoomFor) {
  FakeHttpServer collector({std::string(FakeHttpServer::kHangs)});
  TracerOptions options = OptionsFor(collector.url());
  options.max_queued_spans = 4;
  const auto tracer = TracerOf(options);
  tracer->Export(SpanOf("under way"));
  collector.Requests(1);
  for (int i = 0; i < 5; ++i) tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer), ElementsAre(0, 6, 0));
}

TEST(TracerTest, TextsOfClientsAreCut) {
  FakeHttpServer collector;
  const auto tracer = TracerOf(OptionsFor(collector.url()));
  RequestSpan span = SpanOf(std::string(257, 'm'));
  span.status = InternalError(std::string(257, 's'));
  tracer->Export(span);
  EXPECT_THAT(collector.Requests(1)[0].body, AllOf(HasSubstr(std::string(256, 'm')), Not(HasSubstr(std::string(257, 'm'))),
                                                   HasSubstr(std::string(256, 's')), Not(HasSubstr(std::string(257, 's')))));
}

TEST(TracerTest, TriesAgainWhereThatMayHelp) {
  for (const char* status : {"429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"}) {
    FakeHttpServer collector({FakeHttpServer::Answer(status)});
    const auto tracer = TracerOf(OptionsFor(collector.url()));
    tracer->Export(SpanOf("m"));
    EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(2, 0, 0));
    const std::vector<FakeHttpServer::Request> requests = collector.Requests(2);
    ASSERT_THAT(requests, SizeIs(2));
    EXPECT_EQ(requests[0].body, requests[1].body);
  }
}

TEST(TracerTest, TriesAgainWhenTheCollectorAsksFor) {
  FakeHttpServer collector({FakeHttpServer::Answer("503 Service Unavailable", "Retry-After: 1\r\n")});
  TracerOptions options = OptionsFor(collector.url());
  options.first_retry_delay = kNever;
  const auto tracer = TracerOf(options);
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(2, 0, 0));
}

TEST(TracerTest, GivesUpAfterSomeAttempts) {
  FakeHttpServer collector(std::deque<std::string>(9, FakeHttpServer::Answer("503 Service Unavailable")));
  const auto tracer = TracerOf(OptionsFor(collector.url()));
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(0, 0, 2));
  EXPECT_EQ(collector.num_requests(), 5u);
}

TEST(TracerTest, ARefusalIsFinalAndLoggedOnce) {
  FakeHttpServer collector({FakeHttpServer::Answer("400 Bad Request"), FakeHttpServer::Answer("401 Unauthorized")});
  TracerOptions options = OptionsFor(collector.url());
  options.headers = {{"Authorization", "Bearer secret"}};
  testing::internal::CaptureStderr();
  {
    const auto tracer = TracerOf(options);
    tracer->Export(SpanOf("m"));
    tracer->Export(SpanOf("m"));
    EXPECT_THAT(CountsOf(*tracer, 4), ElementsAre(0, 0, 4));
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, AllOf(HasSubstr("did not take 2 span(s): HTTP status 400\n"), Not(HasSubstr("401")), Not(HasSubstr("secret"))));
  EXPECT_EQ(collector.num_requests(), 2u);
}

TEST(TracerTest, ARedirectIsNotFollowed) {
  FakeHttpServer collector({FakeHttpServer::Answer("307 Temporary Redirect", "Location: /elsewhere\r\n")});
  const auto tracer = TracerOf(OptionsFor(collector.url()));
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(0, 0, 2));
  EXPECT_EQ(collector.num_requests(), 1u);
}

TEST(TracerTest, CountsWhatTheCollectorRejects) {
  FakeHttpServer collector({FakeHttpServer::Answer("200 OK", "", "\x0a\x02\x08\x01"), FakeHttpServer::Answer("200 OK", "", "\x0a\x02\x08\x7f")});
  const auto tracer = TracerOf(OptionsFor(collector.url()));
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(1, 0, 1));
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 4), ElementsAre(1, 0, 3));
}

TEST(TracerTest, WithoutACollector) {
  const std::string url = FakeHttpServer().url();
  const auto tracer = TracerOf(OptionsFor(url));
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(0, 0, 2));
}

TEST(TracerTest, ACollectorThatDoesNotAnswerInTime) {
  FakeHttpServer collector(std::deque<std::string>(9, std::string(FakeHttpServer::kHangs)));
  TracerOptions options = OptionsFor(collector.url());
  options.timeout = milliseconds(10);
  const auto tracer = TracerOf(options);
  tracer->Export(SpanOf("m"));
  EXPECT_THAT(CountsOf(*tracer, 2), ElementsAre(0, 0, 2));
}

TEST(TracerTest, AtTheEndSendsWhatIsLeft) {
  FakeHttpServer collector;
  TracerOptions options = OptionsFor(collector.url());
  options.batch_spans = 4;
  options.flush_timeout = seconds(30);
  {
    const auto tracer = TracerOf(options);
    for (int i = 0; i < 5; ++i) tracer->Export(SpanOf(fmt::format("model {}", i)));
  }
  std::string all;
  for (const FakeHttpServer::Request& request : collector.Requests(3)) all += request.body;
  for (int i = 0; i < 5; ++i) EXPECT_THAT(all, HasSubstr(fmt::format("model {}", i)));
}

TEST(TracerTest, AtTheEndACollectorThatHangsIsNotWaitedFor) {
  FakeHttpServer collector({std::string(FakeHttpServer::kHangs)});
  TracerOptions options = OptionsFor(collector.url());
  options.timeout = kNever;
  auto tracer = TracerOf(options);
  for (int i = 0; i < 5; ++i) tracer->Export(SpanOf("m"));
  collector.Requests(1);
  const TimePoint begin = Clock::Steady().Now();
  tracer.reset();
  EXPECT_GE(Clock::Steady().Now() - begin, options.flush_timeout);
  EXPECT_LT(Clock::Steady().Now() - begin, seconds(30));
}

TEST(TracerTest, AtTheEndARetryIsNotWaitedFor) {
  FakeHttpServer collector(std::deque<std::string>(9, FakeHttpServer::Answer("503 Service Unavailable")));
  TracerOptions options = OptionsFor(collector.url());
  options.first_retry_delay = kNever;
  options.flush_timeout = kNever;
  auto tracer = TracerOf(options);
  tracer->Export(SpanOf("m"));
  collector.Requests(1);
  tracer.reset();
  EXPECT_LE(collector.num_requests(), 2u);
}

TEST(TracerTest, ManyThreadsExport) {
  FakeHttpServer collector;
  TracerOptions options = OptionsFor(collector.url());
  options.batch_spans = 64;
  options.export_interval = milliseconds(1);
  const auto tracer = TracerOf(options);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&tracer] {
        for (int j = 0; j < 250; ++j) tracer->Export(SpanOf("m"));
      });
    }
  }
  const TimePoint deadline = Clock::Steady().Now() + seconds(30);
  const auto all = [&tracer] { return tracer->counts().exported + tracer->counts().dropped; };
  while (all() < 2000 && Clock::Steady().Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(all(), 2000u);
  EXPECT_EQ(tracer->counts().failed, 0u);
}

TEST(TracerTest, ParentsDecideWhatIsSampled) {
  TracerOptions options = OptionsFor("http://127.0.0.1:1/");
  for (const double ratio : {0.0, 0.5, 1.0}) {
    options.sample_ratio = ratio;
    const auto tracer = TracerOf(options);
    TraceContext parent = ContextOfNumber(7);
    EXPECT_TRUE(tracer->ContextOf(parent).sampled);
    EXPECT_EQ(tracer->ContextOf(parent).trace_id, parent.trace_id);
    EXPECT_NE(tracer->ContextOf(parent).span_id, parent.span_id);
    parent.sampled = false;
    EXPECT_FALSE(tracer->ContextOf(parent).sampled);
    EXPECT_NE(tracer->ContextOf({}).trace_id, tracer->ContextOf({}).trace_id);
  }
}

TEST(TracerTest, WithoutAParentTheIdDecides) {
  const auto sampled_of_1000 = [](double ratio) {
    TracerOptions options = OptionsFor("http://127.0.0.1:1/");
    options.sample_ratio = ratio;
    const auto tracer = TracerOf(options);
    int sampled = 0;
    for (int i = 0; i < 1000; ++i) {
      const TraceContext context = tracer->ContextOf({});
      EXPECT_EQ(tracer->ShouldSample({}, context.trace_id), context.sampled);
      sampled += context.sampled ? 1 : 0;
    }
    return sampled;
  };
  EXPECT_EQ(sampled_of_1000(0), 0);
  EXPECT_EQ(sampled_of_1000(1), 1000);
  EXPECT_NEAR(sampled_of_1000(0.25), 250, 100);

  TracerOptions options = OptionsFor("http://127.0.0.1:1/");
  options.sample_ratio = 0.25;
  const auto tracer = TracerOf(options);
  TraceId id{};
  id[9] = 0xbf;
  EXPECT_FALSE(tracer->ShouldSample({}, id));
  id[9] = 0xc0;
  EXPECT_TRUE(tracer->ShouldSample({}, id));
}

TEST(TracerTest, RefusesOptionsThatCannotBe) {
  for (const char* url : {"", "collector:4318", "ftp://secret@collector/", "file:///etc/secret", "http://", "http://a b/secret"}) {
    const Status status = Tracer::Create(OptionsFor(url)).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
  }
  for (const double ratio : {-0.1, 1.1, std::nan("")}) {
    TracerOptions options = OptionsFor("http://127.0.0.1:1/");
    options.sample_ratio = ratio;
    EXPECT_EQ(Tracer::Create(options).status().code(), StatusCode::kInvalidArgument);
  }
  for (const auto& [name, value] : KeyValues{{"", "secret"}, {"a b", "secret"}, {"a:", "secret"}, {"a", "secret\r\nb: c"}, {"a\n", "secret"}}) {
    TracerOptions options = OptionsFor("http://127.0.0.1:1/");
    options.headers = {{name, value}};
    const Status status = Tracer::Create(options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
  }
}

class TracerEnvironmentTest : public testing::Test {
 protected:
  Status Read(std::map<std::string, std::string> variables) {
    return ReadTracerEnvironment(
        [&variables](const char* name) {
          const auto found = variables.find(name);
          return found == variables.end() ? nullptr : found->second.c_str();
        },
        options_);
  }
  TracerOptions options_;
};

TEST_F(TracerEnvironmentTest, SaysNothing) {
  EXPECT_TRUE(Read({}).ok());
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", ""}, {"OTEL_SERVICE_NAME", ""}, {"OTEL_TRACES_SAMPLER_ARG", ""}}).ok());
  EXPECT_EQ(options_.endpoint, "");
  EXPECT_EQ(options_.service_name, "tflite-serving");
  EXPECT_EQ(options_.sample_ratio, 1);
}

TEST_F(TracerEnvironmentTest, Endpoints) {
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}}).ok());
  EXPECT_EQ(options_.endpoint, "http://c:4318/v1/traces");
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/"}}).ok());
  EXPECT_EQ(options_.endpoint, "http://c:4318/otlp/v1/traces");
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/as/it/is"}}).ok());
  EXPECT_EQ(options_.endpoint, "https://t/as/it/is");
}

TEST_F(TracerEnvironmentTest, Lists) {
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a%3D%3d, x-key = a=b ,,x-empty="}}).ok());
  EXPECT_THAT(options_.headers, ElementsAre(Pair("Authorization", "Basic a=="), Pair("x-key", "a=b"), Pair("x-empty", "")));
  EXPECT_TRUE(Read({{"OTEL_EXPORTER_OTLP_HEADERS", "a=1"}, {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"}}).ok());
  EXPECT_THAT(options_.headers, ElementsAre(Pair("b", "2")));
}

TEST_F(TracerEnvironmentTest, TheServicesNameAndResource) {
  EXPECT_TRUE(Read({{"OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p-1,service.name=from%20resource"}}).ok());
  EXPECT_THAT(options_.resource, ElementsAre(Pair("k8s.pod.name", "p-1")));
  EXPECT_EQ(options_.service_name, "from resource");
  EXPECT_TRUE(Read({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=resource"}, {"OTEL_SERVICE_NAME", "own"}}).ok());
  EXPECT_THAT(options_.resource, IsEmpty());
  EXPECT_EQ(options_.service_name, "own");
}

TEST_F(TracerEnvironmentTest, TheRatio) {
  EXPECT_TRUE(Read({{"OTEL_TRACES_SAMPLER_ARG", "0.25"}}).ok());
  EXPECT_EQ(options_.sample_ratio, 0.25);
  for (const char* wrong : {"2", "-0.1", "0.5x", "nan", "often"}) {
    EXPECT_EQ(Read({{"OTEL_TRACES_SAMPLER_ARG", wrong}}).code(), StatusCode::kInvalidArgument) << wrong;
    EXPECT_EQ(options_.sample_ratio, 0.25);
  }
}

TEST_F(TracerEnvironmentTest, WhatCannotBeReadIsNamedAndLeftOut) {
  for (const char* wrong : {"secret", "=secret", "a=%2", "a=%zz", "a=%", "good=1,secret"}) {
    const Status status = Read({{"OTEL_EXPORTER_OTLP_HEADERS", wrong}, {"OTEL_RESOURCE_ATTRIBUTES", wrong}, {"OTEL_SERVICE_NAME", "own"}});
    EXPECT_EQ(status.message(), "cannot read what the environment has in OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES");
    EXPECT_THAT(options_.headers, IsEmpty());
    EXPECT_EQ(options_.service_name, "own");
  }
}

}  // namespace
}  // namespace tflite_serving
