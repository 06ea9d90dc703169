// BatchingServable, of servables whose Run returns at once.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "batching/batching_servable_fixture.h"

namespace tflite_serving {
namespace {

// A servable whose runs end on another thread, which lets go of them late.
class RunsElsewhereTest : public BatchingServableTest {
 protected:
  struct Taken {
    RunRequest request;
    RunDone done;

    void Finish() const { done(OkStatus(), request.inputs); }
  };
  RunsElsewhereTest() {
    model_->on_run = [this](const RunRequest& request, RunDone done) {
      const MutexLock lock(mutex_);
      taken_.push_back(std::make_unique<Taken>(request, std::move(done)));
      changed_.NotifyAll();
    };
  }
  void Use(int max_running) {
    servable_ =
        std::make_unique<BatchingServable>(model_, std::vector<bool>{true}, BatchingParameters{.max_batch_size = 1}, *scheduler_, max_running);
  }
  // Waits for run number `number`.
  Taken& At(size_t number) {
    const MutexLock lock(mutex_);
    while (taken_.size() <= number) changed_.Wait(mutex_);
    return *taken_[number];
  }
  size_t num_taken() {
    const MutexLock lock(mutex_);
    return taken_.size();
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::unique_ptr<Taken>> taken_ TFLS_GUARDED_BY(mutex_);
};

TEST_F(RunsElsewhereTest, TheyHoldUpNoThreadOfTheBatches) {
  Use(1);
  const std::shared_ptr<Request> first = Start({1});
  const std::shared_ptr<Request> second = Start({2});
  Taken& running = At(0);
  // The only thread of the scheduler does another model's batch meanwhile.
  const auto other = std::make_shared<FakeServable>(ServableId{"n", 1}, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})});
  other->runs_inline = false;
  other->on_run = [](const RunRequest& request, const RunDone& done) { done(OkStatus(), request.inputs); };
  auto elsewhere = std::make_unique<BatchingServable>(other, std::vector<bool>{true}, BatchingParameters{}, *scheduler_);
  std::swap(servable_, elsewhere);
  EXPECT_TRUE(Run({3}).ok());
  std::swap(servable_, elsewhere);
  EXPECT_EQ(num_taken(), 1u) << "one at a time";
  running.Finish();
  Wait(*first);
  At(1).Finish();
  Wait(*second);
  EXPECT_EQ(second->answer, second->values);
}

TEST_F(RunsElsewhereTest, WhoRunsThemDoesNotKeepTheServable) {
  Use(2);
  const std::shared_ptr<Request> request = Start({1});
  At(0).Finish();
  Wait(*request);
  servable_.reset();
  scheduler_.reset();  // and so no thread is still in the run
  EXPECT_EQ(model_.use_count(), 1) << "its own thread would destroy it";
}

TEST_F(RunsElsewhereTest, TheEndWaitsForThem) {
  Use(1);
  const std::vector<std::shared_ptr<Request>> requests = {Start({1}), Start({2})};
  At(0);
  std::jthread stop([this] { scheduler_->Stop(); });
  At(0).Finish();
  At(1).Finish();
  stop.join();
  for (const auto& request : requests) EXPECT_TRUE(request->status.ok()) << "answered before Stop returned";
}

}  // namespace
}  // namespace tflite_serving
