// What there is to ask about a child process, and its end. All functions are thread-safe.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace tflite_serving {

// A line of /proc/PROCESS/status ("self", or a number), such as "VmHWM:\t  2088 kB", in bytes; 0 if there is none.
size_t ProcessMemory(std::string_view process, std::string_view field);

// Waits for a child to end; its wait status (wait(2)).
int WaitForChild(pid_t pid);

// "SIGKILL", or "exit status 3".
std::string DescribeEnd(int wait_status);

}  // namespace tflite_serving
