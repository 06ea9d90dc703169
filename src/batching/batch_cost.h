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

  // How many of `rows` that wait should run together, if all of them would run as `run_rows`, with what they are filled up with. Of the sizes
  // recorded that are no smaller than half of `rows`, the one that takes the least time for each, if that is a tenth less than all of them take;
  // otherwise all. But 1, unless that is known to take a tenth more than they do: a batch that saves little makes its first rows wait for the last.
  // Of more than have ever run together, as many as Trial says.
  int64_t BestUpTo(int64_t rows, int64_t run_rows) const;

  // How many of `rows` should run together to learn what such runs take: all, but kGrowth times as many as have run at most, and no more than have
  // run while those saved nothing. All before the first record.
  int64_t Trial(int64_t rows) const;

  static constexpr int64_t kGrowth = 8;

 private:
  struct Average {
    std::chrono::nanoseconds mean;
    int runs = 1;  // that it is the mean of; not counted beyond its memory

    void Add(std::chrono::nanoseconds time);
  };
  std::map<int64_t, Average> by_rows_;
};

}  // namespace tflite_serving
