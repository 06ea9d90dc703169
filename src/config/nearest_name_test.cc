#include "config/nearest_name.h"

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::Eq;
using ::testing::Optional;

constexpr std::array<std::string_view, 5> kNames = {"port", "rest_api_port", "model_name", "model_names", "keep_state"};

std::optional<std::string_view> Nearest(std::string_view typed) { return NearestName(typed, kNames); }

TEST(NearestNameTest, FindsEachKindOfSlip) {
  EXPECT_THAT(Nearest("rest_api_prot"), Optional(Eq("rest_api_port")));   // swapped
  EXPECT_THAT(Nearest("rest_api_pport"), Optional(Eq("rest_api_port")));  // one too many
  EXPECT_THAT(Nearest("rest_api_prt"), Optional(Eq("rest_api_port")));    // one missing
  EXPECT_THAT(Nearest("rest_apx_port"), Optional(Eq("rest_api_port")));   // one wrong
}

TEST(NearestNameTest, CaseAndDashesAreNoErrors) {
  EXPECT_THAT(Nearest("REST-API-PORT"), Optional(Eq("rest_api_port")));
  EXPECT_THAT(Nearest("Port"), Optional(Eq("port")));
  EXPECT_THAT(NearestName("A-B-C", std::array<std::string_view, 1>{"a_b_c"}), Optional(Eq("a_b_c")));
}

TEST(NearestNameTest, AllowsOneErrorForThreeCharactersAndNotOneMore) {
  EXPECT_THAT(Nearest("pxrt"), Optional(Eq("port")));
  EXPECT_THAT(Nearest("pxxt"), Eq(std::nullopt));
  EXPECT_THAT(Nearest("keexxxtate"), Optional(Eq("keep_state")));
  EXPECT_THAT(Nearest("keexxxxate"), Eq(std::nullopt));
  // A swap is one error, not two: three of them fit into ten characters.
  EXPECT_THAT(Nearest("ekpes_tate"), Optional(Eq("keep_state")));
}

TEST(NearestNameTest, TheNearestWinsAndThenTheFirst) {
  EXPECT_THAT(Nearest("model_names"), Optional(Eq("model_names")));
  EXPECT_THAT(Nearest("model_nam"), Optional(Eq("model_name")));
  EXPECT_THAT(NearestName("pert", std::array<std::string_view, 2>{"part", "port"}), Optional(Eq("part")));
}

TEST(NearestNameTest, FarWordsFindNothing) {
  EXPECT_THAT(Nearest(""), Eq(std::nullopt));
  EXPECT_THAT(Nearest("po"), Eq(std::nullopt));
  EXPECT_THAT(Nearest("flavour"), Eq(std::nullopt));
  EXPECT_THAT(Nearest(std::string(1 << 20, 'x')), Eq(std::nullopt));
  EXPECT_THAT(NearestName("port", {}), Eq(std::nullopt));
}

}  // namespace
}  // namespace tflite_serving
