#include "lifecycle/memory_budget.h"

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

class ManualClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(since_.load()); }
  void Advance(std::chrono::nanoseconds time) { since_ = since_.load() + time; }

 private:
  std::atomic<std::chrono::nanoseconds> since_{std::chrono::hours(1)};
};

// Servables of 40 bytes under a budget of 100: two of them fit.
class MemoryBudgetTest : public testing::Test {
 protected:
  void TearDown() override { budget_->Shutdown(); }

  static std::shared_ptr<FakeServable> New(const std::string& name, size_t bytes = 40, DType dtype = DType::kFloat) {
    auto servable = std::make_shared<FakeServable>(ServableId{name, 1}, std::vector<Signature>{IdentitySignature(dtype, {-1})});
    servable->bytes = bytes;
    return servable;
  }
  ServableHandle Admit(const std::string& name) {
    StatusOr<ServableHandle> servable = budget_->Admit(New(name), "/" + name);
    EXPECT_TRUE(servable.ok());
    return *std::move(servable);
  }
  // Gives a request to the servable; the future is its status.
  static std::future<Status> Start(Servable& servable, TimePoint deadline = kNoDeadline) {
    const auto ended = std::make_shared<std::promise<Status>>();
    static constexpr std::array<float, 2> kNumbers = {1, 2};
    static const std::vector<TensorView> kInputs = {{DType::kFloat, {2}, std::as_bytes(std::span(kNumbers))}};
    servable.Run({.signature = &servable.signatures()[0], .inputs = kInputs, .deadline = deadline},
                 [ended](const Status& status, std::span<const TensorView> outputs) {
                   EXPECT_TRUE(!status.ok() || outputs.size() == 1);
                   ended->set_value(status);
                 });
    return ended->get_future();
  }
  static Status Run(Servable& servable) { return Start(servable).get(); }

  StatusOr<ServableHandle> Reload(const ServableId& id) {
    ++reloads_;
    if (gate_.valid()) gate_.wait();
    return on_reload_(id);
  }

  ManualClock clock_;
  std::atomic<int> reloads_ = 0;
  std::shared_future<void> gate_;  // reloads wait for it, if there is one
  std::function<StatusOr<ServableHandle>(const ServableId&)> on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name)); };
  WorkerPool workers_{"worker", 2, MemoryBudget::kMaxWaiting};
  RetiredServables retired_{[](const ServableId&, const Servable*) {}};
  std::shared_ptr<MemoryBudget> budget_ =
      MemoryBudget::Create({.bytes = 100,
                            .reload = [this](const ServableId& id, const std::string&, const Cancellation&) { return Reload(id); },
                            .workers = &workers_,
                            .num_load_threads = 2},
                           retired_, clock_);
};

TEST_F(MemoryBudgetTest, WhatFitsStaysInMemory) {
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  EXPECT_EQ(a->memory_bytes(), 40u);
  EXPECT_EQ(b->memory_bytes(), 40u);
  EXPECT_TRUE(a->RunsInline(8));
  EXPECT_TRUE(Run(*a).ok());
  EXPECT_TRUE(Run(*b).ok());
  EXPECT_EQ(reloads_, 0);
}

TEST_F(MemoryBudgetTest, TheLeastRecentlyUsedLeavesAndComesBackWhenAsked) {
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  EXPECT_TRUE(Run(*a).ok());
  const ServableHandle c = Admit("c");
  EXPECT_EQ(a->memory_bytes(), 40u);
  EXPECT_EQ(b->memory_bytes(), 0u);
  EXPECT_FALSE(b->RunsInline(8));
  EXPECT_EQ(b->id().name, "b");
  EXPECT_EQ(b->signatures()[0].inputs[0].name, "x");
  EXPECT_TRUE(Run(*b).ok());
  EXPECT_EQ(reloads_, 1);
  EXPECT_EQ(b->memory_bytes(), 40u);
  EXPECT_EQ(a->memory_bytes(), 0u);
  EXPECT_EQ(c->memory_bytes(), 40u);
}

