#include "runtime/litert_servable.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "base/thread.h"
#include "base/usable_cpus.h"
#include "runtime/sample_inputs.h"
#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<LiteRtServable> Load(const std::string& path, RuntimeOptions options = {}) {
  if (options.num_interpreters == 0) options.num_interpreters = 2;
  StatusOr<std::unique_ptr<LiteRtServable>> servable = LiteRtServable::Create({"m", 1}, path, options);
  EXPECT_TRUE(servable.ok()) << servable.status().ToString();
  return servable.ok() ? *std::move(servable) : nullptr;
}

// Checks, runs, and copies the first output's bytes.
Status CheckAndRun(LiteRtServable& servable, const std::vector<Tensor>& inputs, std::vector<std::byte>* answer = nullptr,
                   TimePoint deadline = kNoDeadline) {
  std::vector<TensorView> views = ViewsOf(inputs);
  if (const Status status = CheckInputs(servable.signatures()[0], views); !status.ok()) return status;
  Status result = UnknownError("done was not called");
  int calls = 0;
  servable.Run({.signature = &servable.signatures()[0], .inputs = views, .deadline = deadline},
               [&](const Status& status, std::span<const TensorView> outputs) {
                 ++calls;
                 result = status;
                 if (status.ok() && answer != nullptr) answer->assign(outputs[0].bytes.begin(), outputs[0].bytes.end());
               });
  EXPECT_EQ(calls, 1);
  return result;
}

std::vector<Tensor> One(Tensor tensor) {
  std::vector<Tensor> inputs;
  inputs.push_back(std::move(tensor));
  return inputs;
}

std::vector<float> RunFloats(LiteRtServable& servable, Tensor input) {
  std::vector<std::byte> answer;
  const Status status = CheckAndRun(servable, One(std::move(input)), &answer);
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::vector<float> values(answer.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), answer.data(), answer.size());
  return values;
}

TEST(LiteRtServableTest, RunsOnEachInterpreter) {
  RunCounters counters;
  const auto servable = Load(TestModelPath("half_plus_two_1x1"), {.num_interpreters = 3, .run_counters = &counters});
  const uint64_t before = counters.runs.value();
  const std::vector<Tensor> inputs = One(Floats({4, 1}, {1, 2, 3, 4}));
  EXPECT_EQ(servable->RunOnEach(0, ViewsOf(inputs)), OkStatus());
  EXPECT_EQ(counters.runs.value() - before, 3);
  EXPECT_EQ(CheckAndRun(*servable, inputs), OkStatus()) << "all were given back";
}

TEST(LiteRtServableTest, EveryModelLoadsAndAnswers) {
  for (const std::string name : {"half_plus_two",
                                 "half_plus_two_1x1",
                                 "no_signature_collide",
                                 "named_signature",
                                 "multi_signature",
                                 "multi_io",
                                 "shared_output",
                                 "passthrough",
                                 "constant_output",
                                 "unused_input",
                                 "scalar",
                                 "string_scalar",
                                 "string_cube",
                                 "string_reshape",
                                 "string_lookup",
                                 "string_equal",
                                 "fixed_batch_1",
                                 "baked_batch",
                                 "baked_batch_2",
                                 "row_mixing",
                                 "string_mixing",
                                 "rows_reversed",
                                 "dim0_mismatch",
                                 "stateful",
                                 "stateful_batch",
                                 "while_loop",
                                 "computed_shape",
                                 "digits",
                                 "digits_int8",
                                 "type_bool",
                                 "type_float16",
                                 "type_string",
                                 "dynamic_output",
                                 "dynamic_signatures",
                                 "dynamic_unique",
                                 "dynamic_strings",
                                 "class_labels",
                                 "examples/dense",
                                 "examples/sparse",
                                 "examples/first_version",
                                 "examples/classifier",
                                 "examples/regressor",
                                 "examples/legacy_signatures",
                                 "examples/legacy_signatures_only"}) {
    const auto servable = Load(TestModelPath(name));
    ASSERT_NE(servable, nullptr) << name;
    for (size_t i = 0; i < servable->signatures().size(); ++i) {
      const Signature& signature = servable->signatures()[i];
      const std::vector<Tensor> inputs = *ZeroInputs(servable->model().graph().signatures[i], 2);
      std::vector<TensorView> views = ViewsOf(inputs);
      ASSERT_TRUE(CheckInputs(signature, views).ok()) << name;
      servable->Run({.signature = &signature, .inputs = views}, [&](const Status& status, std::span<const TensorView> outputs) {
        EXPECT_TRUE(status.ok()) << name << ": " << status.ToString();
        EXPECT_EQ(outputs.size(), signature.outputs.size()) << name;
      });
    }
  }
}

