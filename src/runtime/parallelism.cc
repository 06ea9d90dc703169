#include "runtime/parallelism.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

using Measured = ParallelismTrial::Measured;

// Of those with at most `threads` threads each.
double MostRuns(const std::vector<Measured>& measured, int threads) {
  double most = 0;
  for (const Measured& one : measured) {
    if (one.parallelism.threads <= threads) most = std::max(most, one.runs_per_second);
  }
  return most;
}

std::string RateText(double rate) { return rate < 99.5 ? fmt::format("{:.3g}", rate) : fmt::format("{:.0f}", rate); }

std::string WhyMeasured(const std::vector<Measured>& measured, const Measured& chosen) {
  std::string why = fmt::format("auto: {} runs/s", RateText(chosen.runs_per_second));
  const char* separator = "; ";
  for (const Measured& one : measured) {
    if (one.parallelism == chosen.parallelism) continue;
    why += fmt::format("{}{} of {}: {}", separator, one.parallelism.interpreters, one.parallelism.threads, RateText(one.runs_per_second));
    separator = ", ";
  }
  return why;
}

}  // namespace

std::string Parallelism::ToString() const {
  return fmt::format("{} interpreter{} of {} thread{}", interpreters, interpreters == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
}

std::string ParallelismChoice::ToString() const { return fmt::format("{} ({})", parallelism.ToString(), why); }

std::vector<Parallelism> ParallelismCandidates(int cpus) {
  std::vector<Parallelism> candidates = {DefaultParallelism(cpus)};
  int fewer = 1;
  while (fewer * 2 < cpus) fewer *= 2;
  for (; fewer >= 1 && fewer < cpus; fewer /= 2) candidates.push_back({.interpreters = fewer, .threads = 1});
  for (int threads = 2; threads < cpus; threads *= 2) candidates.push_back({.interpreters = cpus / threads, .threads = threads});
  if (cpus > 1) candidates.push_back({.interpreters = 1, .threads = cpus});
  return candidates;
}

ParallelismChoice ChooseParallelism(const ParallelismTrial& trial) {
  const auto stay = [&](std::string why) { return ParallelismChoice{DefaultParallelism(trial.cpus), std::move(why)}; };
  if (trial.cpus == 1) return stay("auto: one usable core");
  if (trial.one_run.count() == 0) return stay("auto: not measured");
  if (trial.one_run <= kInlineTime) return stay("auto: a fast model");
  const auto standard = std::ranges::find(trial.measured, DefaultParallelism(trial.cpus), &Measured::parallelism);
  if (standard == trial.measured.end()) return stay("auto: too slow to be measured");
  // The others need not be held against it: a disturbance only makes them worse, and that speaks for the default.
  if (standard->core_share < kUndisturbed) {
    return stay(fmt::format("auto: not measured, since the cores were busy: runs had {:.0f} % of their time", 100 * standard->core_share));
  }
  const double most_of_one_thread = MostRuns(trial.measured, 1);
  const double most_of_all = MostRuns(trial.measured, trial.cpus);
  const bool threads_pay = most_of_all >= kThreadsMustGain * most_of_one_thread;
  const double enough = kNearlyBest * (threads_pay ? most_of_all : most_of_one_thread);
  const Measured* chosen = &*standard;
  const auto cost = [](const Measured& one) { return std::tuple(one.parallelism.threads, one.parallelism.interpreters); };
  for (const Measured& one : trial.measured) {
    if (one.runs_per_second < enough || (!threads_pay && one.parallelism.threads > 1)) continue;
    if (chosen->runs_per_second < enough || cost(one) < cost(*chosen)) chosen = &one;
  }
  return {chosen->parallelism, WhyMeasured(trial.measured, *chosen)};
}

}  // namespace tflite_serving
