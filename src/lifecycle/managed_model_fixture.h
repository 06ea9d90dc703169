// For the tests of ManagedModel.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "base/fake_file_system.h"
#include "lifecycle/managed_model.h"
#include "servable/fake_servable.h"

namespace tflite_serving {

// A model under /m whose loads end as the test says, in a time that the test turns.
class ManagedModelTest : public testing::Test {
 protected:
  static std::string File(int64_t version) { return fmt::format("/m/{}/model.tflite", version); }
  void Add(int64_t version) { files_.Write(File(version)); }
  void Remove(int64_t version) { files_.Remove(fmt::format("/m/{}", version)); }

  // A look at the disk; the paths of the loads that it began.
  std::vector<std::string> Look() {
    model_.Observe(FindVersions(files_, "m", "/m"), now_);
    return Begun();
  }
  std::vector<std::string> Begun() {
    const Consequences consequences = model_.TakeConsequences();
    for (const Consequences::Note& note : consequences.notes) log_ += note.text + "\n";
    dropped_.insert(dropped_.end(), consequences.dropped.begin(), consequences.dropped.end());
    std::vector<std::string> paths;
    for (const LoadJob& job : consequences.loads) {
      EXPECT_EQ(job.id.name, "m");
      paths.push_back(job.path);
      jobs_.insert_or_assign(job.id.version, job);
    }
    return paths;
  }
  // Loads `version` as `result` says; what it began.
  std::vector<std::string> Finish(int64_t version, const Status& status = OkStatus()) {
    const LoadJob job = jobs_.extract(version).mapped();
    if (status.ok()) {
      model_.Loaded(job, ServableHandle(std::make_shared<FakeServable>(job.id, std::vector<Signature>())), now_);
    } else {
      model_.Loaded(job, status, now_);
    }
    return Begun();
  }
  // Unloads all that was dropped; what it began.
  std::vector<std::string> Unload() {
    for (const ServableHandle& servable : std::exchange(dropped_, {})) model_.Unloaded(servable->id().version, servable.get(), now_);
    return Begun();
  }
  // A version that is on disk at first and serves.
  void Serve(int64_t version) {
    Add(version);
    Look();
    Finish(version);
  }

  // "2 AVAILABLE, 1 END"
  std::string States() const {
    std::vector<std::string> states;
    for (const auto& version : model_.versions()) states.push_back(fmt::format("{} {}", version.version, VersionStateName(version.state)));
    return fmt::format("{}", fmt::join(states, ", "));
  }
  Status StatusOf(int64_t version) const {
    for (const auto& one : model_.versions()) {
      if (one.version == version) return one.status;
    }
    return UnknownError("no such version");
  }
  int64_t Serving() const {
    const ServableHandle servable = model_.Find(std::nullopt);
    return servable == nullptr ? -1 : servable->id().version;
  }

  void UseRules(const LifecycleRules& rules) { model_ = ManagedModel(ModelConfig{.name = "m", .base_path = "/m"}, rules); }
  void UsePolicy(VersionPolicy policy) {
    ModelConfig config = model_.config();
    config.version_policy = std::move(policy);
    model_.Configure(std::move(config));
  }

  void UseLabels(std::vector<int64_t> versions, std::map<std::string, int64_t, std::less<>> labels) {
    ModelConfig config = model_.config();
    config.version_policy = {.kind = VersionPolicy::Kind::kSpecific, .versions = std::move(versions)};
    config.labels = std::move(labels);
    model_.Configure(std::move(config));
  }

  void UseInterpreters(int32_t number) {
    ModelConfig config = model_.config();
    config.load_options.tflite.num_interpreters = number;
    model_.Configure(std::move(config));
  }

  FakeFileSystem files_;
  TimePoint now_{std::chrono::hours(1)};
  ManagedModel model_{ModelConfig{.name = "m", .base_path = "/m"}, LifecycleRules{}};
  std::map<int64_t, LoadJob> jobs_;
  std::vector<ServableHandle> dropped_;
  std::string log_;
};

}  // namespace tflite_serving
