// A load generator that does not wait for the server: requests are due at times drawn beforehand (Poisson arrivals), and each is measured from when
// it was due, not from when it could be sent. So a server that stalls is charged with everything that would have been asked meanwhile, which a
// generator that waits for answers leaves out ("coordinated omission"). For comparison it can also wait: CLIENTS that each send again when they have
// the answer.
//
//   open_load protocol=http|grpc port=N path=/… type=MIME body=FILE seconds=S (rate=R seed=N | clients=N) connections=N streams=N log=FILE
//
// One thread. Connections are kept; a request takes the one that was free longest, and waits for one when all are busy. `streams` is how many
// requests a connection carries at once, 1 for HTTP. After the last request was due, answers are waited for at most kDrainSeconds.
//
// The log has a line for each request: when it was due, sent and answered, in microseconds since the start, and the Outcome as its number; -1 for
// what did not happen. Then one line of JSON is printed: {"wall_s": 10.1, "cpu_s": 0.8}, of the generator itself.
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "load_connection.h"

namespace tflite_serving {
namespace {

constexpr double kDrainSeconds = 10;
constexpr int kEventsAtOnce = 64;
constexpr double kNever = std::numeric_limits<double>::infinity();

struct Options {
  LoadRequest request;
  bool grpc = false;
  double seconds = 0;
  double rate = 0;  // arrivals a second; 0: `clients` that wait
  size_t clients = 0;
  size_t connections = 0;
  size_t streams = 0;
  unsigned seed = 0;
  std::string log_path;
};

// Times in seconds since the start; negative for what has not happened.
struct Record {
  double due;
  double sent = -1;
  double answered = -1;
  Outcome outcome = Outcome::kUnanswered;
};

class Generator {
 public:
  explicit Generator(const Options& options)
      : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), random_(options.seed), until_next_(options.rate > 0 ? options.rate : 1) {
    const auto opened = [this](LoadConnection& connection, int descriptor) {
      epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = &connection}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    };
    const auto done = [this](LoadConnection& connection, size_t id, Outcome outcome) { Finish(connection, id, outcome); };
    const auto make = options.grpc ? &MakeGrpcLoadConnection : &MakeHttpLoadConnection;
    for (size_t i = 0; i < options.connections; ++i) {
      connections_.push_back(make(options.request, opened, done));
      connections_.back()->Open();
    }
    for (size_t stream = 0; stream < options.streams; ++stream) {
      for (const auto& connection : connections_) free_.push_back(connection.get());
    }
  }

  void Run() {
    start_ = std::chrono::steady_clock::now();
    double next = options_.rate > 0 ? until_next_(random_) : kNever;
    for (size_t i = 0; i < options_.clients; ++i) Due(0);
    for (double now = 0;; now = Now()) {
      for (; next <= now && next < options_.seconds; next += until_next_(random_)) Due(next);
      SendWaiting();
      const bool all_due = now >= options_.seconds || (options_.rate > 0 && next >= options_.seconds);
      if (all_due && (num_answered_ == records_.size() || now >= options_.seconds + kDrainSeconds)) return;
      HandleEvents(std::min(next < options_.seconds ? next : kNever, options_.seconds + (now < options_.seconds ? 0 : kDrainSeconds)));
    }
  }

  const std::vector<Record>& records() const { return records_; }
  double Now() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  void Due(double time) {
    waiting_.push_back(records_.size());
    records_.push_back({.due = time});
  }

  void SendWaiting() {
    while (!waiting_.empty() && !free_.empty()) {
      const size_t id = waiting_.front();
      LoadConnection* const connection = free_.front();
      waiting_.pop_front();
      free_.pop_front();
      records_[id].sent = Now();
      connection->Send(id);
    }
  }

  void Finish(LoadConnection& connection, size_t id, Outcome outcome) {
    records_[id].answered = Now();
    records_[id].outcome = outcome;
    ++num_answered_;
    free_.push_back(&connection);
    if (options_.rate == 0 && records_[id].answered < options_.seconds) Due(records_[id].answered);
  }

  void HandleEvents(double until) {
    const double wait = std::max(0.0, until - Now());
    const timespec timeout{.tv_sec = static_cast<time_t>(wait),
                           .tv_nsec = static_cast<long>((wait - static_cast<double>(static_cast<time_t>(wait))) * 1e9)};
    epoll_event events[kEventsAtOnce];
    const int count = ::epoll_pwait2(epoll_, events, kEventsAtOnce, &timeout, nullptr);
    for (int i = 0; i < count; ++i) static_cast<LoadConnection*>(events[i].data.ptr)->OnReady();
  }

  const Options& options_;
  const int epoll_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> until_next_;
  std::chrono::steady_clock::time_point start_;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  std::deque<LoadConnection*> free_;  // each as often as it has room
  std::deque<size_t> waiting_;        // due, not sent
  std::vector<Record> records_;
  size_t num_answered_ = 0;
};

std::string Contents(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Options ParseOptions(int argc, char** argv) {
  std::map<std::string, std::string, std::less<>> words;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const size_t equals = word.find('=');
    if (equals != std::string_view::npos) words.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
  const auto number = [&](const char* name) { return std::atof(words[name].c_str()); };
  Options options{.request = {.port = static_cast<uint16_t>(number("port")),
                              .path = words["path"],
                              .content_type = words["type"],
                              .body = Contents(words["body"])},
                  .grpc = words["protocol"] == "grpc",
                  .seconds = number("seconds"),
                  .rate = number("rate"),
                  .clients = static_cast<size_t>(number("clients")),
                  .connections = static_cast<size_t>(number("connections")),
                  .streams = static_cast<size_t>(number("streams")),
                  .seed = static_cast<unsigned>(number("seed")),
                  .log_path = words["log"]};
  const bool complete = options.request.port != 0 && !options.request.path.empty() && !options.request.body.empty() && options.seconds > 0 &&
                        (options.rate > 0) != (options.clients > 0) && options.connections > 0 && options.streams > 0;
  if (complete && (options.grpc || (words["protocol"] == "http" && options.streams == 1))) return options;
  fmt::print(stderr,
             "usage: open_load protocol=http|grpc port=N path=/… type=MIME body=FILE seconds=S (rate=R seed=N | clients=N) connections=N "
             "streams=N log=FILE\n");
  std::exit(EXIT_FAILURE);
}

void WriteLog(const std::string& path, const std::vector<Record>& records) {
  std::ofstream log(path);
  const auto us = [](double seconds) { return seconds < 0 ? -1 : seconds * 1e6; };
  for (const Record& record : records) {
    log << fmt::format("{:.1f} {:.1f} {:.1f} {}\n", us(record.due), us(record.sent), us(record.answered), static_cast<int>(record.outcome));
  }
  if (log.flush()) return;
  fmt::print(stderr, "cannot write {}\n", path);
  std::exit(EXIT_FAILURE);
}

double CpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

int Run(const Options& options) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // else the kernel wakes us up to 50 us late
  Generator generator(options);
  const double cpu_before = CpuSeconds();
  generator.Run();
  fmt::print("{{\"wall_s\": {:.3f}, \"cpu_s\": {:.3f}}}\n", generator.Now(), CpuSeconds() - cpu_before);
  WriteLog(options.log_path, generator.records());
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) { return tflite_serving::Run(tflite_serving::ParseOptions(argc, argv)); }
