// The manager with base paths that are elsewhere.
#include <atomic>
#include <future>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fake_file_system.h"
#include "base/remote_files.h"
#include "lifecycle/manager.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TimePoint Patience() { return Clock::Steady().Now() + std::chrono::seconds(60); }

class UrlFileSystem : public FakeFileSystem {
 public:
  bool has_urls() const override { return true; }
  StatusOr<FileStamp> Stamp(const std::string& path) const override {
    TFLS_ASSIGN_OR_RETURN(const FileKind kind, Kind(path));
    return kind == FileKind::kDirectory ? FileStamp{.inode = 1} : FakeFileSystem::Stamp(path);
  }
};

// Files below "far:", which a test changes while nobody looks, and that hang when it says so.
class FakeRemoteFiles : public RemoteFiles {
 public:
  bool Holds(std::string_view path) const override { return path.starts_with("far:"); }
  std::unique_ptr<const FileSystem> Look(const std::string& path, const Cancellation& stop) override {
    Pass(path, stop);
    const MutexLock lock(mutex_);
    ++num_looks_;
    looked_.NotifyAll();
    return std::make_unique<UrlFileSystem>(files_);
  }
  StatusOr<LocalCopy> Fetch(const FetchRequest& request, const Cancellation& stop) override {
    Pass(request.path, stop);
    const MutexLock lock(mutex_);
    requests_.push_back(fmt::format("{}{}{}", request.path, request.is_directory ? " directory" : "", request.is_alone ? " alone" : ""));
    if (request.path.find("lost") != std::string::npos) return UnavailableError("lost");
    const StatusOr<FileStamp> stamp = request.is_directory ? FileStamp{} : files_.Stamp(request.path);
    if (!stamp.ok() || (!request.is_directory && *stamp != request.stamp)) return UnavailableError("changed");
    return LocalCopy{.path = "/cache/" + request.path, .stamp = {.inode = 7}, .lease = leases_};
  }
  milliseconds look_interval() const override { return interval_; }

  void Write(const std::string& path) {
    const MutexLock lock(mutex_);
    files_.Write(path);
  }
  void Hang(const std::string& path) {
    const MutexLock lock(mutex_);
    hanging_ = path;
  }
  std::vector<std::string> requests() {
    const MutexLock lock(mutex_);
    return requests_;
  }
  bool WaitForLooks(int count) {
    const MutexLock lock(mutex_);
    while (num_looks_ < count) {
      if (!looked_.WaitUntil(mutex_, Patience())) return false;
    }
    return true;
  }
  long num_leases() const { return leases_.use_count() - 1; }
  void set_interval(milliseconds interval) { interval_ = interval; }

 private:
  // Waits as long as this path hangs.
  void Pass(const std::string& path, const Cancellation& stop) {
    const MutexLock lock(mutex_);
    while (!hanging_.empty() && path.starts_with(hanging_) && !stop.cancelled()) looked_.WaitUntil(mutex_, Clock::Steady().Now() + milliseconds(10));
  }

  std::atomic<milliseconds> interval_ = milliseconds(0);
  const std::shared_ptr<const int> leases_ = std::make_shared<const int>(0);
  Mutex mutex_;
  CondVar looked_;
  UrlFileSystem files_ TFLS_GUARDED_BY(mutex_);
  std::string hanging_ TFLS_GUARDED_BY(mutex_);
  std::vector<std::string> requests_ TFLS_GUARDED_BY(mutex_);
  int num_looks_ TFLS_GUARDED_BY(mutex_) = 0;
};

class ManagerRemoteTest : public testing::Test {
 protected:
  void SetUp() override {
    manager_ = std::make_unique<Manager>(
        [this](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
          const MutexLock lock(mutex_);
          loaded_.push_back(path);
          return ServableHandle(std::make_shared<FakeServable>(id, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})}));
        },
        ManagerOptions{.rules = {.max_load_retries = 0, .settle_time = milliseconds(0)}, .num_load_threads = 1, .remote = &remote_},
        [](const std::string&) {}, files_);
  }
  Status Set(const std::vector<ModelConfig>& models, const ConfigRules& rules = {}) { return manager_->SetModels(models, rules).status(); }
  bool AtRest(const std::string& name) { return manager_->WaitUntilAtRest(std::vector<std::string>{name}, Patience()); }
  std::vector<std::string> loaded() {
    const MutexLock lock(mutex_);
    return loaded_;
  }

  FakeFileSystem files_;
  FakeRemoteFiles remote_;
  Mutex mutex_;
  std::vector<std::string> loaded_ TFLS_GUARDED_BY(mutex_);
  std::unique_ptr<Manager> manager_;
};

