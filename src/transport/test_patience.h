// For tests of the servers: how long they wait, and how.
#pragma once

#include <chrono>
#include <thread>

#include "base/clock.h"

namespace tflite_serving {

// A test that waits longer than this for anything has failed.
inline constexpr std::chrono::seconds kTestPatience{30};

// What happens on another thread without a message to this one: asks again until it has, or the test has failed.
template <typename Condition>
bool Eventually(Condition condition) {
  const TimePoint deadline = Clock::Steady().Now() + kTestPatience;
  while (!condition()) {
    if (Clock::Steady().Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace tflite_serving