TEST_F(MemoryBudgetTest, SaysWhatDoesNotFitAlone) {
  const ServableHandle a = Admit("a");
  const StatusOr<ServableHandle> large = budget_->Admit(New("large", 3 << 20), "/large");
  EXPECT_EQ(large.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(large.status().message(), HasSubstr("takes 3.0 MiB of memory, and --model_memory_budget_mb allows 0.0 to all models together"));
  EXPECT_EQ(a->memory_bytes(), 40u) << "for nothing";
  EXPECT_TRUE(CheckFits(*New("large", 3 << 20), 0).ok());
  EXPECT_TRUE(CheckFits(*New("large", 3 << 20), 3 << 20).ok());
}

TEST_F(MemoryBudgetTest, RequestsWaitForOneLoad) {
  std::promise<void> open;
  gate_ = open.get_future();
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  std::vector<std::future<Status>> requests;
  requests.reserve(10);
  for (int i = 0; i < 10; ++i) requests.push_back(Start(*a));
  open.set_value();
  for (std::future<Status>& request : requests) EXPECT_TRUE(request.get().ok());
  EXPECT_EQ(reloads_, 1);
}

TEST_F(MemoryBudgetTest, AFailedLoadIsToldAndTriedAgainLater) {
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  on_reload_ = [](const ServableId&) { return NotFoundError("gone"); };
  EXPECT_EQ(Run(*a), NotFoundError("gone"));
  EXPECT_EQ(Run(*a), NotFoundError("gone"));
  EXPECT_EQ(reloads_, 1);
  on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name)); };
  clock_.Advance(MemoryBudget::kRetryInterval);
  EXPECT_TRUE(Run(*a).ok());
  EXPECT_EQ(reloads_, 2);
}

TEST_F(MemoryBudgetTest, AnotherModelInTheSamePlaceIsNotTaken) {
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name, 40, DType::kInt32)); };
  EXPECT_EQ(Run(*a), UnavailableError("/a: the model is not the one that was loaded before; it serves when it is found to have changed"));
}

TEST_F(MemoryBudgetTest, ARequestWaitsUntilItsDeadline) {
  std::promise<void> open;
  gate_ = open.get_future();
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  std::future<Status> patient = Start(*a);
  const TimePoint deadline = clock_.Now() + std::chrono::seconds(1);
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(Start(*a, deadline).get(), DeadlineExceededError("the model was still being loaded at the request's deadline"));
  open.set_value();
  EXPECT_TRUE(patient.get().ok());
}

TEST_F(MemoryBudgetTest, TooManyDoNotWait) {
  std::promise<void> open;
  gate_ = open.get_future();
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  std::vector<std::future<Status>> requests;
  for (size_t i = 0; i < MemoryBudget::kMaxWaiting; ++i) requests.push_back(Start(*a));
  EXPECT_EQ(Run(*a).code(), StatusCode::kUnavailable);
  open.set_value();
  for (std::future<Status>& request : requests) EXPECT_TRUE(request.get().ok());
}

TEST_F(MemoryBudgetTest, MemoryIsFreeOnlyWhenTheLastRequestIsDone) {
  RunDone done;  // of the request that keeps the first servable
  std::shared_ptr<FakeServable> busy = New("a");
  const std::weak_ptr<FakeServable> kept = busy;
  busy->on_run = [&done](const RunRequest&, RunDone given) { done = std::move(given); };
  const ServableHandle a = *budget_->Admit(std::move(busy), "/a");
  std::future<Status> running = Start(*a);
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");  // a leaves, as far as requests to come see it
  EXPECT_EQ(a->memory_bytes(), 0u);
  bool was_alive = false;
  on_reload_ = [&](const ServableId& id) {
    was_alive = !kept.expired();
    return ServableHandle(New(id.name));
  };
  std::future<Status> again = Start(*a);  // no room beside its former self, b and c
  std::exchange(done, nullptr)(OkStatus(), std::array<TensorView, 1>());
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(again.get().ok());
  EXPECT_FALSE(was_alive);
}

TEST_F(MemoryBudgetTest, AStopRefusesThoseThatWait) {
  std::promise<void> open;
  gate_ = open.get_future();
  const ServableHandle a = Admit("a");
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  std::future<Status> waiting = Start(*a);
  budget_->Stop();
  EXPECT_EQ(waiting.get(), UnavailableError("the server is stopping"));
  open.set_value();
  budget_->Shutdown();
  EXPECT_TRUE(Run(*b).ok()) << "what is in memory serves on";
}

TEST_F(MemoryBudgetTest, HandlesOutliveIt) {
  ServableHandle a = Admit("a");
  ServableHandle b = Admit("b");
  ServableHandle c = Admit("c");
  budget_->Shutdown();
  budget_ = MemoryBudget::Create({.bytes = 1}, retired_, clock_);
  EXPECT_TRUE(Run(*c).ok());
  EXPECT_EQ(Run(*a), UnavailableError("the server is stopping"));
}

TEST_F(MemoryBudgetTest, ManyThreadsShareLittleMemory) {
  std::vector<ServableHandle> servables;
  for (const char* name : {"a", "b", "c", "d"}) servables.push_back(Admit(name));
  std::atomic<int> failures = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 100; ++i) failures += Run(*servables[(i * (t + 1) + t) % servables.size()]).ok() ? 0 : 1;
      });
    }
  }
  EXPECT_EQ(failures, 0);
  EXPECT_GT(reloads_, 0);
  size_t bytes = 0;
  for (const ServableHandle& servable : servables) bytes += servable->memory_bytes();
  EXPECT_LE(bytes, 100u);
}

}  // namespace
}  // namespace tflite_serving
