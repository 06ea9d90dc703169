// Child processes: their start, what there is to ask about them, and their end. All functions are thread-safe.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

// The descriptors that a child has; all others are closed by O_CLOEXEC.
struct ChildFiles {
  int in = -1;                   // standard input; -1, here and below: /dev/null
  int out = -1;                  // standard output
  int error = -1;                // standard error
  std::span<const int> kept;     // under the numbers that they have
  bool is_group_leader = false;  // of a process group of its own
};

// Starts `program` with these arguments behind its name, with no signal blocked or ignored, and this process's environment.
StatusOr<pid_t> StartChild(const std::string& program, std::vector<std::string> arguments, const ChildFiles& files);

// A line of /proc/PROCESS/status ("self", or a number), such as "VmHWM:\t  2088 kB", in bytes; 0 if there is none.
size_t ProcessMemory(std::string_view process, std::string_view field);

// Waits for a child to end; its wait status (wait(2)).
int WaitForChild(pid_t pid);

// "SIGKILL", or "exit status 3".
std::string DescribeEnd(int wait_status);

}  // namespace tflite_serving
