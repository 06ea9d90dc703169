// What a servable in Python costs at its interface: runs of a PythonServable, one after the other from each caller, without a server around it.
//
//   custom_servable PYTHON WORKER_SCRIPT MODULE CLASS INSTANCES CALLERS SECONDS
//
// The servable has one input and one output of floats, [1,224,224,3]. Prints one line of JSON: {"runs", "wall_s", "p50_us", "p99_us"}.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "custom/python_servable.h"
#include "custom/worker_process.h"

namespace tflite_serving {
namespace {

using Seconds = std::chrono::duration<double>;

// Microseconds of each run.
std::vector<double> RunFor(PythonServable& servable, std::chrono::seconds time) {
  const Shape shape{1, 224, 224, 3};
  Tensor image = *Tensor::Create(DType::kFloat, shape);
  std::ranges::fill(image.bytes(), std::byte{0});
  const TensorView view = image.view();
  std::vector<double> microseconds;
  for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {
    std::promise<Status> done;
    const auto start = std::chrono::steady_clock::now();
    servable.Run({.signature = servable.signatures().data(), .inputs = {&view, 1}},
                 [&done](const Status& status, std::span<const TensorView>) { done.set_value(status); });
    if (const Status status = done.get_future().get(); !status.ok()) {
      fmt::print(stderr, "{}\n", status.ToString());
      std::exit(EXIT_FAILURE);
    }
    microseconds.push_back(Seconds(std::chrono::steady_clock::now() - start).count() * 1e6);
  }
  return microseconds;
}

int Measure(std::span<char*> words) {
  PythonServableOptions options{.command = {.python = words[0], .script = words[1]},
                                .values = {{"module_path", words[2]}, {"model_class_name", words[3]}, {"servable_path", "/"}},
                                .num_workers = std::atoi(words[4])};
  const StatusOr<std::unique_ptr<PythonServable>> servable = PythonServable::Create({"m", 1}, options);
  if (!servable.ok()) {
    fmt::print(stderr, "{}\n", servable.status().ToString());
    return EXIT_FAILURE;
  }
  const std::chrono::seconds time(std::atoi(words[6]));
  std::vector<std::future<std::vector<double>>> callers;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < std::atoi(words[5]); ++i) callers.push_back(std::async(std::launch::async, [&] { return RunFor(**servable, time); }));
  std::vector<double> all;
  for (auto& caller : callers) std::ranges::copy(caller.get(), std::back_inserter(all));
  const double wall = Seconds(std::chrono::steady_clock::now() - start).count();
  std::ranges::sort(all);
  fmt::print("{{\"runs\": {}, \"wall_s\": {}, \"p50_us\": {}, \"p99_us\": {}}}\n", all.size(), wall, all[all.size() / 2], all[all.size() * 99 / 100]);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<size_t>(argc));
  if (words.size() > 1 && words[1] == tflite_serving::kPythonWorkerFlag) {
    return tflite_serving::LaunchWorker(std::span<const char* const>(argv, words.size()).subspan(2));
  }
  if (words.size() == 8) return tflite_serving::Measure(words.subspan(1));
  std::fputs("usage: custom_servable PYTHON WORKER_SCRIPT MODULE CLASS INSTANCES CALLERS SECONDS\n", stderr);
  return EXIT_FAILURE;
}
