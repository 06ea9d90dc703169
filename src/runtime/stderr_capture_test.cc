#include "runtime/stderr_capture.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(StderrCaptureTest, CatchesWhatAnyoneWrites) {
  StderrCapture capture;
  std::fputs("by stdio\n", stderr);
  ASSERT_EQ(::write(STDERR_FILENO, "by descriptor\n", 14), 14);
  EXPECT_EQ(capture.Finish(), "by stdio\nby descriptor\n");
  EXPECT_EQ(capture.Finish(), "");
}

TEST(StderrCaptureTest, GivesStandardErrorBack) {
  testing::internal::CaptureStderr();
  {
    StderrCapture capture;
    std::fputs("kept\n", stderr);
    EXPECT_EQ(capture.Finish(), "kept\n");
    std::fputs("after\n", stderr);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "after\n");
}

TEST(StderrCaptureTest, LosesNothingIfForgotten) {
  testing::internal::CaptureStderr();
  {
    const StderrCapture capture;
    std::fputs("not taken\n", stderr);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "not taken\n");
}

}  // namespace
}  // namespace tflite_serving
