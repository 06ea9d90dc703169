#include "runtime/timed_runs.h"

#include <time.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/thread.h"

namespace tflite_serving {
namespace {

// The best of these counts: whatever else the machine does only makes a try slower.
constexpr int kTries = 5;
// Of each caller: what is kept for the quantiles. Runs of a microsecond for ten seconds.
constexpr size_t kMaxKeptTimes = 10'000'000;

using WallClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

nanoseconds ThreadTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

struct Caller {
  std::vector<nanoseconds> times;
  nanoseconds wall{0};  // from its first call to the end of its last
  nanoseconds cpu{0};
  Status status;
};

void Call(int number, const std::function<Status(int)>& run, nanoseconds time, Caller& caller) {
  const nanoseconds cpu_before = ThreadTime();
  const WallClock::time_point first = WallClock::now();
  WallClock::time_point now = first;
  do {
    const WallClock::time_point start = now;
    caller.status = run(number);
    now = WallClock::now();
    caller.times.push_back(now - start);
  } while (caller.status.ok() && now < first + time && caller.times.size() < kMaxKeptTimes);
  caller.wall = now - first;
  caller.cpu = ThreadTime() - cpu_before;
}

StatusOr<RunTimes> TimeOnce(int num_callers, nanoseconds time, const std::function<Status(int)>& run) {
  std::vector<Caller> callers(static_cast<size_t>(num_callers));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < num_callers; ++i) {
      threads.push_back(StartThread("bench", [&, i] { Call(i, run, time, callers[static_cast<size_t>(i)]); }));
    }
  }
  RunTimes result;
  std::vector<nanoseconds> times;
  nanoseconds wall{1};
  nanoseconds cpu{0};
  for (Caller& caller : callers) {
    TFLS_RETURN_IF_ERROR(caller.status);
    times.insert(times.end(), caller.times.begin(), caller.times.end());
    // Each caller's own rate, since the last of them runs alone for a while.
    result.runs_per_second += static_cast<double>(caller.times.size()) / std::chrono::duration<double>(caller.wall + nanoseconds(1)).count();
    wall += caller.wall;
    cpu += caller.cpu;
  }
  std::ranges::sort(times);
  result.median = times[times.size() / 2];
  result.p99 = times[times.size() * 99 / 100];
  result.core_share = static_cast<double>(cpu.count()) / static_cast<double>(wall.count());
  return result;
}

}  // namespace

StatusOr<RunTimes> TimeRuns(int num_callers, nanoseconds time, const std::function<Status(int)>& run) {
  const WallClock::time_point end = WallClock::now() + time;
  RunTimes best;
  for (int i = 0; i == 0 || (i < kTries && WallClock::now() < end); ++i) {
    TFLS_ASSIGN_OR_RETURN(const RunTimes times, TimeOnce(num_callers, time / kTries, run));
    if (times.runs_per_second > best.runs_per_second) best = times;
  }
  return best;
}

}  // namespace tflite_serving
