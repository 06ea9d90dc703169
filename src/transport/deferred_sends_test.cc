#include "transport/deferred_sends.h"

#include <functional>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DeferredSendsTest : public ::testing::Test {
 protected:
  struct Reply : DeferredSend {
    Reply(std::vector<int>& log, int id) : sent(log), number(id) {}
    void Send() override {
      sent.push_back(number);
      if (then) then();
    }
    std::vector<int>& sent;
    int number;
    std::function<void()> then;
  };

  // A turn of the loop in which so many requests are handled; what was sent at once.
  std::vector<int> Turn(int requests) {
    std::vector<int> at_once;
    for (int i = 0; i < requests; ++i) {
      asio::post(io_, [&, i] {
        if (!sends_.Defer(*replies_[i])) at_once.push_back(i);
        sent_before_.push_back(sent_.size());
      });
    }
    io_.restart();
    io_.run();
    return at_once;
  }

  asio::io_context io_{1};
  DeferredSends sends_{io_};
  std::vector<int> sent_;            // with others, in order
  std::vector<size_t> sent_before_;  // how many had been sent when a request had been handled
  std::vector<std::unique_ptr<Reply>> replies_ = [this] {
    std::vector<std::unique_ptr<Reply>> replies;
    for (int i = 0; i < 2 * DeferredSends::kMaxDeferred; ++i) replies.push_back(std::make_unique<Reply>(sent_, i));
    return replies;
  }();
};

TEST_F(DeferredSendsTest, WaitForWhatIsReady) {
  EXPECT_THAT(Turn(3), IsEmpty());
  EXPECT_THAT(sent_before_, ElementsAre(0, 0, 0));
  EXPECT_THAT(sent_, ElementsAre(0, 1, 2));
  EXPECT_THAT(Turn(2), IsEmpty());
  EXPECT_THAT(sent_, ElementsAre(0, 1, 2, 0, 1));
}

TEST_F(DeferredSendsTest, WaitForWhatIsReadyThen) {
  asio::post(io_, [this] {
    EXPECT_TRUE(sends_.Defer(*replies_[0]));
    asio::post(io_, [this] {
      EXPECT_THAT(sent_, IsEmpty());
      EXPECT_TRUE(sends_.Defer(*replies_[1]));
    });
  });
  io_.run();
  EXPECT_THAT(sent_, ElementsAre(0, 1));
}

TEST_F(DeferredSendsTest, NoMoreThanSoManyWait) {
  constexpr int kLast = DeferredSends::kMaxDeferred - 1;
  EXPECT_THAT(Turn(kLast + 3), ElementsAre(kLast)) << "sent at once, after those that waited";
  EXPECT_EQ(sent_before_[kLast - 1], 0);
  EXPECT_EQ(sent_before_[kLast], kLast);
  EXPECT_EQ(sent_before_[kLast + 2], kLast);
  EXPECT_EQ(sent_.size(), kLast + 2);
}

TEST_F(DeferredSendsTest, AreSentOnceHoweverOftenPutOff) {
  asio::post(io_, [this] {
    EXPECT_TRUE(sends_.Defer(*replies_[0]));
    EXPECT_TRUE(sends_.Defer(*replies_[0]));
  });
  io_.run();
  EXPECT_THAT(sent_, ElementsAre(0));
}

TEST_F(DeferredSendsTest, WhatFollowsASendIsSentAtOnce) {
  replies_[0]->then = [this] { EXPECT_FALSE(sends_.Defer(*replies_[0])); };
  Turn(2);
  EXPECT_THAT(sent_, ElementsAre(0, 1));
}

TEST_F(DeferredSendsTest, WhereNothingCanBeWaitedForFewWait) {
  int deferred = 0;
  for (int i = 0; i < 10 * (DeferredSends::kMaxSkipped + 1); ++i) deferred += static_cast<int>(Turn(1).empty());
  EXPECT_GE(deferred, 10);
  EXPECT_LE(deferred, 16);
  while (!Turn(2).empty()) {
  }
  EXPECT_THAT(Turn(1), IsEmpty()) << "since two came together";
}

}  // namespace
}  // namespace tflite_serving
