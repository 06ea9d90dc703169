#include "lifecycle/manager.h"

#include <future>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fake_file_system.h"
#include "base/temporary_directory.h"
#include "servable/fake_servable.h"
#include "telemetry/metrics.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Long enough for any machine: waits end with an event, and this only ends a test that has failed.
TimePoint Patience() { return Clock::Steady().Now() + seconds(60); }

bool AtRest(Manager& manager) { return manager.WaitUntilAtRest(manager.ListModels(), Patience()); }

ServableHandle NewServable(const ServableId& id) {
  return std::make_shared<FakeServable>(id, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})});
}

// Models of a file system in memory, whose loads end as their paths say.
class ManagerTest : public testing::Test {
 protected:
  static StatusOr<ServableHandle> Load(const ServableId& id, const std::string& path) {
    if (path.find("bad") != std::string::npos) return InvalidArgumentError("a bad model");
    return NewServable(id);
  }
  static ManagerOptions Options() { return {.rules = {.settle_time = milliseconds(0)}, .num_load_threads = 2}; }

  Status Set(std::vector<ModelConfig> models, const ConfigRules& rules = {}) {
    TFLS_ASSIGN_OR_RETURN(changed_, manager_.SetModels(std::move(models), rules));
    EXPECT_TRUE(AtRest(manager_));
    return OkStatus();
  }
  void Poll() {
    manager_.Poll();
    EXPECT_TRUE(AtRest(manager_));
  }
  // The version that answers, or the error.
  std::string Ask(const ModelSpec& spec) const {
    const StatusOr<ServableHandle> servable = manager_.GetServable(spec);
    return servable.ok() ? fmt::format("{} {}", (*servable)->id().name, (*servable)->id().version) : servable.status().ToString();
  }

  FakeFileSystem files_;
  std::vector<std::string> changed_;
  Manager manager_{[](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) { return Load(id, path); }, Options(),
                   [](const std::string&) {}, files_};
};

TEST_F(ManagerTest, LoadsTheHighestVersionAndFindsIt) {
  for (const char* file : {"/m/1/model.tflite", "/m/12/model.tflite", "/m/3/model.tflite"}) files_.Write(file);
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  EXPECT_EQ(Ask({.name = "m"}), "m 12");
  EXPECT_EQ(Ask({.name = "m", .version = 12}), "m 12");
  EXPECT_THAT(manager_.ListModels(), ElementsAre("m"));
  ASSERT_EQ(manager_.GetVersionStatuses("m").size(), 1u);
  EXPECT_EQ(manager_.GetVersionStatuses("m")[0].state, VersionState::kAvailable);
  EXPECT_TRUE(manager_.Failures(changed_, "model(s)").ok());
  EXPECT_THAT(changed_, ElementsAre("m"));
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  EXPECT_THAT(changed_, IsEmpty());
}

TEST_F(ManagerTest, SaysWhatWasNotFound) {
  files_.Write("/m/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m", .labels = {{"old", 7}}}}, {.labels_may_be_unavailable = true}).ok());
  EXPECT_EQ(Ask({.name = "other"}), "NOT_FOUND: Servable not found for request: Latest(other)");
  EXPECT_EQ(Ask({.name = "m", .version = 5}), "NOT_FOUND: Servable not found for request: Specific(m, 5)");
  EXPECT_EQ(Ask({.name = "m", .version_label = "stable"}), "INVALID_ARGUMENT: Unrecognized servable version label: stable");
  EXPECT_EQ(Ask({.name = "m", .version_label = "old"}), "NOT_FOUND: Servable not found for request: Specific(m, 7)");
  EXPECT_THAT(manager_.GetVersionStatuses("other"), IsEmpty());
}

TEST_F(ManagerTest, AFailedLoadEndsWithItsReason) {
  files_.Write("/m/7/bad.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  const std::vector<VersionStatus> statuses = manager_.GetVersionStatuses("m");
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].version, 7);
  EXPECT_EQ(statuses[0].state, VersionState::kEnd);
  EXPECT_EQ(statuses[0].status, InvalidArgumentError("a bad model"));
  EXPECT_EQ(Ask({.name = "m"}), "NOT_FOUND: Servable not found for request: Latest(m)");
  EXPECT_EQ(manager_.Failures(changed_, "model(s)"),
            UnknownError("1 model(s) did not become available: {{{name: m version: 7} due to error: INVALID_ARGUMENT: a bad model}, }"));
}

