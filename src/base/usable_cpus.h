// How many cores this process may really use.
#pragma once

#include <string>

namespace tflite_serving {

// The smaller of the affinity mask and the cgroup's CPU quota (rounded up), and at least 1. Reads cgroup v2 and v1.
int UsableCpus();

// The same quota read from a cgroup file's text, for tests: "200000 100000" -> 2; "max 100000" -> 0 (no quota).
int ParseCpuMax(const std::string& text);

}  // namespace tflite_serving
