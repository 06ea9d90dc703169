#include "custom/python_servable.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <future>
#include <iterator>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/queue_limit.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The status of a request, and its answer as text: "!" before one that is an error in the servable's words.
using Outcome = std::pair<Status, std::string>;

PythonServableOptions OptionsFor(const std::string& script) {
  PythonServableOptions options;
  options.command = {.program = TEST_WORKER, .python = TEST_WORKER, .script = script};
  options.load_timeout = seconds(60);
  options.request_timeout = seconds(60);
  options.first_pause = options.longest_pause = milliseconds(0);
  return options;
}

std::unique_ptr<PythonServable> Load(const PythonServableOptions& options) {
  StatusOr<std::unique_ptr<PythonServable>> servable = PythonServable::Create({"m", 1}, options);
  EXPECT_TRUE(servable.ok()) << servable.status().ToString();
  return servable.ok() ? *std::move(servable) : nullptr;
}

Status LoadError(const PythonServableOptions& options) { return PythonServable::Create({"m", 1}, options).status(); }

std::future<Outcome> Start(PythonServable& servable, std::string_view body, TimePoint deadline = kNoDeadline,
                           const Cancellation* cancellation = nullptr) {
  const auto outcome = std::make_shared<std::promise<Outcome>>();
  servable.RunJson({.body = body, .deadline = deadline, .cancellation = cancellation}, [outcome](const Status& status, const JsonAnswer& answer) {
    outcome->set_value({status, (answer.is_error ? "!" : "") + std::string(answer.text)});
  });
  return outcome->get_future();
}

Outcome Call(PythonServable& servable, std::string_view body) { return Start(servable, body).get(); }

size_t NumDescriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

TEST(PythonServableTest, JsonGoesThroughAsItIs) {
  const auto servable = Load(OptionsFor("json"));
  EXPECT_TRUE(servable->TakesJson());
  EXPECT_TRUE(servable->signatures().empty());
  EXPECT_EQ(Call(*servable, "{}"), Outcome(OkStatus(), "{}"));
  EXPECT_EQ(Call(*servable, ""), Outcome(OkStatus(), ""));
  EXPECT_EQ(Call(*servable, "wrong"), Outcome(OkStatus(), "!wrong"));
  const std::string large(size_t{5} << 20, 'x');
  EXPECT_TRUE(Call(*servable, large).second == large);
  EXPECT_GT(servable->memory_bytes(), 0u);
}

