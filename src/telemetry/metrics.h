// Values that are counted while the server works, and the page on which Prometheus reads them (its text exposition format, version 0.0.4).
//
// There is no registry: whoever counts something owns the values, and writes them to a MetricsPage when one is asked for. Counting costs a few
// nanoseconds and no thread waits for another: each thread adds to cells of its own, as far as there are processors.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "telemetry/metric_names.h"

namespace tflite_serving {

// Numbers that only grow, counted by any thread; or that also fall, modulo 2^64. Thread-safe.
class ShardedCells {
 public:
  explicit ShardedCells(size_t num_cells);

  void Add(size_t cell, uint64_t count) { At(ShardOfThread(), cell).fetch_add(count, std::memory_order_relaxed); }
  // What was added so far; while others add, any number between before and after. Of a cell that also falls it may then be off by what they add, to
  // either side.
  uint64_t Sum(size_t cell) const;

 private:
  static constexpr size_t kCellsPerLine = 8;
  struct alignas(64) Line {
    std::array<std::atomic<uint64_t>, kCellsPerLine> cells{};
  };

  static constexpr size_t kNoShard = ~size_t{0};

  static size_t ShardOfThread() { return shard_of_thread_ != kNoShard ? shard_of_thread_ : ChooseShard(); }
  static size_t ChooseShard();
  std::atomic<uint64_t>& At(size_t shard, size_t cell) const {
    return lines_[shard * lines_per_shard_ + cell / kCellsPerLine].cells[cell % kCellsPerLine];
  }

  static inline constinit thread_local size_t shard_of_thread_ = kNoShard;

  const size_t lines_per_shard_;
  const std::unique_ptr<Line[]> lines_;
};

// Thread-safe.
class Counter {
 public:
  Counter() : cells_(1) {}
  void Add(uint64_t count = 1) { cells_.Add(0, count); }
  uint64_t value() const { return cells_.Sum(0); }

 private:
  ShardedCells cells_;
};

// Thread-safe.
class Histogram {
 public:
  // Of a family's bounds, which may then be printed as those of another family with the same bounds.
  explicit Histogram(const MetricFamily& family);

  void Observe(uint64_t ticks);
  // What the other, of the same bounds, has observed.
  void Add(const Histogram& other);
  void Observe(std::chrono::nanoseconds time) { Observe(time.count() > 0 ? static_cast<uint64_t>(time.count()) : 0); }

  std::span<const uint64_t> bounds() const { return bounds_; }
  // How many fell below or onto bound number `bucket`, but not onto one before it; the last bucket is what lies above all bounds.
  uint64_t InBucket(size_t bucket) const { return cells_.Sum(bucket); }
  uint64_t count() const;
  uint64_t sum() const { return cells_.Sum(bounds_.size() + 1); }

 private:
  const std::span<const uint64_t> bounds_;
  ShardedCells cells_;  // buckets, then the sum
};

// Made when something is first counted, and then the same for good. Thread-safe.
template <typename T>
class Lazily {
 public:
  Lazily() = default;
  ~Lazily() { delete value_.load(std::memory_order_relaxed); }
  Lazily(const Lazily&) = delete;
  Lazily& operator=(const Lazily&) = delete;

  // `arguments` are those of T's constructor.
  template <typename... Arguments>
  T& Get(const Arguments&... arguments) {
    T* value = value_.load(std::memory_order_acquire);
    if (value != nullptr) return *value;
    auto made = std::make_unique<T>(arguments...);
    if (value_.compare_exchange_strong(value, made.get(), std::memory_order_acq_rel)) value = made.release();
    return *value;
  }
  // Null if nothing was counted.
  const T* Peek() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<T*> value_ = nullptr;
};

// Collects the values of one scrape and prints them, those of a family together. Thread-compatible.
class MetricsPage {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  using LabelValues = std::initializer_list<std::string_view>;  // as many as the family has labels, in their order

  // Of the families that stand on the page; values of others are dropped.
  explicit MetricsPage(std::span<const MetricFamily* const> families);

  void Add(const MetricFamily& family, LabelValues labels, double value);
  void Add(const MetricFamily& family, LabelValues labels, const Histogram& histogram);

  std::string Text() const;

  // Of the values that were added to the counter or gauge of this name; nothing if there is none.
  std::optional<double> Sum(std::string_view name) const;

 private:
  struct Section {
    const MetricFamily* family;
    std::string samples;
    std::optional<double> sum;
  };
  Section* SectionOf(const MetricFamily& family);

  std::vector<Section> sections_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace tflite_serving