TEST_F(ManagerRemoteTest, FetchesWhatItLoadsAndKeepsItAsLongAsItServes) {
  remote_.Write("far:m/1/model.tflite");
  remote_.Write("far:m/2/model.tflite");
  remote_.Write("far:one.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "far:m"}, {.name = "one", .base_path = "far:one.tflite"}}).ok());
  ASSERT_TRUE(AtRest("m") && AtRest("one"));
  EXPECT_THAT(remote_.requests(), testing::UnorderedElementsAre("far:m/2/model.tflite", "far:one.tflite alone"));
  EXPECT_THAT(loaded(), testing::UnorderedElementsAre("/cache/far:m/2/model.tflite", "/cache/far:one.tflite"));
  EXPECT_GE(remote_.num_leases(), 2);  // and those of the loading threads, for a moment
  StatusOr<ServableHandle> servable = manager_->GetServable({.name = "m"});
  EXPECT_EQ((*servable)->id().version, 2);
  ASSERT_TRUE(Set({}).ok());
  manager_ = nullptr;
  EXPECT_EQ(remote_.num_leases(), 1);  // a request still has it
  servable = NotFoundError("");
  EXPECT_EQ(remote_.num_leases(), 0);
}

TEST_F(ManagerRemoteTest, CustomServablesAreFetchedWithTheirDirectory) {
  remote_.Write("far:m/3/wrapper.py");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "far:m", .load_options = {.tflite = {}, .custom = CustomModel{.module_path = "wrapper.py"}}}}).ok());
  ASSERT_TRUE(AtRest("m"));
  EXPECT_THAT(remote_.requests(), ElementsAre("far:m/3 directory"));
}

TEST_F(ManagerRemoteTest, WhatHangsHoldsUpNobody) {
  remote_.Hang("far:");
  files_.Write("/near/1/model.tflite");
  std::vector<ModelConfig> models = {{.name = "near", .base_path = "/near"}};
  for (int i = 0; i < 20; ++i) models.push_back({.name = fmt::format("far{}", i), .base_path = fmt::format("far:{}", i)});
  ASSERT_TRUE(Set(models).ok());
  EXPECT_TRUE(AtRest("near"));
  EXPECT_TRUE(manager_->GetServable({.name = "near"}).ok());
  EXPECT_EQ(manager_->GetServable({.name = "far0"}).status().code(), StatusCode::kUnavailable);  // who knows
  remote_.Hang("far:0");
  EXPECT_TRUE(AtRest("far19"));
  manager_ = nullptr;  // and the end does not wait for it
}

TEST_F(ManagerRemoteTest, AReloadLooksFirst) {
  remote_.Write("far:m/1/model.tflite");
  const Status status = Set({{.name = "m", .base_path = "far:m"}, {.name = "none", .base_path = "far:none"}}, {.paths_must_exist = true});
  EXPECT_THAT(status.message(), HasSubstr("Could not find base path far:none for servable none"));
  EXPECT_FALSE(manager_->HasModel("m"));
  ASSERT_TRUE(Set({{.name = "m", .base_path = "far:m", .labels = {{"stable", 1}}}}, {.paths_must_exist = true}).ok());
  ASSERT_TRUE(AtRest("m"));
  EXPECT_EQ(Set({{.name = "m", .base_path = "far:m", .labels = {{"stable", 2}}}}, {.paths_must_exist = true}).code(),
            StatusCode::kFailedPrecondition);
  const std::vector<std::string> requests = remote_.requests();
  remote_.Hang("far:");  // what has not changed is not looked at
  EXPECT_TRUE(Set({{.name = "m", .base_path = "far:m", .labels = {{"stable", 1}}}}, {.paths_must_exist = true}).ok());
  EXPECT_EQ(remote_.requests(), requests);
}

TEST_F(ManagerRemoteTest, LooksAgain) {
  remote_.set_interval(milliseconds(1));
  remote_.Write("far:m/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "far:m"}}).ok());
  manager_->StartPolling(milliseconds(0));
  ASSERT_TRUE(AtRest("m"));
  remote_.Write("far:m/2/model.tflite");
  while (!manager_->GetServable({.name = "m", .version = 2}).ok()) ASSERT_TRUE(remote_.WaitForLooks(1));
  ASSERT_TRUE(remote_.WaitForLooks(10));
}

TEST_F(ManagerRemoteTest, WhatCannotBeFetchedIsAFailedLoad) {
  remote_.Write("far:m/1/lost.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "far:m"}}).ok());
  ASSERT_TRUE(AtRest("m"));
  const std::vector<VersionStatus> statuses = manager_->GetVersionStatuses("m");
  ASSERT_EQ(statuses.size(), 1U);
  EXPECT_EQ(statuses[0].state, VersionState::kEnd);
  EXPECT_EQ(statuses[0].status, UnavailableError("lost"));
  EXPECT_THAT(loaded(), testing::IsEmpty());
}

}  // namespace
}  // namespace tflite_serving
