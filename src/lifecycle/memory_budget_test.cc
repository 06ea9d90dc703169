#include "lifecycle/memory_budget.h"

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fake_file_system.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

// The machine's clock, which the test puts forward.
class ShiftedClock : public Clock {
 public:
  TimePoint Now() const override { return Clock::Steady().Now() + ahead_.load(); }
  void Advance(std::chrono::nanoseconds time) { ahead_ = ahead_.load() + time; }

 private:
  std::atomic<std::chrono::nanoseconds> ahead_{};
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
  ServableHandle Admit(const std::string& name) { return AdmitThis(New(name)); }
  ServableHandle AdmitThis(std::shared_ptr<FakeServable> servable) {
    const std::string path = "/" + servable->id().name;
    files_.Write(path);
    StatusOr<ServableHandle> admitted = budget_->Admit(std::move(servable), path, *files_.Stamp(path), {});
    EXPECT_TRUE(admitted.ok());
    return *std::move(admitted);
  }
  // The first is then out of memory.
  std::array<ServableHandle, 3> AdmitThree() { return {Admit("a"), Admit("b"), Admit("c")}; }
  // Gives a request to the servable; the future is its status.
  static std::future<Status> Start(Servable& servable, TimePoint deadline = kNoDeadline, const Cancellation* cancellation = nullptr) {
    const auto ended = std::make_shared<std::promise<Status>>();
    static constexpr std::array<float, 2> kNumbers = {1, 2};
    static const std::vector<TensorView> kInputs = {{DType::kFloat, {2}, std::as_bytes(std::span(kNumbers))}};
    servable.Run({.signature = &servable.signatures()[0], .inputs = kInputs, .deadline = deadline, .cancellation = cancellation},
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

  ShiftedClock clock_;
  FakeFileSystem files_;
  std::atomic<int> reloads_ = 0;
  std::shared_future<void> gate_;  // reloads wait for it, if there is one
  std::function<StatusOr<ServableHandle>(const ServableId&)> on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name)); };
  WorkerPool workers_{"worker", 2, MemoryBudget::kMaxWaiting};
  RetiredServables retired_{[](const ServableId&, const Servable*) {}};
  std::shared_ptr<MemoryBudget> budget_ = MemoryBudget::Create(
      {.bytes = 100,
       .reload = [this](const ServableId& id, const std::string&, const LoadOptions&, const Cancellation&) { return Reload(id); },
       .workers = &workers_,
       .num_load_threads = 2},
      retired_, files_, clock_);
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

TEST_F(MemoryBudgetTest, AProfileIsMadeOfWhatIsInMemory) {
  const auto [a, b, c] = AdmitThree();
  EXPECT_EQ(c->Profile({.runs = 3})->runs, 3);
  EXPECT_EQ(a->Profile({}).status().ToString(), "UNAVAILABLE: the model is out of memory; a request that runs it has it loaded");
  EXPECT_TRUE(Run(*a).ok());
  EXPECT_EQ(a->Profile({})->id.name, "a");
}

TEST_F(MemoryBudgetTest, SaysWhatDoesNotFitAlone) {
  const ServableHandle a = Admit("a");
  const StatusOr<ServableHandle> large = budget_->Admit(New("large", 3 << 20), "/large", {}, {});
  EXPECT_EQ(large.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(large.status().message(), HasSubstr("takes 3.0 MiB of memory, and --model_memory_budget_mb allows 0.0 to all models together"));
  EXPECT_EQ(a->memory_bytes(), 40u) << "for nothing";
  EXPECT_TRUE(CheckFits(*New("large", 3 << 20), 0).ok());
  EXPECT_TRUE(CheckFits(*New("large", 3 << 20), 3 << 20).ok());
}

TEST_F(MemoryBudgetTest, RequestsWaitForOneLoad) {
  std::promise<void> open;
  gate_ = open.get_future();
  const auto [a, b, c] = AdmitThree();
  std::vector<std::future<Status>> requests;
  requests.reserve(10);
  for (int i = 0; i < 10; ++i) requests.push_back(Start(*a));
  open.set_value();
  for (std::future<Status>& request : requests) EXPECT_TRUE(request.get().ok());
  EXPECT_EQ(reloads_, 1);
}

TEST_F(MemoryBudgetTest, AFailedLoadIsToldAndTriedAgainLater) {
  const auto [a, b, c] = AdmitThree();
  on_reload_ = [](const ServableId&) { return NotFoundError("gone"); };
  const Status failure = UnavailableError("the model is out of memory, and loading it failed: NOT_FOUND: gone");
  EXPECT_EQ(Run(*a), failure);
  EXPECT_EQ(Run(*a), failure);
  EXPECT_EQ(reloads_, 1);
  on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name)); };
  clock_.Advance(MemoryBudget::kRetryInterval);
  EXPECT_TRUE(Run(*a).ok());
  EXPECT_EQ(reloads_, 2);
}

TEST_F(MemoryBudgetTest, AFileThatChangedIsLeftToTheManager) {
  const auto [a, b, c] = AdmitThree();
  const Status changed = UnavailableError("/a: the file has changed since it was loaded; the model answers again when the new one is");
  files_.Write("/a");
  EXPECT_EQ(Run(*a), changed);
  EXPECT_EQ(reloads_, 0);
  EXPECT_EQ(b->memory_bytes(), 40u) << "nothing left for it";
  files_.Remove("/a");
  clock_.Advance(MemoryBudget::kRetryInterval);
  EXPECT_THAT(Run(*a).message(), HasSubstr("its file cannot be read: NOT_FOUND"));
}

