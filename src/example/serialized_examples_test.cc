#include "example/serialized_examples.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(SerializedExamplesTest, EachBeginsWithTheContext) {
  SerializedExamples examples;
  ASSERT_TRUE(examples.Add("a").ok());
  examples.SetContext("ctx");
  ASSERT_TRUE(examples.Add("").ok());
  ASSERT_TRUE(examples.Add("bc").ok());
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(examples[0], "a");
  EXPECT_EQ(examples[1], "ctx");
  EXPECT_EQ(examples[2], "ctxbc");
  examples.Clear();
  EXPECT_EQ(examples.size(), 0u);
  ASSERT_TRUE(examples.Add("d").ok());
  EXPECT_EQ(examples[0], "d");
}

TEST(SerializedExamplesTest, TheContextIsNotRepeatedWithoutEnd) {
  constexpr size_t kCopies = 4;
  SerializedExamples examples;
  const std::string large(2 * SerializedExamples::kMaxContextCopiesBytes, 'e');
  ASSERT_TRUE(examples.Add(large).ok()) << "what the request carries itself is not counted";
  examples.SetContext(std::string(SerializedExamples::kMaxContextCopiesBytes / kCopies, 'c'));
  for (size_t i = 0; i < kCopies; ++i) ASSERT_TRUE(examples.Add("").ok());
  EXPECT_EQ(examples.Add("").code(), StatusCode::kResourceExhausted);
  examples.Clear();
  examples.SetContext("c");
  EXPECT_TRUE(examples.Add("").ok());
}

}  // namespace
}  // namespace tflite_serving
