#include "config/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace tflite_serving {
namespace {

constexpr size_t kCharactersPerError = 3;

std::string Normalize(std::string_view name) {
  std::string normal(name);
  for (char& c : normal) {
    if (c == '-') c = '_';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normal;
}

size_t Distance(std::string_view a, std::string_view b) {
  // Rows of the usual table: cell j of `row` is the distance of a's first i characters from b's first j.
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before_last, last);
    std::swap(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string_view> NearestName(std::string_view typed, std::span<const std::string_view> names) {
  const std::string wanted = Normalize(typed);
  const size_t limit = wanted.size() / kCharactersPerError;
  std::optional<std::string_view> nearest;
  size_t nearest_distance = limit + 1;
  for (const std::string_view name : names) {
    // Lengths that differ by more cannot be near, and the table for a very long word need not be built.
    const size_t length_difference = std::max(wanted.size(), name.size()) - std::min(wanted.size(), name.size());
    if (length_difference >= nearest_distance) continue;
    const size_t distance = Distance(wanted, Normalize(name));
    if (distance >= nearest_distance) continue;
    nearest = name;
    nearest_distance = distance;
  }
  return nearest;
}

}  // namespace tflite_serving