TEST_F(MemoryBudgetTest, AFileThatChangesWhileItIsReadIsNotTaken) {
  const auto [a, b, c] = AdmitThree();
  on_reload_ = [this](const ServableId& id) {
    files_.Write("/a");
    return ServableHandle(New(id.name));
  };
  EXPECT_EQ(Run(*a).code(), StatusCode::kUnavailable);
  EXPECT_EQ(a->memory_bytes(), 0u);
}

TEST_F(MemoryBudgetTest, AModelThatHasOutgrownTheBudgetIsNotTaken) {
  const auto [a, b, c] = AdmitThree();
  on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name, 120)); };
  EXPECT_THAT(Run(*a).message(), HasSubstr("--model_memory_budget_mb"));
  EXPECT_TRUE(Run(*c).ok());
}

TEST_F(MemoryBudgetTest, ARequestWaitsUntilItsDeadline) {
  std::promise<void> open;
  gate_ = open.get_future();
  const auto [a, b, c] = AdmitThree();
  std::future<Status> patient = Start(*a);
  const Status late = DeadlineExceededError("the model was still being loaded at the request's deadline");
  EXPECT_EQ(Start(*a, clock_.Now() + std::chrono::milliseconds(20)).get(), late);
  open.set_value();
  EXPECT_TRUE(patient.get().ok());
}

TEST_F(MemoryBudgetTest, ARequestWhoseClientHasGoneWaitsNoMore) {
  std::promise<void> open;
  gate_ = open.get_future();
  const auto [a, b, c] = AdmitThree();
  Cancellation gone;
  std::future<Status> waiting = Start(*a, kNoDeadline, &gone);
  gone.Cancel();
  EXPECT_EQ(waiting.get(), CancelledError("the client went away while the model was being loaded"));
  open.set_value();
}

TEST_F(MemoryBudgetTest, AnIdleModelLeavesBeforeABusyOne) {
  RunDone done;
  const std::shared_ptr<FakeServable> busy = New("a");
  busy->on_run = [&done](const RunRequest&, RunDone given) { done = std::move(given); };
  const ServableHandle a = AdmitThis(busy);
  std::future<Status> running = Start(*a);
  const ServableHandle b = Admit("b");
  const ServableHandle c = Admit("c");
  EXPECT_EQ(a->memory_bytes(), 40u);
  EXPECT_EQ(b->memory_bytes(), 0u);
  std::exchange(done, nullptr)(OkStatus(), std::array<TensorView, 1>());
  EXPECT_TRUE(running.get().ok());
}

TEST_F(MemoryBudgetTest, WhatComesWhileAnotherLoadsLeavesOnceThatIsThere) {
  std::promise<void> open;
  gate_ = open.get_future();
  const ServableHandle a = AdmitThis(New("a", 60));
  const ServableHandle b = AdmitThis(New("b", 60));
  std::future<Status> waiting = Start(*a);
  while (reloads_ == 0) std::this_thread::yield();  // its room is reserved
  const ServableHandle c = AdmitThis(New("c", 60));
  on_reload_ = [](const ServableId& id) { return ServableHandle(New(id.name, 60)); };
  open.set_value();
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_EQ(a->memory_bytes() + b->memory_bytes() + c->memory_bytes(), 60u);
}

TEST_F(MemoryBudgetTest, TooManyDoNotWait) {
  std::promise<void> open;
  gate_ = open.get_future();
  const auto [a, b, c] = AdmitThree();
  std::vector<std::future<Status>> requests;
  for (size_t i = 0; i < MemoryBudget::kMaxWaiting; ++i) requests.push_back(Start(*a));
  EXPECT_EQ(Run(*a).code(), StatusCode::kUnavailable);
  open.set_value();
  for (std::future<Status>& request : requests) EXPECT_TRUE(request.get().ok());
}

TEST_F(MemoryBudgetTest, MemoryIsFreeOnlyWhenTheLastRequestIsDone) {
  RunDone done;  // of the request that keeps the first servable
  std::shared_ptr<FakeServable> busy = New("a", 90);
  const std::weak_ptr<FakeServable> kept = busy;
  busy->on_run = [&done](const RunRequest&, RunDone given) { done = std::move(given); };
  const ServableHandle a = AdmitThis(std::move(busy));
  std::future<Status> running = Start(*a);
  const ServableHandle b = Admit("b");  // a leaves, as far as requests to come see it
  EXPECT_EQ(a->memory_bytes(), 0u);
  bool was_alive = false;
  on_reload_ = [&](const ServableId& id) {
    was_alive = !kept.expired();
    return ServableHandle(New(id.name, 90));
  };
  std::future<Status> again = Start(*a);
  while (b->memory_bytes() > 0) std::this_thread::yield();  // its room is being made
  EXPECT_EQ(reloads_, 0);
  std::exchange(done, nullptr)(OkStatus(), std::array<TensorView, 1>());
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(again.get().ok());
  EXPECT_FALSE(was_alive);
}

TEST_F(MemoryBudgetTest, AStopRefusesThoseThatWait) {
  std::promise<void> open;
  gate_ = open.get_future();
  const auto [a, b, c] = AdmitThree();
  std::future<Status> waiting = Start(*a);
  budget_->Stop();
  EXPECT_EQ(waiting.get(), UnavailableError("the server is stopping"));
  open.set_value();
  budget_->Shutdown();
  EXPECT_TRUE(Run(*c).ok()) << "what is in memory serves on";
}

TEST_F(MemoryBudgetTest, HandlesOutliveIt) {
  const auto [a, b, c] = AdmitThree();
  budget_->Shutdown();
  budget_ = MemoryBudget::Create({.bytes = 1}, retired_, files_, clock_);
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
