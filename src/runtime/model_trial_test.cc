#include "runtime/model_trial.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::AnyOf;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr std::chrono::milliseconds kNotLong{1};

StatusOr<TrialReport> Try(const std::string& content, const TrialLimits& limits = {}, const Cancellation* stop = nullptr) {
  const auto file = SealedFile::FromBytes("m.tflite", AsBytes(content));
  EXPECT_TRUE(file.ok());
  return TryModel(TRIAL_PROGRAM, "m.tflite", **file, limits, stop);
}

TEST(ModelTrialTest, SoundModelsPass) {
  for (const std::string name : {"half_plus_two", "multi_signature", "stateful", "string_cube", "fixed_batch_1", "baked_batch", "digits",
                                 "dynamic_signatures", "examples/sparse"}) {
    const StatusOr<TrialReport> report = Try(ReadTestModel(name));
    ASSERT_TRUE(report.ok()) << name << ": " << report.status().ToString();
    EXPECT_EQ(report->rows.size(), OpenTestModel(name)->graph().signatures.size()) << name;
    EXPECT_GT(report->load_time.count(), 0) << name;
    EXPECT_GT(report->peak_memory_bytes, size_t{1} << 20) << name;
    EXPECT_GT(report->interpreter_bytes, 0U) << name;
    EXPECT_LT(report->interpreter_bytes, report->peak_memory_bytes) << name;
  }
}

TEST(ModelTrialTest, TellsWhoseRowsMayShareARun) {
  for (const std::string name : {"half_plus_two", "fixed_batch_1", "digits", "digits_int8", "string_cube", "string_equal"}) {
    const StatusOr<TrialReport> report = Try(ReadTestModel(name));
    ASSERT_TRUE(report.ok()) << name << ": " << report.status().ToString();
    EXPECT_TRUE(report->rows[0].identical) << name;
  }
  for (const std::string name : {"row_mixing", "string_mixing", "baked_batch", "stateful"}) {
    const StatusOr<TrialReport> report = Try(ReadTestModel(name));
    ASSERT_TRUE(report.ok()) << name << ": " << report.status().ToString();
    EXPECT_FALSE(report->rows[0].identical) << name;
  }
}