TEST(LiteRtServableTest, LoadingErrorsNameThePath) {
  const TemporaryDirectory directory;
  const std::string missing = directory.path() + "/none.tflite";
  const Status none = LiteRtServable::Create({"m", 1}, missing, {}).status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr(missing));
  const std::string text = directory.Write("text.tflite", "Hello, world. This is text.");
  const Status other = LiteRtServable::Create({"m", 1}, text, {}).status();
  EXPECT_EQ(other.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(other.message(), StartsWith(text + ": not a sound .tflite file"));
  const Status custom = LiteRtServable::Create({"m", 1}, TestModelPath("refused/custom_operator"), {}).status();
  EXPECT_EQ(custom.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(custom.message(), StartsWith(TestModelPath("refused/custom_operator") + ": "));
}

TEST(LiteRtServableTest, TriesTheModelFirstIfTold) {
  const TemporaryDirectory directory;
  std::string corrupt = ReadTestModel("half_plus_two");
  corrupt.resize(corrupt.size() / 2);
  const std::string path = directory.Write("m.tflite", corrupt);
  EXPECT_THAT(LiteRtServable::Create({"m", 1}, path, {.trial_program = TRIAL_PROGRAM}).status().message(), StartsWith(path + ": "));
  EXPECT_NE(Load(TestModelPath("fixed_batch_1"), {.trial_program = TRIAL_PROGRAM}), nullptr);
}

TEST(LiteRtServableTest, KnowsWhatItTakesAfterATrial) {
  const auto one = Load(TestModelPath("digits"), {.num_interpreters = 1, .trial_program = TRIAL_PROGRAM});
  const auto three = Load(TestModelPath("digits"), {.num_interpreters = 3, .trial_program = TRIAL_PROGRAM});
  EXPECT_GT(one->memory_bytes(), one->model().FileBytes() + one->model().WeightCacheBytes());
  EXPECT_GT(three->memory_bytes(), one->memory_bytes());
  const auto untried = Load(TestModelPath("digits"));
  EXPECT_EQ(untried->memory_bytes(), untried->model().FileBytes() + untried->model().WeightCacheBytes());
}

TEST(LiteRtServableTest, KnowsWhoseRequestsMayShareARun) {
  for (const std::string program : {TRIAL_PROGRAM, ""}) {
    for (const std::string name : {"digits", "digits_int8", "half_plus_two", "fixed_batch_1", "string_equal", "string_lookup", "examples/dense"}) {
      EXPECT_TRUE(Load(TestModelPath(name), {.trial_program = program})->batchable(0)) << name;
    }
    for (const std::string name : {"row_mixing", "string_mixing", "baked_batch", "stateful", "scalar", "dynamic_output", "dynamic_strings"}) {
      EXPECT_FALSE(Load(TestModelPath(name), {.trial_program = program})->batchable(0)) << name;
    }
  }
}

TEST(LiteRtServableTest, TheTrialsLimitsAreTheOptions) {
  const Status status =
      LiteRtServable::Create({"m", 1}, TestModelPath("digits"), {.trial_program = TRIAL_PROGRAM, .trial_limits = {.memory_bytes = size_t{1} << 20}})
          .status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("where 1 MiB are allowed"));
}

