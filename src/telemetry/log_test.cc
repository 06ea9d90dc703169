#include "telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

TEST(LogTest, WritesOneLineWithTimeLevelAndPlace) {
  testing::internal::CaptureStderr();
  TFLS_INFO("model {} at version {}", "digits", 3);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9-]+ [0-9:]+\\.[0-9]+: I telemetry/log_test.cc:[0-9]+\\] model digits at version 3\n"));
}

TEST(LogTest, ARequestCannotForgeALine) {
  testing::internal::CaptureStderr();
  TFLS_ERROR("unknown model {}", "a\nE forged\x1b[31m");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), EndsWith("unknown model a\\nE forged\\x1b[31m\n"));
}

TEST(LogTest, DropsWhatIsBelowTheLevel) {
  testing::internal::CaptureStderr();
  TFLS_DEBUG("hidden");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
}

}  // namespace
}  // namespace tflite_serving
