// What Classify and Regress answer: the values that pass from `serving`, which works them out, to the protocols, which write them.
#pragma once

#include <cstddef>
#include <string_view>
#include <variant>
#include <vector>

namespace tflite_serving {

enum class InferenceMethod { kClassify, kRegress };

// One class of one example.
struct ClassScore {
  std::string_view label;  // empty where the model gives none
  float score = 0;         // 0 where the model gives none
};

// The most of them that one answer may hold: each takes about a hundred bytes of memory until it has been written.
inline constexpr size_t kMaxClassScores = size_t{1} << 22;

struct Classifications {
  size_t num_examples = 0;
  size_t classes_per_example = 0;
  std::vector<ClassScore> classes;  // example by example
};

struct Regressions {
  std::vector<float> values;  // one for each example
};

// A value. The labels belong to whoever gave it (InferDone says until when).
using InferenceResult = std::variant<Classifications, Regressions>;

}  // namespace tflite_serving
