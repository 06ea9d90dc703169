#include "runtime/batch_probe.h"

#include <string>

#include <gtest/gtest.h>

#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

TEST(BatchProbeTest, FreeWhereRowsDoNotDependOnEachOther) {
  EXPECT_TRUE(BatchOfOneIsFree(*OpenTestModel("fixed_batch_1"), 0));
  EXPECT_TRUE(BatchOfOneIsFree(*OpenTestModel("half_plus_two_1x1"), 0));
}

TEST(BatchProbeTest, NotFreeWhereTheGraphHasItBakedIn) { EXPECT_FALSE(BatchOfOneIsFree(*OpenTestModel("baked_batch"), 0)); }

// The same graph as row_mixing, whose softmax runs down the batch, but exported for one row.
TEST(BatchProbeTest, NotFreeWhereRowsMix) {
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
  EXPECT_FALSE(BatchOfOneIsFree(**model, 0));
}

TEST(BatchProbeTest, NothingToFreeWhereTheBatchIsOpenOrNotOne) {
  for (const std::string name : {"half_plus_two", "baked_batch_2", "scalar", "stateful"})
    EXPECT_FALSE(BatchOfOneIsFree(*OpenTestModel(name), 0)) << name;
}

}  // namespace
}  // namespace tflite_serving
