#include "batching/batch_cost.h"

#include <algorithm>
#include <iterator>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

// The weight of a new time in its size's average: its share of all, then an eighth.
constexpr int kMemory = 8;
// A run that takes so many times the average was held up by something, and counts as if it had taken no longer.
constexpr int kHeldUp = 2;

constexpr int64_t kWorthwhilePercent = 90;

}  // namespace

void BatchCost::Average::Add(nanoseconds time) {
  runs = std::min(runs + 1, kMemory);
  mean += (std::min(time, kHeldUp * mean) - mean) / runs;
}

void BatchCost::Record(int64_t rows, nanoseconds time) {
  if (const auto known = by_rows_.find(rows); known != by_rows_.end()) return known->second.Add(time);
  if (by_rows_.size() < kMaxSizes) {
    by_rows_.emplace(rows, Average{.mean = time});
    return;
  }
  auto nearest = by_rows_.lower_bound(rows);
  if (nearest == by_rows_.end()) --nearest;
  nearest->second.Add(time * nearest->first / rows);
}

nanoseconds BatchCost::Expected(int64_t rows) const {
  if (by_rows_.empty()) return nanoseconds(0);
  const auto above = by_rows_.lower_bound(rows);
  if (above == by_rows_.end()) return std::prev(above)->second.mean * rows / std::prev(above)->first;
  if (above->first == rows || above == by_rows_.begin()) return above->second.mean;
  const auto below = std::prev(above);
  return below->second.mean + (above->second.mean - below->second.mean) * (rows - below->first) / (above->first - below->first);
}

int64_t BatchCost::Trial(int64_t rows) const {
  if (by_rows_.empty() || rows <= by_rows_.rbegin()->first) return rows;
  const auto& [largest, of_largest] = *by_rows_.rbegin();
  const auto single = by_rows_.find(1);
  const bool saves = largest == 1 || single == by_rows_.end() || of_largest.mean / largest < single->second.mean * kWorthwhilePercent / 100;
  return saves ? std::min(rows, kGrowth * largest) : largest;
}

int64_t BatchCost::BestUpTo(int64_t rows, int64_t run_rows) const {
  if (const int64_t known = Trial(rows); known < rows && rows == run_rows) return BestUpTo(known, known);
  int64_t best = rows;
  nanoseconds of_best = Expected(run_rows) / rows;
  nanoseconds best_time = of_best * kWorthwhilePercent / 100;
  const auto smallest = by_rows_.lower_bound(std::max<int64_t>((rows + 1) / 2, 2));
  for (auto known = smallest; known != by_rows_.end() && known->first < rows; ++known) {
    // One that ran once may have been lucky, and of many such the best has been.
    const nanoseconds at_most = (known->second.mean + known->second.mean / (2 * known->second.runs)) / known->first;
    if (at_most >= best_time) continue;
    best = known->first;
    of_best = known->second.mean / best;
    best_time = at_most;
  }
  const auto single = by_rows_.find(1);
  const bool is_known = single != by_rows_.end() && smallest != by_rows_.end() && smallest->first <= run_rows;
  return is_known && single->second.mean * kWorthwhilePercent / 100 <= of_best ? 1 : best;
}

}  // namespace tflite_serving
