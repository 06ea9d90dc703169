#include "batching/batch_cost.h"

#include <iterator>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

// Of the last runs: the weight of a new one is a half if it was quicker, and else an eighth.
constexpr int kQuickMemory = 2;
constexpr int kSlowMemory = 8;

constexpr int64_t kWorthwhilePercent = 90;

nanoseconds Moved(nanoseconds average, nanoseconds time) { return average + (time - average) / (time < average ? kQuickMemory : kSlowMemory); }

}  // namespace

void BatchCost::Record(int64_t rows, nanoseconds time) {
  if (const auto known = by_rows_.find(rows); known != by_rows_.end()) {
    known->second = Moved(known->second, time);
    return;
  }
  if (by_rows_.size() < kMaxSizes) {
    by_rows_.emplace(rows, time);
    return;
  }
  auto nearest = by_rows_.lower_bound(rows);
  if (nearest == by_rows_.end()) --nearest;
  nearest->second = Moved(nearest->second, time * nearest->first / rows);
}

nanoseconds BatchCost::Expected(int64_t rows) const {
  if (by_rows_.empty()) return nanoseconds(0);
  const auto above = by_rows_.lower_bound(rows);
  if (above == by_rows_.end()) return std::prev(above)->second * rows / std::prev(above)->first;
  if (above->first == rows || above == by_rows_.begin()) return above->second;
  const auto below = std::prev(above);
  return below->second + (above->second - below->second) * (rows - below->first) / (above->first - below->first);
}

int64_t BatchCost::BestUpTo(int64_t rows, nanoseconds time) const {
  int64_t best = rows;
  nanoseconds best_time = time / rows * kWorthwhilePercent / 100;
  for (auto known = by_rows_.lower_bound((rows + 1) / 2); known != by_rows_.end() && known->first < rows; ++known) {
    if (known->second / known->first >= best_time) continue;
    best = known->first;
    best_time = known->second / known->first;
  }
  return best;
}

}  // namespace tflite_serving
