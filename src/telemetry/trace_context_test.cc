#include "telemetry/trace_context.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::MatchesRegex;

const std::string kHeader = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TraceContext kContext = {.trace_id = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c},
                               .span_id = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31},
                               .sampled = true};

std::string With(size_t at, std::string_view text) { return std::string(kHeader).replace(at, text.size(), text); }

TEST(TraceContextTest, ReadsATraceParentAndWritesTheSame) {
  EXPECT_EQ(ParseTraceParent(kHeader), kContext);
  EXPECT_EQ(FormatTraceParent(kContext), kHeader);
  TraceContext unsampled = kContext;
  unsampled.sampled = false;
  EXPECT_EQ(ParseTraceParent(With(53, "00")), unsampled);
  EXPECT_EQ(FormatTraceParent(unsampled), With(53, "00"));
}

TEST(TraceContextTest, OfTheFlagsOnlySampledCounts) {
  EXPECT_EQ(ParseTraceParent(With(53, "ff")), kContext);
  EXPECT_FALSE(ParseTraceParent(With(53, "fe"))->sampled);
}

TEST(TraceContextTest, RefusesWhatIsNoTraceParent) {
  for (size_t size = 0; size < kHeader.size(); ++size) EXPECT_FALSE(ParseTraceParent(kHeader.substr(0, size))) << size;
  for (const char* more : {"-", "-01", "0", " "}) EXPECT_FALSE(ParseTraceParent(kHeader + more)) << more;
  EXPECT_FALSE(ParseTraceParent(With(0, "ff")));
  EXPECT_FALSE(ParseTraceParent(With(3, std::string(32, '0'))));
  EXPECT_FALSE(ParseTraceParent(With(36, std::string(16, '0'))));
  for (size_t at = 0; at < kHeader.size(); ++at) {
    for (const char wrong : {'A', 'g', '-', ' ', '\0'}) {
      EXPECT_EQ(ParseTraceParent(With(at, std::string(1, wrong))).has_value(), kHeader[at] == wrong) << at << wrong;
    }
  }
}

TEST(TraceContextTest, OfLaterVersionsReadsWhatItKnows) {
  EXPECT_EQ(ParseTraceParent(With(0, "01")), kContext);
  EXPECT_EQ(ParseTraceParent(With(0, "cc") + "-what-the-future-brings"), kContext);
  EXPECT_FALSE(ParseTraceParent(With(0, "cc") + "."));
  EXPECT_FALSE(ParseTraceParent(With(0, "FE")));
}

TEST(TraceContextTest, TraceStateIsShortAndPrintable) {
  EXPECT_TRUE(IsValidTraceState("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"));
  EXPECT_TRUE(IsValidTraceState(std::string(512, 'a')));
  EXPECT_FALSE(IsValidTraceState(std::string(513, 'a')));
  for (const char wrong : {'\n', '\0', '\x7f', '\x80'}) EXPECT_FALSE(IsValidTraceState(std::string("a=b") + wrong));
}

TEST(TraceContextTest, MadeIdsDiffer) {
  std::set<TraceId> traces;
  std::set<SpanId> spans;
  std::set<std::string> requests;
  for (int i = 0; i < 1000; ++i) {
    traces.insert(MakeTraceId());
    spans.insert(MakeSpanId());
    requests.insert(MakeRequestId());
  }
  EXPECT_EQ(traces.size() + spans.size() + requests.size(), 3000u);
  EXPECT_THAT(*requests.begin(), MatchesRegex("[0-9a-f]{32}"));
  EXPECT_TRUE(IsValidRequestId(*requests.begin()));
}

TEST(TraceContextTest, RequestIdsForgeNothing) {
  EXPECT_TRUE(IsValidRequestId("a"));
  EXPECT_TRUE(IsValidRequestId("01J9Z:west-2/7!~"));
  EXPECT_TRUE(IsValidRequestId(std::string(128, 'a')));
  EXPECT_FALSE(IsValidRequestId(""));
  EXPECT_FALSE(IsValidRequestId(std::string(129, 'a')));
  for (const char wrong : {' ', '"', '\'', '`', '\\', '\n', '\t', '\0', '\x1b', '\x7f', '\x80', '\xff'}) {
    EXPECT_FALSE(IsValidRequestId(std::string("a") + wrong)) << static_cast<int>(wrong);
  }
}

}  // namespace
}  // namespace tflite_serving