TEST_F(ManagerTest, TheProblemIsThatOfTheLastLook) {
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  EXPECT_THAT(manager_.Problem("m").message(), HasSubstr("Could not find base path /m for servable m"));
  EXPECT_TRUE(manager_.Problem("other").ok());
  files_.Write("/m/7/bad.tflite");  // a version that fails has its own reason
  Poll();
  EXPECT_TRUE(manager_.Problem("m").ok());
}

TEST_F(ManagerTest, MetricsOfModelsAndTheirLoads) {
  files_.Write("/m/1/model.tflite");
  files_.Write("/m/2/bad.tflite");
  files_.Write("/gone/1/model.tflite");
  const ModelConfig models[] = {{.name = "m", .base_path = "/m", .version_policy = {.kind = VersionPolicy::Kind::kAll}},
                                {.name = "same", .base_path = "/m"},
                                {.name = "missing", .base_path = "/missing"},
                                {.name = "gone", .base_path = "/gone"}};
  ASSERT_TRUE(Set({std::begin(models), std::end(models)}).ok());
  ASSERT_TRUE(Set({std::begin(models), std::end(models) - 1}).ok());
  MetricsPage page(metrics::kAll);
  manager_.Collect(page);
  const std::string text = page.Text();
  for (const char* sample :
       {"tflite_serving_model_available{model=\"m\"} 1", "tflite_serving_model_available{model=\"same\"} 0",
        "tflite_serving_model_available{model=\"missing\"} 0", "tflite_serving_model_problems{model=\"m\"} 1",
        "tflite_serving_model_problems{model=\"missing\"} 1", "tflite_serving_model_version_state{model=\"m\",version=\"1\",state=\"AVAILABLE\"} 1",
        "tflite_serving_model_version_state{model=\"m\",version=\"2\",state=\"END\"} 1",
        "tflite_serving_model_version_healthy{model=\"m\",version=\"1\"} 1", "tflite_serving_model_loads_total{model=\"m\",code=\"OK\"} 1",
        "tflite_serving_model_loads_total{model=\"m\",code=\"INVALID_ARGUMENT\"} 1", "tflite_serving_model_loads_total{model=\"same\",code=\"OK\"} 0",
        ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/m\",status=\"success\"} 1",
        ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/m\",status=\"fail\"} 2", ":tensorflow:core:graph_build_calls{} 2"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + sample + "\n"));
  }
  EXPECT_THAT(text, Not(HasSubstr("\"gone\"")));
}

TEST_F(ManagerTest, ANewVersionIsFoundByTheNextLook) {
  files_.Write("/m/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  const ServableHandle held = *manager_.GetServable({.name = "m"});
  files_.Write("/m/2/model.tflite");
  Poll();
  EXPECT_EQ(Ask({.name = "m"}), "m 2");
  EXPECT_EQ(held->id().version, 1);  // a request in flight keeps what it has
  EXPECT_EQ(manager_.GetVersionStatuses("m")[1].state, VersionState::kUnloading);
}

TEST_F(ManagerTest, OneBadModelHoldsUpNoOther) {
  files_.Write("/good/1/model.tflite");
  files_.Write("/bad/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "bad", .base_path = "/bad"}, {.name = "good", .base_path = "/good"}, {.name = "missing", .base_path = "/missing"}}).ok());
  EXPECT_EQ(Ask({.name = "good"}), "good 1");
  EXPECT_EQ(Ask({.name = "missing"}), "NOT_FOUND: Servable not found for request: Latest(missing)");
  EXPECT_THAT(manager_.GetVersionStatuses("missing"), IsEmpty());
  files_.Write("/good/2/model.tflite");
  files_.Write("/missing/1/model.tflite");
  Poll();
  EXPECT_EQ(Ask({.name = "good"}), "good 2");
  EXPECT_EQ(Ask({.name = "missing"}), "missing 1");
}

TEST_F(ManagerTest, ModelsThatAreNoLongerConfiguredAreUnloaded) {
  files_.Write("/a/1/model.tflite");
  files_.Write("/b/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "a", .base_path = "/a"}, {.name = "b", .base_path = "/b"}}).ok());
  ASSERT_TRUE(Set({{.name = "b", .base_path = "/b"}}).ok());
  EXPECT_EQ(Ask({.name = "a"}), "NOT_FOUND: Servable not found for request: Latest(a)");
  EXPECT_EQ(Ask({.name = "b"}), "b 1");
  EXPECT_THAT(manager_.ListModels(), ElementsAre("b"));
  ASSERT_TRUE(Set({}).ok());
  EXPECT_THAT(manager_.ListModels(), IsEmpty());
}

TEST_F(ManagerTest, LabelsMayMeanWhatTheSameConfigurationBrings) {
  files_.Write("/m/1/model.tflite");
  files_.Write("/m/2/model.tflite");
  const VersionPolicy both{.kind = VersionPolicy::Kind::kAll};
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m", .version_policy = both, .labels = {{"stable", 1}, {"canary", 2}}}}).ok());
  EXPECT_EQ(Ask({.name = "m", .version_label = "stable"}), "m 1");
  EXPECT_EQ(Ask({.name = "m", .version_label = "canary"}), "m 2");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m", .version_policy = both, .labels = {{"stable", 2}}}}).ok());
  EXPECT_EQ(Ask({.name = "m", .version_label = "stable"}), "m 2");
  EXPECT_EQ(Ask({.name = "m", .version_label = "canary"}), "INVALID_ARGUMENT: Unrecognized servable version label: canary");
}

TEST_F(ManagerTest, ALabelForAnotherVersionRefusesTheWholeConfiguration) {
  files_.Write("/m/1/model.tflite");
  files_.Write("/n/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m", .labels = {{"stable", 1}}}}).ok());
  const std::vector<ModelConfig> wrong = {{.name = "m", .base_path = "/m", .labels = {{"stable", 9}}}, {.name = "n", .base_path = "/n"}};
  EXPECT_EQ(Set(wrong), FailedPreconditionError("Request to assign label to version 9 of model m, which is not currently available for inference"));
  EXPECT_EQ(Ask({.name = "m", .version_label = "stable"}), "m 1");
  EXPECT_THAT(manager_.ListModels(), ElementsAre("m"));
  // With the flag a new label may wait for its version, and one in use may not be moved to one that does not serve.
  EXPECT_FALSE(Set(wrong, {.labels_may_be_unavailable = true}).ok());
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m", .labels = {{"stable", 1}, {"next", 9}}}}, {.labels_may_be_unavailable = true}).ok());
}

