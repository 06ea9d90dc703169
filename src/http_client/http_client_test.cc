#include "http_client/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(IsHttpHeaderTest, NamesAreTokensAndValuesHaveNoControls) {
  EXPECT_TRUE(IsHttpHeader("X-Api-Key", "a b\"c\""));
  EXPECT_FALSE(IsHttpHeader("", "a"));
  EXPECT_FALSE(IsHttpHeader("a b", "a"));
  EXPECT_FALSE(IsHttpHeader("a", "b\r\nc: d"));
}

}  // namespace
}  // namespace tflite_serving
