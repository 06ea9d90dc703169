#include "telemetry/line_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr mode_t kFileMode = 0640;
// How long a reader that has stopped is waited for between two looks at whether it is time to end, and in all once it is.
constexpr int kPollMs = 100;
constexpr std::chrono::seconds kLastWait{1};

StatusOr<UniqueFd> OpenLog(const std::string& path) {
  const int fd = path == "stderr"   ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
                 : path == "stdout" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                                    : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, kFileMode);
  if (fd < 0) return ErrnoToStatus(errno, path);
  return UniqueFd(fd);
}

bool IsSameFile(int a, int b) {
  struct stat of_a{};
  struct stat of_b{};
  return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

// As many bytes as a pipe that is writable takes without blocking (pipe(7)), and if possible no part of a line, since others may write to it too.
size_t NextPiece(std::string_view bytes) {
  if (bytes.size() <= PIPE_BUF) return bytes.size();
  const size_t line_end = bytes.rfind('\n', PIPE_BUF - 1);
  return line_end == std::string_view::npos ? PIPE_BUF : line_end + 1;
}

}  // namespace

StatusOr<std::unique_ptr<LineWriter>> LineWriter::Open(const std::string& path, const std::string& thread_name) {
  TFLS_ASSIGN_OR_RETURN(UniqueFd fd, OpenLog(path));
  std::unique_ptr<LineWriter> writer(new LineWriter(path, std::move(fd)));
  writer->thread_ = StartThread(thread_name, [raw = writer.get()] { raw->Work(); });
  return writer;
}

LineWriter::~LineWriter() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
}

void LineWriter::Write(std::string_view line) {
  bool is_first = false;
  bool is_full = false;
  {
    const MutexLock lock(mutex_);
    if (waiting_.size() + line.size() > kMaxWaitingBytes) {
      ++dropped_;
      return;
    }
    is_first = waiting_.empty();
    is_full = waiting_.size() < kFullBytes && waiting_.size() + line.size() >= kFullBytes;
    waiting_ += line;
  }
  if (is_first || is_full) wake_.NotifyOne();
}

void LineWriter::Reopen() {
  {
    const MutexLock lock(mutex_);
    reopen_ = true;
  }
  wake_.NotifyOne();
}

uint64_t LineWriter::dropped() const {
  const MutexLock lock(mutex_);
  return dropped_;
}

void LineWriter::Work() {
  std::string bytes;
  for (;;) {
    bool reopen = false;
    {
      const MutexLock lock(mutex_);
      while (waiting_.empty() && !reopen_ && !stopping_) wake_.Wait(mutex_);
      if (waiting_.empty() && !reopen_) return;
      const TimePoint full_or_late = Clock::Steady().Now() + kMaxDelay;
      while (waiting_.size() < kFullBytes && !reopen_ && !stopping_ && wake_.WaitUntil(mutex_, full_or_late)) {
      }
      bytes.clear();
      bytes.swap(waiting_);
      reopen = std::exchange(reopen_, false);
    }
    WriteAll(bytes);
    if (reopen) OpenAgain();
  }
}

void LineWriter::OpenAgain() {
  StatusOr<UniqueFd> opened = OpenLog(path_);
  if (!opened.ok()) {
    TFLS_WARNING("cannot open the log {} again, and go on with the old one: {}", path_, opened.status().ToString());
    return;
  }
  if (!IsSameFile(fd_.get(), opened->get())) rest_.clear();
  fd_ = *std::move(opened);
}

void LineWriter::WriteAll(std::string_view bytes) {
  std::string_view rest = rest_;
  int error = WriteSome(rest);
  rest_.erase(0, rest_.size() - rest.size());
  const std::string_view all = bytes;
  if (error == 0) error = WriteSome(bytes);
  if (error == 0) {
    is_failing_ = false;
    return;
  }
  if (const size_t written = all.size() - bytes.size(); written > 0 && all[written - 1] != '\n') {
    rest_ = bytes.substr(0, bytes.find('\n') + 1);
    bytes.remove_prefix(rest_.size());
  }
  // Not while it ends: whoever does not read this may not read the log either.
  if (error != ETIMEDOUT && !std::exchange(is_failing_, true)) {
    TFLS_WARNING("cannot write the log {}; its lines are dropped until it can be written again", ErrnoToStatus(error, path_).message());
  }
  const MutexLock lock(mutex_);
  dropped_ += static_cast<uint64_t>(std::ranges::count(bytes, '\n'));
}

int LineWriter::WriteSome(std::string_view& bytes) {
  TimePoint give_up = kNoDeadline;
  while (!bytes.empty()) {
    pollfd ready{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, kPollMs) == 0) {
      const TimePoint now = Clock::Steady().Now();
      const MutexLock lock(mutex_);
      if (stopping_ && give_up == kNoDeadline) give_up = now + kLastWait;
      if (now >= give_up) return ETIMEDOUT;
    } else if (const ssize_t written = ::write(fd_.get(), bytes.data(), NextPiece(bytes)); written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return errno;
    }
  }
  return 0;
}

}  // namespace tflite_serving
