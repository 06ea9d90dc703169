#include "lifecycle/version_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = VersionPolicy::Kind;

std::vector<StorageVersion> Found(const std::vector<int64_t>& versions) {
  std::vector<StorageVersion> found;
  for (const int64_t version : versions) found.push_back({.version = version});
  return found;
}

std::vector<int64_t> Choose(const VersionPolicy& policy, const std::vector<int64_t>& versions) {
  std::vector<int64_t> chosen;
  for (const StorageVersion& version : ChooseVersions(policy, Found(versions))) chosen.push_back(version.version);
  return chosen;
}

TEST(VersionPolicyTest, LatestTakesTheHighest) {
  EXPECT_THAT(Choose({}, {1, 5, 7}), ElementsAre(7));
  EXPECT_THAT(Choose({.num_versions = 2}, {1, 5, 7}), ElementsAre(5, 7));
  EXPECT_THAT(Choose({.num_versions = 4}, {1, 5, 7}), ElementsAre(1, 5, 7));
}

TEST(VersionPolicyTest, AllTakesAll) { EXPECT_THAT(Choose({.kind = Kind::kAll}, {1, 5, 7}), ElementsAre(1, 5, 7)); }

TEST(VersionPolicyTest, SpecificTakesThoseThatAreThere) {
  EXPECT_THAT(Choose({.kind = Kind::kSpecific, .versions = {7, 2, 1}}, {1, 5, 7}), ElementsAre(1, 7));
  EXPECT_THAT(Choose({.kind = Kind::kSpecific, .versions = {2}}, {1, 5, 7}), IsEmpty());
}

TEST(VersionPolicyTest, TellsWhichOfTheSpecificOnesAreMissing) {
  EXPECT_THAT(MissingVersions({.kind = Kind::kSpecific, .versions = {9, 7, 2}}, Found({1, 5, 7})), ElementsAre(2, 9));
  EXPECT_THAT(MissingVersions({.kind = Kind::kAll, .versions = {9}}, Found({1})), IsEmpty());
}

}  // namespace
}  // namespace tflite_serving