TEST_F(ManagerTest, AMissingPathRefusesTheWholeConfigurationWhereItMustExist) {
  files_.Write("/m/1/model.tflite");
  const ConfigRules strict{.paths_must_exist = true};
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}, strict).ok());
  EXPECT_THAT(Set({{.name = "n", .base_path = "/none"}}, strict).message(), HasSubstr("Could not find base path /none for servable n"));
  EXPECT_THAT(manager_.ListModels(), ElementsAre("m"));
  files_.Remove("/m");  // one that is configured already may come back
  EXPECT_TRUE(Set({{.name = "m", .base_path = "/m", .version_policy = {.num_versions = 2}}}, strict).ok());
  EXPECT_EQ(Ask({.name = "m"}), "m 1");
}

TEST_F(ManagerTest, EachChangeOfAStateIsToldAndARequestInBetweenHearsThatItLoads) {
  files_.Write("/m/1/model.tflite");
  std::promise<void> open;
  std::shared_future<void> gate = open.get_future().share();
  Mutex mutex;
  std::vector<VersionState> states;
  Manager* told = nullptr;
  std::promise<void> loading;
  Manager manager(
      [&](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        loading.set_value();
        gate.wait();
        return NewServable(id);
      },
      Options(),
      [&](const std::string&) {
        const std::vector<VersionStatus> now = told->GetVersionStatuses("m");
        MutexLock lock(mutex);
        if (states.empty() || states.back() != now[0].state) states.push_back(now[0].state);
      },
      files_);
  told = &manager;
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/m"}}, {}).ok());
  loading.get_future().wait();
  EXPECT_EQ(manager.GetServable({.name = "m"}).status(), UnavailableError("Servable is still being loaded for request: Latest(m)"));
  EXPECT_FALSE(manager.WaitUntilAtRest(manager.ListModels(), Clock::Steady().Now()));
  open.set_value();
  ASSERT_TRUE(AtRest(manager));
  EXPECT_TRUE(manager.GetServable({.name = "m"}).ok());
  MutexLock lock(mutex);
  EXPECT_THAT(states, testing::Contains(VersionState::kLoading));
}

