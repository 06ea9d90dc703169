#include "runtime/operator_profile.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/litert_servable.h"
#include "runtime/test_tensors.h"
#include "runtime/tflite_file.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// Each look at it takes some time, and nothing else does.
class LookedAtClock : public Clock {
 public:
  explicit LookedAtClock(nanoseconds look) : look_(look) {}
  TimePoint Now() const override { return TimePoint(look_ * ++looks_); }

 private:
  const nanoseconds look_;
  mutable std::atomic<int64_t> looks_ = 0;
};

// An operator is looked at twice before it runs: for its time, and for the deadline. A run is looked at before and after.
constexpr nanoseconds kLook = std::chrono::microseconds(1);
constexpr nanoseconds kOperator = 2 * kLook;
constexpr nanoseconds kOther = 2 * kLook;

std::unique_ptr<LiteRtServable> Load(const std::string& name, RuntimeOptions options = {}) {
  static const LookedAtClock clock(kLook);
  options.num_interpreters = 1;
  StatusOr<std::unique_ptr<LiteRtServable>> servable = LiteRtServable::Create({name, 1}, TestModelPath(name), options, clock);
  EXPECT_TRUE(servable.ok()) << servable.status().ToString();
  return servable.ok() ? *std::move(servable) : nullptr;
}

ModelProfile ProfileOf(Servable& servable, const ProfileRequest& request = {}) {
  StatusOr<ModelProfile> profile = servable.Profile(request);
  EXPECT_TRUE(profile.ok()) << profile.status().ToString();
  return profile.ok() ? *std::move(profile) : ModelProfile();
}

std::vector<std::string> Names(const std::vector<OperatorProfile>& rows) {
  std::vector<std::string> names;
  for (const OperatorProfile& row : rows) names.push_back(row.name);
  return names;
}

nanoseconds Sum(const std::vector<OperatorProfile>& rows) {
  nanoseconds sum{0};
  for (const OperatorProfile& row : rows) sum += row.mean;
  return sum;
}

// What holds for every profile by that clock.
void Check(const ModelProfile& profile) {
  EXPECT_GE(profile.runs, 1);
  EXPECT_EQ(profile.mean, Sum(profile.operators) + kOther);
  EXPECT_EQ(profile.min, profile.mean);
  EXPECT_EQ(profile.max, profile.mean);
  EXPECT_LE(profile.delegated_operators, profile.graph_operators);
  EXPECT_EQ(profile.delegate, profile.partitions > 0 ? "XNNPACK" : "");
  size_t partitions = 0;
  size_t in_partitions = 0;
  for (const OperatorProfile& row : profile.operators) {
    EXPECT_TRUE(row.mean == kOperator || !row.inside.empty()) << row.name;
    EXPECT_EQ(row.calls, 1) << row.name;
    if (!row.name.starts_with("XNNPACK delegate")) continue;
    ++partitions;
    in_partitions += row.operators.size();
    EXPECT_FALSE(row.inside.empty()) << row.name;
    EXPECT_EQ(row.name, fmt::format("XNNPACK delegate: {} operator{}", row.operators.size(), row.operators.size() == 1 ? "" : "s"));
  }
  EXPECT_EQ(profile.partitions, partitions);
  EXPECT_EQ(profile.delegated_operators, in_partitions);
  EXPECT_EQ(profile.graph_operators, in_partitions + profile.operators.size() - partitions);
}

size_t OperatorsInFile(const std::string& name) {
  const std::string bytes = ReadTestModel(name);
  const StatusOr<TfliteFile> file = ReadTfliteFile(name, AsBytes(bytes));
  EXPECT_TRUE(file.ok());
  return file->subgraphs.front().operators.size();
}

TEST(OperatorProfileTest, AGraphThatADelegateRunsWhole) {
  const std::unique_ptr<LiteRtServable> servable = Load("digits");
  const ModelProfile profile = ProfileOf(*servable, {.runs = 50});
  Check(profile);
  EXPECT_EQ(profile.id.name, "digits");
  EXPECT_EQ(profile.signature, "serving_default");
  EXPECT_THAT(profile.inputs, ElementsAre(Pair("pixels", "float[1,64]")));
  EXPECT_EQ(profile.threads, 1);
  EXPECT_EQ(profile.runs, 50);
  EXPECT_EQ(profile.graph_operators, OperatorsInFile("digits"));
  EXPECT_EQ(profile.delegated_operators, profile.graph_operators);
  EXPECT_EQ(profile.partitions, 1U);
  ASSERT_EQ(profile.operators.size(), 1U);
  const OperatorProfile& partition = profile.operators[0];
  EXPECT_EQ(std::ranges::count(partition.operators, "CONV_2D"), 2);
  EXPECT_THAT(Names(partition.inside).back(), HasSubstr("Softmax"));
}

// The true one, but for which no time limit comes.
class PatientClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(Clock::Steady().Now().time_since_epoch() / kPatience); }

 private:
  static constexpr int kPatience = 10;
};

TEST(OperatorProfileTest, OperatorsAreAPartOfTheRun) {
  const std::unique_ptr<Model> model = OpenTestModel("digits");
  const PatientClock clock;
  const StatusOr<ModelProfile> profile = ProfileOperators(*model, 0, 1, {}, clock);
  ASSERT_TRUE(profile.ok()) << profile.status().ToString();
  EXPECT_LE(profile->min, profile->mean);
  EXPECT_LE(profile->mean, profile->max);
  EXPECT_LT(Sum(profile->operators), profile->mean);
  EXPECT_GT(Sum(profile->operators), nanoseconds(0));
}

