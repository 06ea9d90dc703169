// What the control groups around this process say of its limits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tflite_serving {

// The texts of the cgroup v2 file `name` ("cpu.max"), from this process's own group up to the root; groups without it are left out.
std::vector<std::string> ReadCgroupFiles(std::string_view name);

}  // namespace tflite_serving
