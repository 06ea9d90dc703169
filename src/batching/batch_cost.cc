#include "batching/batch_cost.h"

#include <iterator>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

// Of the last runs: the weight of a new one is a quarter.
constexpr int kMemory = 4;

constexpr int64_t kWorthwhilePercent = 90;

}  // namespace

void BatchCost::Record(int64_t rows, nanoseconds time) {
  if (const auto known = by_rows_.find(rows); known != by_rows_.end()) {
    known->second += (time - known->second) / kMemory;
    return;
  }
  if (by_rows_.size() < kMaxSizes) {
    by_rows_.emplace(rows, time);
    return;
  }
  auto nearest = by_rows_.lower_bound(rows);
  if (nearest == by_rows_.end()) --nearest;
  nearest->second += (time * nearest->first / rows - nearest->second) / kMemory;
}

nanoseconds BatchCost::Expected(int64_t rows) const {
  if (by_rows_.empty()) return nanoseconds(0);
  const auto above = by_rows_.lower_bound(rows);
  if (above == by_rows_.end()) return std::prev(above)->second * rows / std::prev(above)->first;
  if (above->first == rows || above == by_rows_.begin()) return above->second;
  const auto below = std::prev(above);
  return below->second + (above->second - below->second) * (rows - below->first) / (above->first - below->first);
}

int64_t BatchCost::BestUpTo(int64_t rows) const {
  int64_t best = rows;
  nanoseconds best_time = Expected(rows) / rows * kWorthwhilePercent / 100;
  for (auto known = by_rows_.lower_bound((rows + 1) / 2); known != by_rows_.end() && known->first < rows; ++known) {
    if (known->second / known->first >= best_time) continue;
    best = known->first;
    best_time = known->second / known->first;
  }
  return best;
}

nanoseconds BatchCost::BestByWaiting(int64_t rows, int64_t max_rows, nanoseconds gap, nanoseconds patience) const {
  nanoseconds best = nanoseconds::max();
  for (auto known = by_rows_.upper_bound(rows); known != by_rows_.end() && known->first <= max_rows; ++known) {
    const nanoseconds wait = gap * (known->first - rows);
    if (wait > patience) break;
    best = std::min(best, (wait + known->second) / known->first);
  }
  return best;
}

}  // namespace tflite_serving
