// Threads with names: `top -H` and a debugger show what each one is for. Every name has a row in ARCHITECTURE.md's thread table.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace tflite_serving {

// Starts `body` on a new thread called `name` (cut to the 15 characters that Linux keeps). All signals are blocked in it: the main thread handles
// them. The returned jthread joins when it is destroyed.
std::jthread StartThread(const std::string& name, std::function<void()> body);

// Gives the calling thread, and those that it will start, this niceness (see nice(2)) unless they have more already.
void StepBack(int niceness);

}  // namespace tflite_serving
