// The bare runtime, to measure the server against: LiteRT's C calls in a loop, with nothing around them.
//
//   bare_runtime MODEL.tflite THREADS SECONDS [BATCH]
//
// Each thread has an interpreter of its own (one compiled model, single-threaded, as in the server's pool, sharing packed weights the same way)
// and runs the model's first signature on preset random input, a first dimension that is open set to BATCH (1), any other open one to 1.
// Compiling and the first runs are not in the measured window. One line of JSON comes out:
//
//   {"items": 1234, "wall_s": 4.0, "cpu_s": 7.9, "p50_us": 3200.0, "p99_us": 3900.0, "pss_kib": 41276, "samples_us": [3201.5, …]}
//
// items: rows, BATCH for each run in the window, of all threads. cpu_s: user and system time of the process in the window. p50_us, p99_us: of
// single runs. pss_kib: memory of the process at the end, as /proc/PID/smaps_rollup tells it. samples_us: durations of at most kMaxSamples runs,
// spread evenly over the window.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "runtime/litert_c_api.h"

// What this program needs of the C ABI beyond the server.
extern "C" {
typedef struct LiteRtTensorT* LiteRtTensor;
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature signature, LiteRtParamIndex index, LiteRtTensor* tensor);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature signature, LiteRtParamIndex index, LiteRtTensor* tensor);
LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor tensor, LiteRtRankedTensorType* type);
}

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kAlignment = 64;  // below this the runtime copies
constexpr int kWarmUpRuns = 3;
constexpr size_t kMaxTimings = size_t{1} << 22;  // of each thread; a faster model's later runs are counted, not timed
constexpr size_t kMaxSamples = 4000;

