// What runs of different sizes take, from those that were. Quick runs count no more than slow ones: sizes that run often would seem quicker than
// others.
//
// The curve is not a line: kernels work in tiles, so that a run of 7 rows may take less than half of one of 8. So every size has a figure of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

namespace tflite_serving {

// Thread-compatible.
class BatchCost {
 public:
  // Sizes that are remembered; further ones change one next to them.
  static constexpr size_t kMaxSizes = 128;

  // A run of `rows` took this long.
  void Record(int64_t rows, std::chrono::nanoseconds time);

  // What a run of `rows` is expected to take: the recent average of that size, or on the line between the sizes next to it. Zero before the first
  // record.
  std::chrono::nanoseconds Expected(int64_t rows) const;

  // The size, of those recorded that are no larger than `rows` and no smaller than half of them, that takes the least time for each row; `rows`
  // itself, for which a run takes `time`, unless another is better by a tenth.
  int64_t BestUpTo(int64_t rows, std::chrono::nanoseconds time) const;

 private:
  struct Average {
    std::chrono::nanoseconds mean;
    int runs = 1;  // that it is the mean of; not counted beyond its memory

    void Add(std::chrono::nanoseconds time);
  };
  std::map<int64_t, Average> by_rows_;
};

}  // namespace tflite_serving
