#include "lifecycle/manager.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

StatusOr<ServableHandle> LoadFake(const ServableId& id, const std::string& path) {
  if (path.find("bad") != std::string::npos) return InvalidArgumentError("a bad model");
  return ServableHandle(std::make_shared<FakeServable>(id, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})}));
}

TEST(ManagerTest, LoadsTheHighestVersionAndFindsIt) {
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  directory.Write("12/model.tflite", "x");
  directory.Write("3/model.tflite", "x");
  Manager manager(LoadFake);
  ASSERT_TRUE(manager.AddModel("m", directory.path()).ok());

  EXPECT_EQ((*manager.GetServable({.name = "m"}))->id(), (ServableId{"m", 12}));
  EXPECT_EQ((*manager.GetServable({.name = "m", .version = 12}))->id().version, 12);
  EXPECT_THAT(manager.ListModels(), ElementsAre("m"));
  ASSERT_EQ(manager.GetVersionStatuses("m").size(), 1u);
  EXPECT_EQ(manager.GetVersionStatuses("m")[0].state, VersionState::kAvailable);
}

TEST(ManagerTest, SaysWhatWasNotFound) {
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  Manager manager(LoadFake);
  ASSERT_TRUE(manager.AddModel("m", directory.path()).ok());
  EXPECT_EQ(manager.GetServable({.name = "other"}).status(), NotFoundError("Servable not found for request: Latest(other)"));
  EXPECT_EQ(manager.GetServable({.name = "m", .version = 5}).status(), NotFoundError("Servable not found for request: Specific(m, 5)"));
  EXPECT_EQ(manager.GetServable({.name = "m", .version_label = "stable"}).status(),
            InvalidArgumentError("Unrecognized servable version label: stable"));
  EXPECT_TRUE(manager.GetVersionStatuses("other").empty());
}

TEST(ManagerTest, AFailedLoadEndsWithItsReason) {
  const TemporaryDirectory directory;
  directory.Write("7/bad.tflite", "x");
  Manager manager(LoadFake);
  EXPECT_EQ(manager.AddModel("m", directory.path()), InvalidArgumentError("a bad model"));
  const std::vector<VersionStatus> statuses = manager.GetVersionStatuses("m");
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].version, 7);
  EXPECT_EQ(statuses[0].state, VersionState::kEnd);
  EXPECT_EQ(statuses[0].status, InvalidArgumentError("a bad model"));
  EXPECT_EQ(manager.GetServable({.name = "m"}).status().code(), StatusCode::kNotFound);
}

TEST(ManagerTest, EachChangeOfAStateIsTold) {
  const TemporaryDirectory directory;
  directory.Write("good/1/model.tflite", "x");
  directory.Write("bad/1/model.tflite", "x");
  std::vector<VersionState> states;
  std::string name;
  Manager manager(LoadFake, [&] { states.push_back(manager.GetVersionStatuses(name)[0].state); });
  name = "good";
  ASSERT_TRUE(manager.AddModel(name, directory.path() + "/good").ok());
  name = "bad";
  ASSERT_FALSE(manager.AddModel(name, directory.path() + "/bad").ok());
  EXPECT_THAT(states, ElementsAre(VersionState::kLoading, VersionState::kAvailable, VersionState::kLoading, VersionState::kEnd));
}

TEST(ManagerTest, AMissingPathIsNamed) {
  Manager manager(LoadFake);
  EXPECT_THAT(manager.AddModel("m", "/no/such/path").message(), HasSubstr("/no/such/path"));
}

TEST(ManagerTest, AHandleOutlivesTheManager) {
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  auto manager = std::make_unique<Manager>(LoadFake);
  ASSERT_TRUE(manager->AddModel("m", directory.path()).ok());
  const ServableHandle handle = *manager->GetServable({.name = "m"});
  manager.reset();
  EXPECT_EQ(handle->id().name, "m");
}

}  // namespace
}  // namespace tflite_serving
