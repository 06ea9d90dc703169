#include "telemetry/metrics.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "base/usable_cpus.h"
#include "base/utf8.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxShards = 16;

// As many as there are processors, up to kMaxShards: threads that run at the same time mostly have cells of their own.
size_t NumShards() {
  static const size_t count = std::bit_ceil(std::clamp<size_t>(static_cast<size_t>(UsableCpus()), 1, kMaxShards));
  return count;
}

std::string_view NameOf(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      break;
  }
  return "histogram";
}

bool IsOriginal(const MetricFamily& family) { return family.name.starts_with(':'); }

// Prometheus refuses a page with a label that is not UTF-8; a model's file may have such names.
void AppendEscaped(std::string& text, std::string_view value) {
  for (const char c : ReplaceInvalidUtf8(value)) {
    switch (c) {
      case '\\':
        text += "\\\\";
        break;
      case '"':
        text += "\\\"";
        break;
      case '\n':
        text += "\\n";
        break;
      default:
        text += c;
    }
  }
}

// `{a="x",b="y"}`, `extra` as the last of them; nothing without labels, but for the original's `{}`.
void AppendLabels(std::string& text, const MetricFamily& family, MetricsPage::LabelValues values, std::string_view extra) {
  assert(values.size() == family.num_labels());
  if (values.size() == 0 && extra.empty()) {
    if (IsOriginal(family)) text += "{}";
    return;
  }
  text += '{';
  size_t i = 0;
  for (const std::string_view value : values) {
    if (i > 0) text += ',';
    text += family.labels[i++];
    text += "=\"";
    AppendEscaped(text, value);
    text += '"';
  }
  if (i > 0 && !extra.empty()) text += ',';
  text += extra;
  text += '}';
}

void AppendSample(std::string& text, const MetricFamily& family, std::string_view suffix, MetricsPage::LabelValues values, std::string_view extra,
                  double value) {
  text += family.name;
  text += suffix;
  AppendLabels(text, family, values, extra);
  constexpr double kExact = 9007199254740992;  // 2^53: up to there a whole number is printed as one
  if (value == std::floor(value) && std::abs(value) < kExact) {
    fmt::format_to(std::back_inserter(text), " {}\n", static_cast<int64_t>(value));
  } else {
    fmt::format_to(std::back_inserter(text), " {}\n", value);
  }
}

}  // namespace

ShardedCells::ShardedCells(size_t num_cells)
    : lines_per_shard_((num_cells + kCellsPerLine - 1) / kCellsPerLine), lines_(std::make_unique<Line[]>(lines_per_shard_ * NumShards())) {}

size_t ShardedCells::ChooseShard() {
  static std::atomic<size_t> num_threads = 0;
  shard_of_thread_ = num_threads.fetch_add(1, std::memory_order_relaxed) & (NumShards() - 1);
  return shard_of_thread_;
}

uint64_t ShardedCells::Sum(size_t cell) const {
  uint64_t sum = 0;
  for (size_t shard = 0; shard < NumShards(); ++shard) sum += At(shard, cell).load(std::memory_order_relaxed);
  return sum;
}

Histogram::Histogram(const MetricFamily& family) : bounds_(family.bounds), cells_(family.bounds.size() + 2) {}

void Histogram::Observe(uint64_t ticks) {
  // A lower bound without branches, which nobody could predict.
  size_t bucket = 0;
  for (size_t left = bounds_.size(); left > 0;) {
    const size_t half = (left + 1) / 2;
    bucket += bounds_[bucket + half - 1] < ticks ? half : 0;
    left -= half;
  }
  cells_.Add(bucket, 1);
  cells_.Add(bounds_.size() + 1, ticks);
}

void Histogram::Add(const Histogram& other) {
  assert(other.bounds_.data() == bounds_.data());
  for (size_t cell = 0; cell < bounds_.size() + 2; ++cell) cells_.Add(cell, other.cells_.Sum(cell));
}

uint64_t Histogram::count() const {
  uint64_t count = 0;
  for (size_t bucket = 0; bucket <= bounds_.size(); ++bucket) count += InBucket(bucket);
  return count;
}

MetricsPage::MetricsPage(std::span<const MetricFamily* const> families) {
  for (const MetricFamily* family : families) {
    by_name_[family->name] = sections_.size();
    sections_.push_back({.family = family});
  }
}

MetricsPage::Section* MetricsPage::SectionOf(const MetricFamily& family) {
  const auto found = by_name_.find(family.name);
  return found == by_name_.end() ? nullptr : &sections_[found->second];
}

void MetricsPage::Add(const MetricFamily& family, LabelValues labels, double value) {
  Section* section = SectionOf(family);
  if (section == nullptr) return;
  section->sum = section->sum.value_or(0) + value;
  AppendSample(section->samples, family, {}, labels, {}, value);
}

void MetricsPage::Add(const MetricFamily& family, LabelValues labels, const Histogram& histogram) {
  Section* section = SectionOf(family);
  if (section == nullptr) return;
  std::string& text = section->samples;
  uint64_t count = 0;
  for (size_t i = 0; i < histogram.bounds().size(); ++i) {
    count += histogram.InBucket(i);
    const std::string le = fmt::format("le=\"{:.6g}\"", static_cast<double>(histogram.bounds()[i]) / family.ticks_per_unit);
    AppendSample(text, family, "_bucket", labels, le, static_cast<double>(count));
  }
  count += histogram.InBucket(histogram.bounds().size());
  AppendSample(text, family, "_bucket", labels, "le=\"+Inf\"", static_cast<double>(count));
  AppendSample(text, family, "_sum", labels, {}, static_cast<double>(histogram.sum()) / family.ticks_per_unit);
  AppendSample(text, family, "_count", labels, {}, static_cast<double>(count));
}

std::optional<double> MetricsPage::Sum(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : sections_[found->second].sum;
}

std::string MetricsPage::Text() const {
  std::string text;
  for (const Section& section : sections_) {
    fmt::format_to(std::back_inserter(text), "# HELP {} {}\n# TYPE {} {}\n{}", section.family->name, section.family->help, section.family->name,
                   NameOf(section.family->type), section.samples);
  }
  return text;
}

}  // namespace tflite_serving
