#include "runtime/batch_probe.h"

#include <string>

#include <gtest/gtest.h>

#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

bool Identical(const std::string& name) { return TryRows(*OpenTestModel(name), 0).identical; }
bool Alike(const std::string& name) { return TryRows(*OpenTestModel(name), 0).alike; }

TEST(BatchProbeTest, RowsThatDoNotTouchEachOtherAreIdentical) {
  for (const std::string name : {"fixed_batch_1", "half_plus_two_1x1", "half_plus_two", "digits", "string_cube", "string_equal", "string_lookup",
                                 "string_reshape", "type_string", "examples/dense"}) {
    EXPECT_TRUE(Identical(name)) << name;
    EXPECT_TRUE(Alike(name)) << name;
  }
}

TEST(BatchProbeTest, NotWhereTheGraphHasTheBatchBakedIn) { EXPECT_FALSE(Alike("baked_batch")); }

// A softmax runs down the batch.
TEST(BatchProbeTest, NotWhereRowsMix) {
  EXPECT_FALSE(Alike("row_mixing"));
  EXPECT_FALSE(Identical("row_mixing"));
}

TEST(BatchProbeTest, NotWhereRowsMixThatHoldAWordOfTheFile) { EXPECT_FALSE(Alike("string_mixing")); }

TEST(BatchProbeTest, NotWhereRowsChangePlaces) { EXPECT_FALSE(Alike("rows_reversed")); }

// The same graph exported for one row.
TEST(BatchProbeTest, NotWhereRowsOfAFixedBatchMix) {
  std::string bytes = ReadTestModel("row_mixing");
  const std::string open_shape("\x02\0\0\0\xff\xff\xff\xff\x04\0\0\0", 12);  // a vector of two: -1, 4
  const std::string fixed_shape("\x02\0\0\0\x01\0\0\0\x04\0\0\0", 12);
  int replaced = 0;
  for (size_t at = bytes.find(open_shape); at != std::string::npos; at = bytes.find(open_shape)) {
    bytes.replace(at, fixed_shape.size(), fixed_shape);
    ++replaced;
  }
  ASSERT_GT(replaced, 0);
  const auto model = Model::Open("m", AsBytes(bytes));
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  ASSERT_EQ((*model)->graph().signatures[0].signature.inputs[0].shape, Shape({1, 4}));
  EXPECT_FALSE(TryRows(**model, 0).alike);
}

TEST(BatchProbeTest, NothingToTryWithoutRowsOrWithState) {
  for (const std::string name : {"baked_batch_2", "scalar", "stateful", "stateful_batch"}) EXPECT_FALSE(Alike(name)) << name;
}

TEST(BatchProbeTest, OnlyABatchOfOneIsOneThatTheFileFixes) {
  EXPECT_TRUE(FixesBatchOfOne(OpenTestModel("fixed_batch_1")->graph().signatures[0].signature));
  EXPECT_FALSE(FixesBatchOfOne(OpenTestModel("half_plus_two")->graph().signatures[0].signature));
  EXPECT_FALSE(FixesBatchOfOne(OpenTestModel("baked_batch_2")->graph().signatures[0].signature));
}

}  // namespace
}  // namespace tflite_serving
