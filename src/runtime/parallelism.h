// How many interpreters a model gets and how many threads each: what measured runs say about it.
//
// Several interpreters of one thread answer more requests a second than one interpreter of several threads, unless they get into each other's way:
// a model whose weights do not fit in the cache reads them once for each interpreter, and is faster when its cores work on the same ones. What a
// model is cannot be seen from its file; trying tells (parallelism_probe.h).
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace tflite_serving {

struct Parallelism {
  int interpreters = 1;  // runs at the same time
  int threads = 1;       // of each

  std::string ToString() const;  // "2 interpreters of 1 thread"
  friend bool operator==(const Parallelism&, const Parallelism&) = default;
};

// What came of measuring a model.
struct ParallelismTrial {
  struct Measured {
    Parallelism parallelism;
    double runs_per_second = 0;
    double core_share = 0;  // RunTimes::core_share
  };
  int cpus = 1;                         // cores that it was to find a use for
  std::chrono::nanoseconds one_run{0};  // of one interpreter with one thread, on one made-up row; 0: none could be made
  std::vector<Measured> measured;       // those of the candidates that it came to, each once
};

// Without a reason to do otherwise: an interpreter of one thread for each core.
inline Parallelism DefaultParallelism(int cpus) { return {.interpreters = cpus, .threads = 1}; }

// What is worth measuring on so many cores: DefaultParallelism, fewer interpreters of one thread, and interpreters of 2, 4 … threads that take all
// cores together. The default is the first; those of equally many threads follow each other, with fewer and fewer interpreters.
std::vector<Parallelism> ParallelismCandidates(int cpus);

// A run that is expected to take longer does not belong onto an I/O thread: other connections wait there. A hop to another thread costs 5 to 20 µs.
// A model whose runs take no longer is not worth measuring: the thread that read the request runs it (LiteRtServable::RunsInline).
inline constexpr std::chrono::microseconds kInlineTime{50};
// As good as the best.
inline constexpr double kNearlyBest = 0.95;
// More threads have to be so much better. Measuring is kind to them: while a server has other things to do too, a run waits at each of its
// operators for the one of its threads that has lost its core. MobileNetV2 that ran as often with two threads cost 12 % more in a busy server.
inline constexpr double kThreadsMustGain = 1.1;
// Callers that had less of a core than this were disturbed, and their figures say nothing.
inline constexpr double kUndisturbed = 0.95;

struct ParallelismChoice {
  Parallelism parallelism;
  std::string why;  // "auto: 285 runs/s; 1 of 1: 143, 1 of 2: 281"

  std::string ToString() const;  // "2 interpreters of 1 thread (auto: 285 runs/s; 1 of 1: 143, 1 of 2: 281)"
};

// The best for a model on the trial's `cpus` cores: of what makes nearly the most runs a second, that with the fewest threads, and then with the
// fewest interpreters, which take memory. The default where that cannot be said: one core, a fast model, nothing measured, a disturbed measurement.
ParallelismChoice ChooseParallelism(const ParallelismTrial& trial);

}  // namespace tflite_serving