TEST_F(ManagerTest, AReplacedServableIsDestroyedOnItsOwnThreadWhenItsLastUserIsDone) {
  class Watched : public FakeServable {
   public:
    Watched(const ServableId& id, std::promise<std::thread::id>& gone) : FakeServable(id, {}), gone_(gone) {}
    ~Watched() override { gone_.set_value(std::this_thread::get_id()); }

   private:
    std::promise<std::thread::id>& gone_;
  };
  files_.Write("/m/1/model.tflite");
  std::promise<std::thread::id> gone;
  std::promise<void> ended;
  Manager* told = nullptr;
  Manager manager(
      [&](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        if (id.version == 1) return ServableHandle(std::make_shared<Watched>(id, gone));
        return NewServable(id);
      },
      Options(),
      [&, once = false](const std::string&) mutable {
        const std::vector<VersionStatus> now = told->GetVersionStatuses("m");
        if (now.size() == 2 && now[1].state == VersionState::kEnd && !std::exchange(once, true)) ended.set_value();
      },
      files_);
  told = &manager;
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/m"}}, {}).ok());
  ASSERT_TRUE(AtRest(manager));
  ServableHandle in_use = *manager.GetServable({.name = "m"});
  files_.Write("/m/2/model.tflite");
  manager.Poll();
  ASSERT_TRUE(AtRest(manager));
  EXPECT_EQ(manager.GetVersionStatuses("m")[1].state, VersionState::kUnloading);
  in_use = nullptr;
  EXPECT_NE(gone.get_future().get(), std::this_thread::get_id());
  ended.get_future().wait();
}

TEST_F(ManagerTest, AServableThatIsAskedHowItIsHoldsUpNobody) {
  class Asking : public FakeServable {
   public:
    Asking(const ServableId& id, Manager*& manager) : FakeServable(id, {}), manager_(manager) {}
    size_t memory_bytes() const override { return manager_->GetServable({.name = "m"}).ok() ? 7 : 0; }  // as another request may meanwhile
    Status health() const override { return manager_->HasModel("m") ? UnavailableError("a worker is ill") : OkStatus(); }

   private:
    Manager*& manager_;
  };
  files_.Write("/m/1/model.tflite");
  Manager* asked = nullptr;
  Manager manager([&](const ServableId& id, const std::string&, const LoadOptions&,
                      const Cancellation&) -> StatusOr<ServableHandle> { return ServableHandle(std::make_shared<Asking>(id, asked)); },
                  Options(), [](const std::string&) {}, files_);
  asked = &manager;
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/m"}}, {}).ok());
  ASSERT_TRUE(AtRest(manager));
  const std::vector<VersionStatus> statuses = manager.GetVersionStatuses("m");
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state, VersionState::kAvailable);
  EXPECT_EQ(statuses[0].memory_bytes, 7u);
  EXPECT_EQ(statuses[0].status, UnavailableError("a worker is ill"));
}

TEST_F(ManagerTest, AHandleOutlivesTheManager) {
  files_.Write("/m/1/model.tflite");
  auto manager =
      std::make_unique<Manager>([](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) { return Load(id, path); },
                                Options(), [](const std::string&) {}, files_);
  ASSERT_TRUE(manager->SetModels({{.name = "m", .base_path = "/m"}}, {}).ok());
  ASSERT_TRUE(AtRest(*manager));
  const ServableHandle handle = *manager->GetServable({.name = "m"});
  manager.reset();
  EXPECT_EQ(handle->id().name, "m");
}

TEST_F(ManagerTest, AStoppedManagerWaitsForNothingAndServesOn) {
  files_.Write("/m/1/model.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/m"}}).ok());
  manager_.Stop();
  files_.Write("/m/2/model.tflite");
  manager_.Poll();
  EXPECT_EQ(Ask({.name = "m"}), "m 1");
  ASSERT_TRUE(
      manager_.SetModels({{.name = "n", .base_path = "/n"}, {.name = "m", .base_path = "/m", .version_policy = {.num_versions = 2}}}, {}).ok());
  EXPECT_FALSE(manager_.WaitUntilAtRest(std::vector<std::string>{"m"}, Patience()));
}

TEST_F(ManagerTest, TheEndDoesNotWaitForALoad) {
  for (const char* file : {"/m/1/model.tflite", "/n/1/model.tflite", "/o/1/model.tflite"}) files_.Write(file);
  std::atomic<int> begun = 0;
  {
    Manager manager(
        [&](const ServableId&, const std::string&, const LoadOptions&, const Cancellation& stop) -> StatusOr<ServableHandle> {
          ++begun;
          while (!stop.cancelled()) std::this_thread::yield();
          return CancelledError("stopped");
        },
        {.num_load_threads = 1}, [](const std::string&) {}, files_);
    ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/m"}, {.name = "n", .base_path = "/n"}, {.name = "o", .base_path = "/o"}}, {}).ok());
  }
  EXPECT_LE(begun, 1);
}