void Check(LiteRtStatus status, const char* call) {
  if (status == kLiteRtStatusOk) return;
  fmt::print(stderr, "{}: status {}\n", call, static_cast<int>(status));
  std::exit(EXIT_FAILURE);
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

Memory Allocate(size_t size) {
  const size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  Memory memory(std::aligned_alloc(kAlignment, rounded));
  std::memset(memory.get(), 0, rounded);
  return memory;
}

// What all interpreters share.
struct Model {
  std::vector<char> file;
  LiteRtEnvironment environment = nullptr;
  LiteRtModel model = nullptr;
  LiteRtSignature signature = nullptr;
  std::string cpu_options;  // TOML

  explicit Model(const char* path) {
    std::ifstream stream(path, std::ios::binary);
    file.assign(std::istreambuf_iterator<char>(stream), {});
    if (file.empty()) {
      fmt::print(stderr, "cannot read {}\n", path);
      std::exit(EXIT_FAILURE);
    }
    const LiteRtEnvOption options[] = {
        {.tag = kLiteRtEnvOptionTagAutoRegisterAccelerators, .value = {.type = kLiteRtAnyTypeInt, .int_value = kLiteRtHwAcceleratorCpu}},
        {.tag = kLiteRtEnvOptionTagMinLoggerSeverity, .value = {.type = kLiteRtAnyTypeInt, .int_value = kLiteRtLogSeveritySilent}}};
    Check(LiteRtCreateEnvironment(std::size(options), options, &environment), "LiteRtCreateEnvironment");
    Check(LiteRtCreateModelFromBuffer(environment, file.data(), file.size(), &model), "LiteRtCreateModelFromBuffer");
    Check(LiteRtGetModelSignature(model, 0, &signature), "LiteRtGetModelSignature");
    const int weight_cache = ::memfd_create("weights", MFD_CLOEXEC);
    cpu_options = fmt::format("num_threads = 1\nweight_cache_file_path = \"/proc/self/fd/{}\"\n", weight_cache);
  }
};

// One compiled model with its input and output memory.
class Interpreter {
 public:
  Interpreter(const Model& model, unsigned seed, int batch) {
    Compile(model);
    LiteRtParamIndex num_inputs = 0;
    LiteRtParamIndex num_outputs = 0;
    Check(LiteRtGetNumSignatureInputs(model.signature, &num_inputs), "LiteRtGetNumSignatureInputs");
    Check(LiteRtGetNumSignatureOutputs(model.signature, &num_outputs), "LiteRtGetNumSignatureOutputs");
    for (size_t i = 0; i < num_inputs; ++i) AddInput(model, i, seed, batch);
    std::vector<LiteRtLayout> layouts(num_outputs);
    Check(LiteRtGetCompiledModelOutputTensorLayouts(compiled_, 0, num_outputs, layouts.data(), true), "LiteRtGetCompiledModelOutputTensorLayouts");
    for (size_t i = 0; i < num_outputs; ++i) AddOutput(model, i, layouts[i]);
  }

  void Run() {
    Check(LiteRtRunCompiledModel(compiled_, 0, inputs_.size(), inputs_.data(), outputs_.size(), outputs_.data()), "LiteRtRunCompiledModel");
  }

 private:
  void Compile(const Model& model) {
    LiteRtOptions options = nullptr;
    Check(LiteRtCreateOptions(&options), "LiteRtCreateOptions");
    Check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "LiteRtSetOptionsHardwareAccelerators");
    LiteRtOpaqueOptions cpu_options = nullptr;
    Check(LiteRtCreateOpaqueOptions("xnnpack", ::strdup(model.cpu_options.c_str()), std::free, &cpu_options), "LiteRtCreateOpaqueOptions");
    Check(LiteRtAddOpaqueOptions(options, cpu_options), "LiteRtAddOpaqueOptions");
    Check(LiteRtCreateCompiledModel(model.environment, model.model, options, &compiled_), "LiteRtCreateCompiledModel");
    LiteRtDestroyOptions(options);
  }

  void AddInput(const Model& model, size_t index, unsigned seed, int batch) {
    LiteRtTensor tensor = nullptr;
    LiteRtRankedTensorType type{};
    Check(LiteRtGetSignatureInputTensorByIndex(model.signature, index, &tensor), "LiteRtGetSignatureInputTensorByIndex");
    Check(LiteRtGetRankedTensorType(tensor, &type), "LiteRtGetRankedTensorType");
    if (type.layout.rank > 0 && type.layout.dimensions[0] < 0) type.layout.dimensions[0] = batch;
    for (unsigned i = 0; i < type.layout.rank; ++i) type.layout.dimensions[i] = std::max(type.layout.dimensions[i], 1);
    if (type.layout.rank > 0) {
      Check(LiteRtCompiledModelResizeInputTensorNonStrict(compiled_, 0, index, type.layout.dimensions, type.layout.rank), "Resize");
    }
    LiteRtTensorBufferRequirements requirements = nullptr;
    Check(LiteRtGetCompiledModelInputBufferRequirements(compiled_, 0, index, &requirements), "LiteRtGetCompiledModelInputBufferRequirements");
    void* memory = AddBuffer(type, requirements, inputs_);
    FillRandomly(type, memory, seed);
  }

  void AddOutput(const Model& model, size_t index, const LiteRtLayout& layout) {
    LiteRtTensor tensor = nullptr;
    LiteRtRankedTensorType type{};
    Check(LiteRtGetSignatureOutputTensorByIndex(model.signature, index, &tensor), "LiteRtGetSignatureOutputTensorByIndex");
    Check(LiteRtGetRankedTensorType(tensor, &type), "LiteRtGetRankedTensorType");
    type.layout = layout;
    LiteRtTensorBufferRequirements requirements = nullptr;
    Check(LiteRtGetCompiledModelOutputBufferRequirements(compiled_, 0, index, &requirements), "LiteRtGetCompiledModelOutputBufferRequirements");
    AddBuffer(type, requirements, outputs_);
  }

  void* AddBuffer(const LiteRtRankedTensorType& type, LiteRtTensorBufferRequirements requirements, std::vector<LiteRtTensorBuffer>& buffers) {
    size_t size = 0;
    Check(LiteRtGetTensorBufferRequirementsBufferSize(requirements, &size), "LiteRtGetTensorBufferRequirementsBufferSize");
    memory_.push_back(Allocate(size));
    last_size_ = size;
    buffers.push_back(nullptr);
    Check(LiteRtCreateTensorBufferFromHostMemory(&type, memory_.back().get(), size, nullptr, &buffers.back()), "LiteRtCreateTensorBuffer");
    return memory_.back().get();
  }

  void FillRandomly(const LiteRtRankedTensorType& type, void* memory, unsigned seed) {
    std::mt19937 generator(seed);
    if (type.element_type == kLiteRtElementTypeFloat32) {
      std::uniform_real_distribution<float> values(-1.0F, 1.0F);
      float* floats = static_cast<float*>(memory);
      std::generate(floats, floats + last_size_ / sizeof(float), [&] { return values(generator); });
    } else {
      auto* bytes = static_cast<unsigned char*>(memory);
      std::generate(bytes, bytes + last_size_, [&] { return static_cast<unsigned char>(generator()); });
    }
  }

  LiteRtCompiledModel compiled_ = nullptr;
  std::vector<Memory> memory_;
  size_t last_size_ = 0;
  std::vector<LiteRtTensorBuffer> inputs_;
  std::vector<LiteRtTensorBuffer> outputs_;
};

