#include "runtime/known_trials.h"

#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(KnownTrials, KnowsAFileByItsPathAndItsBytes) {
  KnownTrials known;
  EXPECT_FALSE(known.Find("/m", Bytes("abc")));
  known.Add("/m", Bytes("abc"), {.interpreter_bytes = 7});
  ASSERT_TRUE(known.Find("/m", Bytes("abc")));
  EXPECT_EQ(known.Find("/m", Bytes("abc"))->interpreter_bytes, 7u);
  EXPECT_FALSE(known.Find("/m", Bytes("abd")));
  EXPECT_FALSE(known.Find("/m", Bytes("abcd")));
  EXPECT_FALSE(known.Find("/n", Bytes("abc")));
}

TEST(KnownTrials, KnowsTheLastOne) {
  KnownTrials known;
  known.Add("/m", Bytes("abc"), {.interpreter_bytes = 7});
  known.Add("/m", Bytes("xyz"), {.interpreter_bytes = 8});
  EXPECT_FALSE(known.Find("/m", Bytes("abc")));
  EXPECT_EQ(known.Find("/m", Bytes("xyz"))->interpreter_bytes, 8u);
}

TEST(KnownTrials, IsBounded) {
  KnownTrials known;
  for (size_t i = 0; i <= KnownTrials::kMaxFiles; ++i) known.Add(fmt::format("/{}", i), Bytes("abc"), {});
  EXPECT_FALSE(known.Find("/0", Bytes("abc")));
  EXPECT_TRUE(known.Find(fmt::format("/{}", KnownTrials::kMaxFiles), Bytes("abc")));
}

}  // namespace
}  // namespace tflite_serving