TEST(ManagerPollingTest, TheThreadFindsNewVersionsAndTriesAgain) {
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  std::atomic<int> loads_of_2 = 0;
  Manager manager(
      [&](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        if (id.version == 2 && ++loads_of_2 < 3) return UnavailableError("not now");
        return NewServable(id);
      },
      {.rules = {.load_retry_interval = std::chrono::microseconds(1), .settle_time = milliseconds(1)}});
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = directory.path()}}, {}).ok());
  manager.StartPolling(milliseconds(1));
  directory.Write("2/model.tflite", "x");
  const TimePoint deadline = Patience();
  while (manager.GetServable({.name = "m", .version = 2}).status().code() == StatusCode::kNotFound && Clock::Steady().Now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(manager.WaitUntilAtRest(manager.ListModels(), deadline));
  EXPECT_TRUE(manager.GetServable({.name = "m", .version = 2}).ok());
  EXPECT_EQ(loads_of_2, 3);
}

TEST_F(ManagerTest, WhoWaitsHearsOfAReplacement) {
  files_.Write("/a/1/model.tflite");
  files_.Write("/b/1/model.tflite");
  std::promise<void> open;
  std::shared_future<void> gate = open.get_future().share();
  Manager manager(
      [&](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        if (path.starts_with("/b")) gate.wait();
        return NewServable(id);
      },
      Options(), [](const std::string&) {}, files_);
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/a"}}, {}).ok());
  ASSERT_TRUE(AtRest(manager));
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/b"}}, {}).ok());
  EXPECT_FALSE(manager.WaitUntilAtRest(manager.ListModels(), Clock::Steady().Now()));
  std::future<bool> at_rest = std::async(std::launch::async, [&] { return manager.WaitUntilAtRest(manager.ListModels(), kNoDeadline); });
  open.set_value();
  EXPECT_TRUE(at_rest.get());
}

TEST_F(ManagerTest, AFailedReplacementIsReportedThoughTheOldOneServes) {
  files_.Write("/a/1/model.tflite");
  files_.Write("/b/1/bad.tflite");
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/a"}}).ok());
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/b"}}).ok());
  EXPECT_EQ(Ask({.name = "m"}), "m 1");
  EXPECT_THAT(manager_.Failures(changed_, "model(s)").message(), HasSubstr("a bad model"));
  ASSERT_TRUE(Set({{.name = "m", .base_path = "/none"}}).ok());
  EXPECT_THAT(manager_.Failures(changed_, "model(s)").message(), HasSubstr("Could not find base path /none"));
}

TEST_F(ManagerTest, AChangedListOfModelsIsTold) {
  std::vector<std::string> told;  // nothing is loaded, so it is this thread that tells
  Manager manager([](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) { return Load(id, path); }, Options(),
                  [&](const std::string& name) { told.push_back(name); }, files_);
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = "/none"}}, {}).ok());
  EXPECT_THAT(told, ElementsAre("m"));
  EXPECT_TRUE(manager.HasModel("m"));
  ASSERT_TRUE(manager.SetModels({}, {}).ok());
  EXPECT_THAT(told, ElementsAre("m", "m"));
  EXPECT_FALSE(manager.HasModel("m"));
}

TEST(ManagerPollingTest, WithoutAnIntervalNobodyLooksAgain) {
  class CountingFiles : public FileSystem {
   public:
    StatusOr<std::vector<std::string>> List(const std::string& path) const override {
      ++looks;
      return ListDirectory(path);
    }
    mutable std::atomic<int> looks = 0;
  };
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  const CountingFiles files;
  std::atomic<int> loads = 0;
  Manager manager(
      [&](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        if (++loads < 3) return UnavailableError("not now");
        return NewServable(id);
      },
      {.rules = {.load_retry_interval = std::chrono::microseconds(1)}}, [](const std::string&) {}, files);
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = directory.path()}}, {}).ok());
  const int looks = files.looks;
  manager.StartPolling(milliseconds(0));
  ASSERT_TRUE(AtRest(manager));  // after retries, for which the thread had to do something
  EXPECT_EQ(files.looks, looks);
}

TEST(ManagerPollingTest, RetriesHappenWithoutPolling) {
  const TemporaryDirectory directory;
  directory.Write("1/model.tflite", "x");
  std::atomic<int> loads = 0;
  Manager manager(
      [&](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
        if (++loads < 3) return UnavailableError("not now");
        return NewServable(id);
      },
      {.rules = {.load_retry_interval = std::chrono::microseconds(1)}});
  manager.StartPolling(milliseconds(0));
  ASSERT_TRUE(manager.SetModels({{.name = "m", .base_path = directory.path()}}, {}).ok());
  ASSERT_TRUE(AtRest(manager));
  EXPECT_EQ(loads, 3);
}

}  // namespace
}  // namespace tflite_serving
