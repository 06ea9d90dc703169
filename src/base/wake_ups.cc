#include "base/wake_ups.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tflite_serving {
namespace {

struct PutOff {
  int depth = 0;
  std::vector<std::shared_ptr<Wakeable>> sleepers;
};

PutOff& OfThisThread() {
  thread_local PutOff put_off;
  return put_off;
}

}  // namespace

WakeUps::WakeUps() { ++OfThisThread().depth; }

WakeUps::~WakeUps() {
  PutOff& put_off = OfThisThread();
  if (--put_off.depth > 0) return;
  for (const std::shared_ptr<Wakeable>& sleeper : put_off.sleepers) sleeper->Wake();
  put_off.sleepers.clear();
}

void WakeUps::Wake(std::shared_ptr<Wakeable> sleeper) {
  PutOff& put_off = OfThisThread();
  if (put_off.depth == 0) return sleeper->Wake();
  if (std::ranges::find(put_off.sleepers, sleeper) == put_off.sleepers.end()) put_off.sleepers.push_back(std::move(sleeper));
}

}  // namespace tflite_serving