TEST(LiteRtServableTest, OtherTypesNeverReachTheRuntime) {
  const auto servable = Load(TestModelPath("half_plus_two"));
  const Status status = CheckAndRun(*servable, One(TensorOf<int64_t>(DType::kInt64, {2}, {1, 2})));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "input \"x\": expected float[?], got int64[2]");
  EXPECT_EQ(CheckAndRun(*servable, One(Int32s({2}, {1, 2}))).code(), StatusCode::kInvalidArgument);
}

// What runs must not depend on the file any more.
TEST(LiteRtServableTest, SurvivesTheTruncationOfItsFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("m.tflite", ReadTestModel("digits"));
  const auto servable = Load(path);
  const std::vector<float> before = RunFloats(*servable, Floats({1, 64}, std::vector<float>(64, 3)));
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  EXPECT_EQ(RunFloats(*servable, Floats({1, 64}, std::vector<float>(64, 3))), before);
  EXPECT_EQ(RunFloats(*servable, Floats({200, 64}, std::vector<float>(200 * 64, 3))).size(), 2000);
}

// Threads and interpreters change nothing: each answer is the one that a single interpreter gives.
TEST(LiteRtServableTest, ManyThreadsGetTheAnswersOfOne) {
  constexpr size_t kThreads = 8;
  constexpr size_t kRounds = 50;
  const auto alone = Load(TestModelPath("digits"), {.num_interpreters = 1});
  const auto shared = Load(TestModelPath("digits"), {.num_interpreters = 2});
  std::atomic<int> mismatches = 0;
  {
    std::vector<std::jthread> threads(kThreads);
    for (size_t thread = 0; thread < threads.size(); ++thread) {
      threads[thread] = StartThread("test", [&, thread] {
        for (size_t round = 0; round < kRounds; ++round) {
          const size_t batch = 1 + (round + thread) % 4;
          const Shape shape({static_cast<int64_t>(batch), 64});
          std::vector<float> pixels(batch * 64);
          for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>((i * (thread + 3) + round) % 17);
          if (RunFloats(*shared, Floats(shape, pixels)) != RunFloats(*alone, Floats(shape, pixels))) ++mismatches;
        }
      });
    }
  }
  EXPECT_EQ(mismatches, 0);
}

TEST(LiteRtServableTest, ConcurrentRequestsOfAStatefulModelDoNotMeet) {
  const auto servable = Load(TestModelPath("stateful"));
  std::atomic<int> mismatches = 0;
  {
    std::vector<std::jthread> threads(4);
    for (size_t thread = 0; thread < threads.size(); ++thread) {
      threads[thread] = StartThread("test", [&, thread] {
        for (size_t round = 0; round < 20; ++round) {
          const auto value = static_cast<float>(thread * 100 + round);
          if (RunFloats(*servable, Floats({1}, {value})) != std::vector<float>{value}) ++mismatches;
        }
      });
    }
  }
  EXPECT_EQ(mismatches, 0);
}

TEST(LiteRtServableTest, KeptStateIsOneAndUntouchedAtFirst) {
  const auto servable = Load(TestModelPath("stateful"), {.num_interpreters = 4, .keep_state = true});
  EXPECT_THAT(RunFloats(*servable, Floats({1}, {1})), ElementsAre(1));
  EXPECT_THAT(RunFloats(*servable, Floats({1}, {2})), ElementsAre(3));
  EXPECT_THAT(RunFloats(*servable, Floats({1}, {3})), ElementsAre(6));
}