TEST(OperatorProfileTest, AQuantisedGraphWithAnOperatorBesideTheDelegate) {
  const std::unique_ptr<LiteRtServable> servable = Load("digits_int8");
  const ModelProfile profile = ProfileOf(*servable);
  Check(profile);
  EXPECT_EQ(profile.runs, kDefaultProfileRuns);
  EXPECT_EQ(profile.graph_operators, OperatorsInFile("digits_int8"));
  EXPECT_EQ(profile.delegated_operators, profile.graph_operators - 1);
  ASSERT_EQ(profile.operators.size(), 2U);
  EXPECT_EQ(profile.operators[1].name, "SOFTMAX");
  EXPECT_EQ(profile.operators[1].tensor, servable->signatures()[0].outputs[0].tensor_name);
  EXPECT_THAT(profile.operators[1].inside, IsEmpty());
}

TEST(OperatorProfileTest, EveryModelAndSignature) {
  for (const char* name :
       {"half_plus_two", "multi_io", "multi_signature", "inference", "row_mixing", "string_lookup", "string_mixing", "constant_output",
        "dynamic_output", "dynamic_signatures", "stateful", "examples/dense", "shared_output", "unused_input", "passthrough"}) {
    const std::unique_ptr<LiteRtServable> servable = Load(name);
    for (const Signature& signature : servable->signatures()) {
      SCOPED_TRACE(fmt::format("{} {}", name, signature.key));
      const ModelProfile profile = ProfileOf(*servable, {.signature_name = signature.key, .runs = 3});
      Check(profile);
      EXPECT_EQ(profile.signature, signature.key);
      EXPECT_EQ(profile.inputs.size(), signature.inputs.size());
    }
  }
}

TEST(OperatorProfileTest, EachSignatureHasItsGraph) {
  const std::unique_ptr<LiteRtServable> servable = Load("multi_signature");
  const ModelProfile whole = ProfileOf(*servable);
  const ModelProfile encode = ProfileOf(*servable, {.signature_name = "encode"});
  const ModelProfile decode = ProfileOf(*servable, {.signature_name = "decode"});
  EXPECT_GT(whole.graph_operators, encode.graph_operators);
  EXPECT_NE(encode.inputs, decode.inputs);
}

TEST(OperatorProfileTest, WhatControlFlowCallsIsInsideOfIt) {
  const std::unique_ptr<LiteRtServable> servable = Load("while_loop");
  const ModelProfile profile = ProfileOf(*servable);
  Check(profile);
  ASSERT_THAT(Names(profile.operators), ElementsAre("WHILE"));
  const std::vector<OperatorProfile>& inside = profile.operators[0].inside;
  ASSERT_FALSE(inside.empty());
  EXPECT_EQ(inside[0].name, "LESS");
  EXPECT_GE(inside[0].calls, 1);
  EXPECT_EQ(Sum(inside) + kOperator, profile.operators[0].mean);
}

TEST(OperatorProfileTest, OperatorsOfLibrariesHaveTheirOwnNames) {
  const std::unique_ptr<LiteRtServable> servable = Load("refused/library_operators", {.custom_op_libraries = {TEST_OPERATORS}});
  const ModelProfile profile = ProfileOf(*servable);
  Check(profile);
  EXPECT_EQ(std::ranges::count(Names(profile.operators), "TestScale"), 2);
}

TEST(OperatorProfileTest, WhatIsRefused) {
  const std::unique_ptr<LiteRtServable> servable = Load("half_plus_two");
  const auto refusal = [&](const ProfileRequest& request) { return servable->Profile(request).status(); };
  EXPECT_EQ(refusal({.signature_name = "none"}).ToString(), "INVALID_ARGUMENT: Serving signature name: \"none\" not found in signature def");
  EXPECT_EQ(refusal({.runs = 0}).ToString(), "INVALID_ARGUMENT: runs: expected 1 to 1000, got 0");
  EXPECT_EQ(refusal({.runs = kMaxProfileRuns + 1}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ProfileOf(*servable, {.runs = 1}).runs, 1);
  EXPECT_EQ(ProfileOf(*servable, {.runs = kMaxProfileRuns}).runs, kMaxProfileRuns);
  EXPECT_EQ(refusal({.deadline = TimePoint(kLook)}).code(), StatusCode::kDeadlineExceeded);
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_EQ(refusal({.cancellation = &cancellation}).code(), StatusCode::kCancelled);
}

TEST(OperatorProfileTest, FewerRunsWhereTheyTakeLong) {
  const std::unique_ptr<Model> model = OpenTestModel("string_lookup");  // one operator: four looks a run, and two more to go on
  const auto profile = [&](std::chrono::milliseconds look) { return ProfileOperators(*model, 0, 1, {}, LookedAtClock(look)); };
  EXPECT_EQ(profile(std::chrono::milliseconds(1))->runs, kDefaultProfileRuns);
  const int runs = profile(std::chrono::milliseconds(100))->runs;
  EXPECT_GT(runs, 1);
  EXPECT_LT(runs, kDefaultProfileRuns);
  EXPECT_EQ(profile(std::chrono::seconds(3)).status().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace tflite_serving
