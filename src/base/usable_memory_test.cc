#include "base/usable_memory.h"

#include <limits>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(UsableMemoryTest, ALimitIsReadAndNoneIsNone) {
  EXPECT_EQ(ParseMemoryMax("1073741824\n"), size_t{1} << 30);
  EXPECT_EQ(ParseMemoryMax("max\n"), std::numeric_limits<size_t>::max());
  EXPECT_EQ(ParseMemoryMax(""), std::numeric_limits<size_t>::max());
}

TEST(UsableMemoryTest, ThisProcessMayUseSome) {
  EXPECT_GT(UsableMemoryBytes(), size_t{16} << 20);
  EXPECT_LT(UsableMemoryBytes(), size_t{1} << 50);
}

}  // namespace
}  // namespace tflite_serving
