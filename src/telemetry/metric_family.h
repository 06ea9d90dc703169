// What is said of a metric, beside its values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tflite_serving {

enum class MetricType { kCounter, kGauge, kHistogram };

struct MetricFamily {
  std::string_view name;
  MetricType type;
  std::string_view help;
  std::array<std::string_view, 4> labels = {};  // names, in the order that they are printed; an empty one ends them
  // Of histograms: upper bounds in ticks, ascending, without +Inf; and the ticks of one unit as it is printed. Times are counted in nanoseconds.
  std::span<const uint64_t> bounds = {};
  double ticks_per_unit = 1;

  constexpr size_t num_labels() const {
    size_t count = 0;
    while (count < labels.size() && !labels[count].empty()) ++count;
    return count;
  }
};

}  // namespace tflite_serving
