#include "runtime/model_trial.h"

#include <chrono>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::AnyOf;
using ::testing::StartsWith;

StatusOr<TrialReport> Try(const std::string& content, std::chrono::milliseconds time_limit = kModelTrialTimeLimit) {
  const auto file = SealedFile::FromBytes("m.tflite", AsBytes(content));
  EXPECT_TRUE(file.ok());
  return TryModel(TRIAL_PROGRAM, "m.tflite", **file, time_limit);
}

TEST(ModelTrialTest, SoundModelsPass) {
  for (const std::string name : {"half_plus_two", "multi_signature", "stateful", "string_cube", "fixed_batch_1", "baked_batch", "digits",
                                 "dynamic_signatures", "examples/sparse"}) {
    const StatusOr<TrialReport> report = Try(ReadTestModel(name));
    EXPECT_TRUE(report.ok()) << name << ": " << report.status().ToString();
    EXPECT_TRUE(report.ok() && report->rows_may_be_probed) << name;
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

TEST(ModelTrialTest, ACrashAfterTheModelRanOnlyForbidsTheProbe) {
  const StatusOr<TrialReport> report = Try("runs....");
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_FALSE(report->rows_may_be_probed);
}

TEST(ModelTrialTest, AModelThatNeverReturnsIsStopped) {
  const Status status = Try("sleep...", std::chrono::milliseconds(1)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "m.tflite: the model was still loading or running after 1 ms");
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
    const StatusOr<TrialReport> report = Try(corrupt, std::chrono::milliseconds(2000));
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