TEST(LiteRtServableTest, AFailedRequestLeavesTheNextAlone) {
  const auto servable = Load(TestModelPath("baked_batch"), {.num_interpreters = 1});
  EXPECT_FALSE(servable->signatures()[0].batch_of_one_is_free);
  const Tensor bad = Floats({3, 4}, std::vector<float>(12));
  const TensorView view = bad.view();  // past CheckInputs, which would refuse it
  for (int round = 0; round < 2; ++round) {
    servable->Run({.signature = &servable->signatures()[0], .inputs = std::span(&view, 1)},
                  [](const Status& status, std::span<const TensorView>) { EXPECT_EQ(status.code(), StatusCode::kInvalidArgument); });
    EXPECT_EQ(servable->RunOnEach(0, std::span(&view, 1)).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(RunFloats(*servable, Floats({1, 4}, {1, 2, 3, 4})), ElementsAre(4, 6));
}

TEST(LiteRtServableTest, WaitsForAnInterpreterUntilTheDeadline) {
  const auto servable = Load(TestModelPath("half_plus_two"), {.num_interpreters = 1});
  const Tensor input = Floats({1}, {2});
  const TensorView view = input.view();
  const RunRequest request{.signature = &servable->signatures()[0], .inputs = std::span(&view, 1), .deadline = Clock::Steady().Now()};
  Status inner;
  servable->Run({.signature = &servable->signatures()[0], .inputs = std::span(&view, 1)}, [&](const Status& status, std::span<const TensorView>) {
    EXPECT_TRUE(status.ok());
    EXPECT_FALSE(servable->RunsInline(10)) << "the only interpreter is busy";
    servable->Run(request, [&](const Status& refused, std::span<const TensorView>) { inner = refused; });
  });
  EXPECT_EQ(inner.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(inner.message(), HasSubstr("all 1 interpreters"));
}

TEST(LiteRtServableTest, NeverInlineWhereTimeIsUnknownOrLong) {
  EXPECT_FALSE(Load(TestModelPath("while_loop"))->RunsInline(1));
  EXPECT_FALSE(Load(TestModelPath("stateful"))->RunsInline(1));
  EXPECT_FALSE(Load(TestModelPath("half_plus_two"))->RunsInline(LiteRtServable::kInlineRequestBytes + 1));
}

// Every reading of this clock is `step` after the one before: so long does each run take.
class SteppingClock : public Clock {
 public:
  explicit SteppingClock(std::chrono::microseconds step) : step_(step) {}
  TimePoint Now() const override { return TimePoint(step_ * ++readings_); }

 private:
  const std::chrono::microseconds step_;
  mutable std::atomic<int64_t> readings_ = 0;
};

TEST(LiteRtServableTest, InlineWhereRunsAreShort) {
  const SteppingClock quick(kInlineTime);
  const SteppingClock slow(kInlineTime + std::chrono::microseconds(1));
  const auto fast = LiteRtServable::Create({"m", 1}, TestModelPath("half_plus_two"), {.num_interpreters = 1}, quick);
  const auto tardy = LiteRtServable::Create({"m", 1}, TestModelPath("half_plus_two"), {.num_interpreters = 1}, slow);
  EXPECT_TRUE((*fast)->RunsInline(100));
  EXPECT_FALSE((*tardy)->RunsInline(100));
}

TEST(LiteRtServableTest, HasTheInterpretersAndThreadsThatItIsTold) {
  const auto how = [](const RuntimeOptions& options) {
    const StatusOr<std::unique_ptr<LiteRtServable>> servable = LiteRtServable::Create({"m", 1}, TestModelPath("digits"), options);
    return servable.ok() ? (*servable)->parallelism().ToString() : servable.status().ToString();
  };
  const int cpus = UsableCpus();
  EXPECT_EQ(how({.num_interpreters = 3}), "3 interpreters of 1 thread (as configured)");
  EXPECT_EQ(how({.num_interpreters = 1, .threads_per_interpreter = 2}), "1 interpreter of 2 threads (as configured)");
  EXPECT_EQ(how({.threads_per_interpreter = cpus + 1}), fmt::format("1 interpreter of {} threads (as configured)", cpus + 1));
  EXPECT_EQ(how({.threads_per_interpreter = 1}), Parallelism{.interpreters = cpus}.ToString() + " (as configured)");
  EXPECT_THAT(how({}), StartsWith(Parallelism{.interpreters = cpus}.ToString() + " (auto: "));  // no trial
  EXPECT_THAT(how({.trial_program = TRIAL_PROGRAM}), HasSubstr("(auto: "));
}

TEST(LiteRtServableTest, KeptStateIsThatOfOneInterpreter) {
  const auto servable = Load(TestModelPath("stateful"), {.num_interpreters = 3, .keep_state = true});
  EXPECT_EQ(servable->parallelism().ToString(), "1 interpreter of 1 thread (with the model's state)");
}

TEST(LiteRtServableTest, ATrialThatDidNotMeasureIsNotEnoughForAuto) {
  KnownTrials known;
  const std::string path = TestModelPath("digits");
  const auto cpus_of_trial = [&](int num_interpreters) {
    const auto servable =
        LiteRtServable::Create({"m", 1}, path, {.num_interpreters = num_interpreters, .trial_program = TRIAL_PROGRAM, .known_trials = &known});
    return servable.ok() ? (*servable)->trial().parallelism.cpus : 0;
  };
  EXPECT_EQ(cpus_of_trial(1), 1);
  EXPECT_EQ(cpus_of_trial(0), UsableCpus());
  EXPECT_EQ(cpus_of_trial(1), UsableCpus());  // what is known is more than it needs
}

TEST(LiteRtServableTest, StepsBackForTheLoadUnlessThreadsOfItsOwnWouldKeepThat) {
  const auto niceness_after = [](const RuntimeOptions& options) {
    int niceness = 0;
    StartThread("load", [&] {
      EXPECT_TRUE(LiteRtServable::Create({"m", 1}, TestModelPath("half_plus_two"), options).ok());
      niceness = ::getpriority(PRIO_PROCESS, 0);
    }).join();
    return niceness;
  };
  const int before = ::getpriority(PRIO_PROCESS, 0);
  const int after = std::max(before, kTrialNiceness);
  EXPECT_EQ(niceness_after({.num_interpreters = 1, .niceness = kTrialNiceness}), after);
  EXPECT_EQ(niceness_after({.num_interpreters = 1, .threads_per_interpreter = 2, .niceness = kTrialNiceness}), before);
  EXPECT_EQ(niceness_after({.num_interpreters = 1}), before);
}

// Kernels share out rows and columns, and no sum.
TEST(LiteRtServableTest, ThreadsDoNotChangeTheAnswer) {
  const auto one = Load(TestModelPath("digits"), {.num_interpreters = 1, .threads_per_interpreter = 1});
  const auto four = Load(TestModelPath("digits"), {.num_interpreters = 1, .threads_per_interpreter = 4});
  std::mt19937 random(1);
  const std::vector<Tensor> inputs = *RandomInputs(one->model().graph().signatures[0], one->model().graph().words, 16, 1, random);
  std::vector<std::byte> expected;
  std::vector<std::byte> found;
  ASSERT_TRUE(CheckAndRun(*one, inputs, &expected).ok());
  ASSERT_TRUE(CheckAndRun(*four, inputs, &found).ok());
  EXPECT_EQ(expected, found);
}

TEST(LiteRtServableTest, FindsWhichFixedBatchesAreFree) {
  EXPECT_TRUE(Load(TestModelPath("fixed_batch_1"))->signatures()[0].batch_of_one_is_free);
  EXPECT_TRUE(Load(TestModelPath("half_plus_two_1x1"))->signatures()[0].batch_of_one_is_free);
  for (const std::string name : {"baked_batch", "baked_batch_2", "stateful", "scalar", "half_plus_two", "row_mixing"}) {
    EXPECT_FALSE(Load(TestModelPath(name))->signatures()[0].batch_of_one_is_free) << name;
  }
}

}  // namespace
}  // namespace tflite_serving