struct Tally {
  size_t runs = 0;
  std::vector<uint32_t> timings_ns;
};

Tally RunUntil(Interpreter& interpreter, Clock::time_point end) {
  Tally tally;
  tally.timings_ns.reserve(kMaxTimings);
  Clock::time_point before = Clock::now();
  while (before < end) {
    interpreter.Run();
    const Clock::time_point after = Clock::now();
    if (tally.timings_ns.size() < kMaxTimings) tally.timings_ns.push_back(static_cast<uint32_t>((after - before).count()));
    before = after;
    ++tally.runs;
  }
  return tally;
}

double CpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double PercentileUs(std::vector<uint32_t>& timings_ns, double share) {
  if (timings_ns.empty()) return 0;
  const auto position = timings_ns.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(timings_ns.size() - 1));
  std::ranges::nth_element(timings_ns, position);
  return *position / 1e3;
}

size_t PssKib() {
  std::ifstream stream("/proc/self/smaps_rollup");
  for (std::string word; stream >> word;) {
    size_t kib = 0;
    if (word == "Pss:" && stream >> kib) return kib;
  }
  return 0;
}

std::string Samples(const std::vector<uint32_t>& timings_ns) {
  const size_t stride = timings_ns.size() / kMaxSamples + 1;
  std::string text;
  for (size_t i = 0; i < timings_ns.size(); i += stride) text += fmt::format("{}{:.2f}", i == 0 ? "" : ", ", timings_ns[i] / 1e3);
  return text;
}

int Measure(const char* path, int num_threads, double seconds, int batch) {
  const Model model(path);
  std::vector<std::unique_ptr<Interpreter>> interpreters;
  for (int i = 0; i < num_threads; ++i) {
    interpreters.push_back(std::make_unique<Interpreter>(model, static_cast<unsigned>(i), batch));
    for (int run = 0; run < kWarmUpRuns; ++run) interpreters.back()->Run();
  }
  const double cpu_before = CpuSeconds();
  const Clock::time_point begin = Clock::now();
  const Clock::time_point end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::vector<Tally> tallies(interpreters.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < interpreters.size(); ++i) threads.emplace_back([&, i] { tallies[i] = RunUntil(*interpreters[i], end); });
  for (std::thread& thread : threads) thread.join();
  const double wall_s = std::chrono::duration<double>(Clock::now() - begin).count();
  const double cpu_s = CpuSeconds() - cpu_before;

  const size_t pss_kib = PssKib();  // before the timings are put together

  size_t items = 0;
  std::vector<uint32_t> timings_ns;
  for (const Tally& tally : tallies) {
    items += tally.runs * static_cast<size_t>(batch);
    timings_ns.insert(timings_ns.end(), tally.timings_ns.begin(), tally.timings_ns.end());
  }
  const std::string samples = Samples(timings_ns);  // before PercentileUs reorders them
  fmt::print(
      "{{\"items\": {}, \"wall_s\": {:.3f}, \"cpu_s\": {:.3f}, \"p50_us\": {:.2f}, \"p99_us\": {:.2f}, \"pss_kib\": {}, \"samples_us\": [{}]}}\n",
      items, wall_s, cpu_s, PercentileUs(timings_ns, 0.5), PercentileUs(timings_ns, 0.99), pss_kib, samples);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const int batch = argc == 5 ? std::atoi(argv[4]) : 1;
  if (argc < 4 || argc > 5 || batch < 1) {
    fmt::print(stderr, "usage: bare_runtime MODEL.tflite THREADS SECONDS [BATCH]\n");
    return EXIT_FAILURE;
  }
  return Measure(argv[1], std::atoi(argv[2]), std::atof(argv[3]), batch);
}