// One run of signature number `signature` on one tensor.
class TensorRun {
 public:
  TensorRun(PythonServable& servable, size_t signature, TensorView input) : inputs_{input} {
    servable.Run({.signature = &servable.signatures()[signature], .inputs = inputs_},
                 [this](const Status& status, std::span<const TensorView> outputs) {
                   if (status.ok()) bytes_.assign(reinterpret_cast<const char*>(outputs[0].bytes.data()), outputs[0].bytes.size());
                   status_.set_value(status);
                 });
  }
  Status Wait() { return status_.get_future().get(); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::array<TensorView, 1> inputs_;
  std::string bytes_;
  std::promise<Status> status_;
};

TEST(PythonServableTest, TensorsComeBack) {
  const auto servable = Load(OptionsFor("tensors"));
  ASSERT_EQ(servable->signatures().size(), 4u);
  EXPECT_EQ(servable->signatures()[0].ToString(), "serving_default: x float[?] -> y float[?]");
  EXPECT_TRUE(servable->batchable());
  const std::vector<float> values(100'000, 1.5F);
  const auto bytes = std::as_bytes(std::span(values));
  TensorRun run(*servable, 0, {DType::kFloat, {100'000}, bytes});
  ASSERT_TRUE(run.Wait().ok());
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(run.bytes())), bytes));
}

TEST(PythonServableTest, StringsAreCheckedWhereNobodyChangesThem) {
  const auto servable = Load(OptionsFor("tensors"));
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(2).ok());
  ASSERT_TRUE(builder.Add("one").ok());
  ASSERT_TRUE(builder.Add("").ok());
  const AlignedBuffer strings = builder.Finish();
  TensorRun run(*servable, 1, {DType::kString, {2}, strings.bytes()});
  ASSERT_TRUE(run.Wait().ok());
  EXPECT_EQ(run.bytes().size(), strings.size());
  TensorRun broken(*servable, 1, {DType::kString, {9}, strings.bytes()});
  EXPECT_EQ(broken.Wait().code(), StatusCode::kInternal);
}

TEST(PythonServableTest, WhatItAnswersIsHeldAgainstItsSignature) {
  const auto servable = Load(OptionsFor("tensors"));
  const float one = 1;
  const TensorView input{DType::kFloat, {1}, std::as_bytes(std::span(&one, 1))};
  TensorRun wrong(*servable, 2, input);
  EXPECT_EQ(wrong.Wait(), InternalError("output \"y\": expected int64[?], got float[1] of 4 bytes"));
  TensorRun far(*servable, 3, input);
  EXPECT_THAT(far.Wait().ToString(), StartsWith("INTERNAL: the worker names bytes 1099511627776 to"));
  TensorRun after(*servable, 0, input);
  EXPECT_TRUE(after.Wait().ok()) << "in a new process";
}

TEST(PythonServableTest, FaultsOfARequestAreItsOwn) {
  const auto servable = Load(OptionsFor("json"));
  EXPECT_EQ(Call(*servable, "error").first, InternalError("ValueError: it broke"));
  EXPECT_EQ(Call(*servable, "abort").first, UnavailableError("the servable's worker ended (SIGABRT)"));
  EXPECT_EQ(Call(*servable, "a").second, "a");
  EXPECT_THAT(Call(*servable, "garbage").first.ToString(), StartsWith("INTERNAL: the worker sent a message of unknown type 7"));
  EXPECT_EQ(Call(*servable, "other").first, InternalError("the worker answered something else than it was asked"));
  EXPECT_EQ(Call(*servable, "silence").first.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Call(*servable, "print").second, "print");
  EXPECT_EQ(Call(*servable, "last").first, InternalError("SystemExit: 3"));
  EXPECT_EQ(Call(*servable, "a").second, "a") << "by another process";
}

TEST(PythonServableTest, TheReasonOfAnEndIsNoLineOfAnotherRequest) {
  const auto servable = Load(OptionsFor("json"));
  const Status without = UnavailableError("the servable's worker ended (SIGABRT)");
  EXPECT_EQ(Call(*servable, "print").second, "print");
  EXPECT_EQ(Call(*servable, "abort").first, without);
  EXPECT_EQ(Call(*servable, "part").second, "part");
  EXPECT_EQ(Call(*servable, "abort").first, without);
  EXPECT_EQ(Call(*servable, "print and abort").first, UnavailableError("the servable's worker ended (SIGABRT): its line"));
  EXPECT_EQ(Call(*servable, "abort").first, without) << "whose predecessor printed it";
}

TEST(PythonServableTest, WhatTheServableFailsIsAWarning) {
  const auto servable = Load(OptionsFor("json"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(Call(*servable, "refuse").first, InvalidArgumentError("not this"));
  EXPECT_EQ(Call(*servable, "error").first, InternalError("ValueError: it broke"));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, ContainsRegex("W custom/python_worker.cc:[0-9]+\\] \\{name: m version: 1\\} worker 0: a request failed: ValueError: it broke\n"));
  EXPECT_THAT(log, Not(HasSubstr("not this")));
}

#if !defined(TFLS_ADDRESS_SANITIZER)  // UBSan needs descriptors itself: it looks at objects through a pipe
TEST(PythonServableTest, WithoutADescriptorForItsEventItDoesNotLoad) {
  const PythonServableOptions options = OptionsFor("json");
  const UniqueFd lowest(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));  // all below it are taken
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest.get()) + 1, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Status status = LoadError(options);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), StartsWith("an eventfd for a worker"));
}
#endif

#if defined(TFLS_ADDRESS_SANITIZER) || defined(TFLS_THREAD_SANITIZER)
constexpr int kEnds = 100;  // of programs that start slowly
#else
constexpr int kEnds = 1000;
#endif

TEST(PythonServableTest, AThousandEndsLeaveNothingBehind) {
  const auto servable = Load(OptionsFor("json"));
  Call(*servable, "abort");
  Call(*servable, "a");
  const size_t descriptors = NumDescriptors();
  for (int i = 0; i < kEnds; ++i) ASSERT_EQ(Call(*servable, "abort").first.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Call(*servable, "a").second, "a");
  EXPECT_EQ(NumDescriptors(), descriptors);
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
  EXPECT_EQ(info.si_pid, 0) << "a child that nobody waited for";
}

