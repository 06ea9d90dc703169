#include "servable/model_spec.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(ModelSpecTest, TextsThatClientsSearchFor) {
  EXPECT_EQ((ModelSpec{.name = "m"}).ToString(), "Latest(m)");
  EXPECT_EQ((ModelSpec{.name = "m", .version = 5}).ToString(), "Specific(m, 5)");
  EXPECT_EQ((ServableId{"m", 1}).ToString(), "{name: m version: 1}");
  EXPECT_EQ(VersionStateName(VersionState::kEnd), "END");
}

}  // namespace
}  // namespace tflite_serving