TEST(ModelTrialTest, ErrorsComeBackAsTheyAre) {
  const Status type = Try(ReadTestModel("type_complex128")).status();
  EXPECT_EQ(type.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(type.message(), StartsWith("m.tflite: input tensor \"x\" has element type COMPLEX128"));
  const Status version = Try(ReadTestModel("refused/new_version")).status();
  EXPECT_EQ(version.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(
      version.message(),
      "m.tflite: the runtime lacks an operator of the model: ABS v99 at operator 0 of subgraph 0 \"main\" (output tensor \"y\"); it knows older "
      "versions of it only");
  const Status fixed = Try(ReadTestModel("baked_batch_2")).status();
  EXPECT_TRUE(fixed.ok()) << fixed.ToString();
  const Status text = Try("not a model at all").status();
  EXPECT_EQ(text.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(text.message(), StartsWith("m.tflite: not a sound .tflite file"));
}

TEST(ModelTrialTest, ACrashIsAnErrorThatNamesTheSignal) {
  const Status status = Try("abort...").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "m.tflite: the model ended the process that tried it (SIGABRT)");
  EXPECT_EQ(Try("exit....").status().message(), "m.tflite: the model ended the process that tried it (exit status 3)");
}

TEST(ModelTrialTest, EverySignalThatAProcessBringsOnItselfIsAVerdict) {
  EXPECT_EQ(Try("segv....").status(), InvalidArgumentError("m.tflite: the model ended the process that tried it (SIGSEGV)"));
  EXPECT_EQ(Try("bus.....").status(), InvalidArgumentError("m.tflite: the model ended the process that tried it (SIGBUS)"));
}

TEST(ModelTrialTest, BeingKilledSaysNothingOfTheModel) {
  EXPECT_EQ(Try("kill....").status(), UnavailableError("m.tflite: the trial of the model was killed (SIGKILL)"));
  EXPECT_EQ(Try("term....").status(), UnavailableError("m.tflite: the trial of the model was killed (SIGTERM)"));
  EXPECT_EQ(Try("run.kill").status(), UnavailableError("m.tflite: the trial of the model was killed (SIGKILL)"));
}

// Closed pipe, live process: nobody waits for it.
TEST(ModelTrialTest, AProcessThatOnlyClosesItsPipeIsEnded) { EXPECT_EQ(Try("closes..").status().code(), StatusCode::kUnavailable); }

TEST(ModelTrialTest, WhatGoesWrongAfterTheModelRanOnlyForbidsToBatchIt) {
  // Processor time, since the machine may be busy: enough for any build of the program to start.
  for (const auto& [content, limits] : {std::pair("run.abrt", TrialLimits()), std::pair("run.spin", TrialLimits{.cpu_time = std::chrono::seconds(1)}),
                                        std::pair("run.mem.", TrialLimits{.memory_bytes = size_t{256} << 20})}) {
    const StatusOr<TrialReport> report = Try(content, limits);
    ASSERT_TRUE(report.ok()) << content << ": " << report.status().ToString();
    EXPECT_EQ(report->load_time, std::chrono::microseconds(5));
    EXPECT_EQ(report->peak_memory_bytes, 4096U);
    EXPECT_EQ(report->interpreter_bytes, 7U);
    ASSERT_EQ(report->rows.size(), 1U);
    EXPECT_TRUE(report->rows[0].alike);
    EXPECT_FALSE(report->rows[0].identical);
  }
}

TEST(ModelTrialTest, TellsWhatWasMeasured) {
  const auto measured = [](const std::string& content) { return Try(content, {.cpus = 2})->parallelism; };
  const ParallelismTrial fast = measured("run.fast");
  EXPECT_EQ(fast.cpus, 2);
  EXPECT_EQ(fast.one_run, std::chrono::nanoseconds(1500));
  EXPECT_TRUE(fast.measured.empty());
  EXPECT_EQ(ChooseParallelism(measured("run.slow")).ToString(), "2 interpreters of 1 thread (auto: 286 runs/s; 1 of 1: 143)");
  EXPECT_EQ(measured("run.abrt").one_run.count(), 0);
  const ParallelismTrial unasked = Try(ReadTestModel("digits"))->parallelism;
  EXPECT_EQ(unasked.cpus, 1);
  EXPECT_EQ(unasked.one_run.count(), 0);
  EXPECT_GT(measured(ReadTestModel("digits")).one_run.count(), 0);
}

TEST(ModelTrialTest, AModelThatNeverReturnsIsStopped) {
  EXPECT_EQ(Try("sleep...", {.time = kNotLong}).status(), UnavailableError("m.tflite: the model was still loading or running after 1 ms"));
  EXPECT_EQ(Try("spin....", {.cpu_time = kNotLong}).status(),
            InvalidArgumentError("m.tflite: the model was still loading or running after 1 ms of processor time (--trial_cpu_seconds)"));
}

// The only child of the thread `tid` of this process, as soon as there is one.
pid_t WaitForChild(pid_t tid) {
  for (;;) {
    std::ifstream children("/proc/self/task/" + std::to_string(tid) + "/children");
    if (pid_t child = 0; children >> child) return child;
    std::this_thread::yield();
  }
}

TEST(ModelTrialTest, AChildThatIsKilledFromOutsideSaysNothingOfTheModel) {
  const std::jthread killer([tid = ::gettid()] { ::kill(WaitForChild(tid), SIGKILL); });
  EXPECT_EQ(Try("sleep...").status(), UnavailableError("m.tflite: the trial of the model was killed (SIGKILL)"));
}

TEST(ModelTrialTest, ATrialMayBeGivenUp) {
  Cancellation stop;
  stop.Cancel();
  EXPECT_EQ(Try("sleep...", {}, &stop).status(), CancelledError("m.tflite: the trial of the model was given up"));
}

TEST(ModelTrialTest, AModelThatTakesTooMuchMemoryIsStopped) {
  const Status watched = Try("memory..", {.memory_bytes = size_t{256} << 20}).status();
  EXPECT_EQ(watched.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(watched.message(), MatchesRegex("m.tflite: loading and running the model takes [0-9]+ MiB of memory, where 256 MiB are allowed"));
}

// What the child counted itself holds, however quick it was.
TEST(ModelTrialTest, TheChildsOwnCountIsHeldAgainstTheLimit) {
  EXPECT_TRUE(Try("run.1gib", {.memory_bytes = size_t{1} << 30}).ok());
  EXPECT_EQ(Try("run.1gib", {.memory_bytes = (size_t{1} << 30) - 1}).status(),
            ResourceExhaustedError("m.tflite: loading and running the model takes 1024 MiB of memory, where 1023 MiB are allowed"));
}

TEST(ModelTrialTest, TheChildStepsBackForTheServer) {
  const int niceness = std::max(::getpriority(PRIO_PROCESS, 0), kTrialNiceness);
  EXPECT_EXIT(
      {
        constexpr std::array kArguments = {"--internal_model_trial=-1,1"};
        RunModelTrial(kArguments);
        ::_exit(::getpriority(PRIO_PROCESS, 0));
      },
      ::testing::ExitedWithCode(niceness), "");
}

TEST(ModelTrialTest, AProgramThatIsNotThereIsAnError) {
  const auto file = SealedFile::FromBytes("m.tflite", AsBytes(std::string("any")));
  EXPECT_EQ(TryModel("/nonexistent/program", "m.tflite", **file).status().code(), StatusCode::kNotFound);
}

// Bit flips, truncations and zeroed spans: whatever they do to the child, here they are a model or an error.
TEST(ModelTrialTest, CorruptFilesNeverEndThisProcess) {
  const std::string sound = ReadTestModel("half_plus_two");
  std::mt19937 random(3);
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    std::string corrupt = sound;
    if (i % 3 == 0) {
      FlipBits(corrupt, random);
    } else if (i % 3 == 1) {
      corrupt.resize(corrupt.size() - 1 - random() % 200);
    } else {
      corrupt.replace(random() % (corrupt.size() - 16), 16, 16, '\0');
    }
    const StatusOr<TrialReport> report = Try(corrupt, {.cpu_time = std::chrono::milliseconds(2000)});
    if (report.ok()) continue;
    ++refused;
    EXPECT_THAT(report.status().code(),
                AnyOf(StatusCode::kInvalidArgument, StatusCode::kUnimplemented, StatusCode::kInternal, StatusCode::kResourceExhausted))
        << report.status().ToString();
    EXPECT_THAT(report.status().message(), StartsWith("m.tflite: "));
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace tflite_serving