TEST(PythonServableTest, OneThatEndsAgainAndAgainIsLeftAloneForAWhile) {
  PythonServableOptions options = OptionsFor("json");
  options.first_pause = options.longest_pause = std::chrono::hours(1);
  const auto servable = Load(options);
  EXPECT_TRUE(servable->health().ok());
  Call(*servable, "abort");
  EXPECT_EQ(Call(*servable, "a").second, "a") << "it was started again at once";
  Call(*servable, "abort");
  std::future<Outcome> last = Start(*servable, "print and abort");
  std::future<Outcome> waiting = Start(*servable, "a");
  EXPECT_EQ(last.get().first, UnavailableError("the servable's worker ended (SIGABRT): its line"));
  EXPECT_EQ(waiting.get().first.code(), StatusCode::kUnavailable) << "and does not wait for an hour";
  EXPECT_EQ(servable->health(), UnavailableError("worker 0 has ended 2 times without an answer, and is started again after 3600.0 s: the servable's "
                                                 "worker ended (SIGABRT)"))
      << "without the line that another's request printed";
  EXPECT_EQ(Call(*servable, "a").first, servable->health());
}

TEST(PythonServableTest, ARequestThatTakesTooLongEndsItsWorker) {
  PythonServableOptions options = OptionsFor("json");
  options.request_timeout = milliseconds(50);
  const auto servable = Load(options);
  EXPECT_EQ(Call(*servable, "hang").first,
            UnavailableError("the worker took longer than 0.1 s for a request (request_timeout_seconds), and was ended"));
  EXPECT_EQ(Call(*servable, "a").second, "a");
}

TEST(PythonServableTest, NobodyWaitsLongerThanTheDeadlineOrTheClient) {
  const auto servable = Load(OptionsFor("json"));
  Cancellation gone;
  std::future<Outcome> running = Start(*servable, "hang", kNoDeadline, &gone);
  std::future<Outcome> waiting = Start(*servable, "a", Clock::Steady().Now() + milliseconds(10));
  EXPECT_EQ(waiting.get().first.code(), StatusCode::kDeadlineExceeded);
  gone.Cancel();
  EXPECT_EQ(running.get().first.code(), StatusCode::kCancelled);
}

TEST(PythonServableTest, MemoryIsLimited) {
  PythonServableOptions options = OptionsFor("json");
  options.max_memory_bytes = size_t{128} << 20;
  const auto servable = Load(options);
  const Status status = Call(*servable, "leak").first;
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("where 128 are allowed (max_memory_mb)"));
}

TEST(PythonServableTest, LoadsThatFail) {
  EXPECT_EQ(LoadError(OptionsFor("fail")), InvalidArgumentError("NameError: no such thing"));
  EXPECT_EQ(LoadError(OptionsFor("exit")), UnavailableError("the servable's worker ended (exit status 3): no luck"));
  EXPECT_THAT(LoadError(OptionsFor("garbage")).ToString(), StartsWith("INTERNAL: the worker sent a message of unknown type 99"));
  PythonServableOptions hangs = OptionsFor("hang");
  hangs.load_timeout = milliseconds(50);
  EXPECT_EQ(LoadError(hangs), DeadlineExceededError("the servable was not loaded after 0.1 s (load_timeout_seconds)"));
  Cancellation stop;
  stop.Cancel();
  hangs.load_timeout = seconds(60);
  hangs.stop = &stop;
  EXPECT_EQ(LoadError(hangs).code(), StatusCode::kCancelled);
  PythonServableOptions nowhere = OptionsFor("json");
  nowhere.command.python = "/none/python";
  EXPECT_EQ(LoadError(nowhere),
            UnavailableError("the servable's worker ended (exit status 127): cannot run /none/python: No such file or directory"));
}

TEST(PythonServableTest, WorkersShareTheRequests) {
  PythonServableOptions options = OptionsFor("json");
  options.num_workers = 2;
  const auto servable = Load(options);
  Cancellation gone;
  std::future<Outcome> busy = Start(*servable, "hang", kNoDeadline, &gone);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Call(*servable, "a").second, "a") << "by the other";
  gone.Cancel();
  EXPECT_EQ(busy.get().first.code(), StatusCode::kCancelled);
}

TEST(CustomTaskQueueTest, IsBounded) {
  CustomTaskQueue queue(1, seconds(2));
  std::vector<Status> ended;
  const auto push = [&] {
    CustomTask task{.request = JsonRunRequest(), .done = JsonRunDone([&ended](const Status& status, const JsonAnswer&) { ended.push_back(status); })};
    return queue.Push(task);
  };
  for (size_t i = 0; i < CustomTaskQueue::kMaxQueued; ++i) ASSERT_TRUE(push().ok());
  EXPECT_EQ(push(), UnavailableError("too many requests are waiting; try again later"));
  CustomTaskQueue slow(1, seconds(2));
  for (int i = 0; i < 100; ++i) slow.Record(seconds(1));
  size_t accepted = 0;
  for (CustomTask task; slow.Push(task).ok(); task = {}) ++accepted;
  EXPECT_EQ(accepted, QueueLimit::kAlwaysQueued) << "which would take 16 s";
}

}  // namespace
}  // namespace tflite_serving
