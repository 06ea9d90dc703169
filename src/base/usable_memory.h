// How much memory this process may really use.
#pragma once

#include <cstddef>
#include <string>

namespace tflite_serving {

// The smaller of the machine's memory and the cgroup's limit (v2 and v1), in bytes.
size_t UsableMemoryBytes();

// The limit in a cgroup file's text, for tests: "1073741824\n" -> 2^30; "max" -> SIZE_MAX (no limit).
size_t ParseMemoryMax(const std::string& text);

}  // namespace tflite_serving
