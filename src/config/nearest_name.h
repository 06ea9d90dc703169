// "Did you mean …?"
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace tflite_serving {

// The one of `names` that a person who typed `typed` most likely meant, or nothing if none is near. Near is at most one error for each three
// characters typed, where an error is a character too many, missing or wrong, or two neighbours swapped (the Damerau-Levenshtein distance in its
// restricted form: no character is edited twice). Letter case, and '-' for '_', do not count as errors. The first of equally near names is taken.
std::optional<std::string_view> NearestName(std::string_view typed, std::span<const std::string_view> names);

}  // namespace tflite_serving
