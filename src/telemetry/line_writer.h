// Lines for a file, a pipe or a terminal, written by a thread of its own: who has a line never waits for whoever reads them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Thread-safe.
class LineWriter {
 public:
  // Bytes that may wait to be written; lines beyond them are dropped.
  static constexpr size_t kMaxWaitingBytes = size_t{4} << 20;
  // A line waits for others so long, unless that many bytes wait: one write for many lines costs a fraction of one for each.
  static constexpr std::chrono::milliseconds kMaxDelay{20};
  static constexpr size_t kFullBytes = size_t{64} << 10;

  // `path`: "stderr", "stdout", or a file, which is made if it is not there (mode 0640) and added to. `thread_name` is the thread's.
  // Errors: those of open.
  static StatusOr<std::unique_ptr<LineWriter>> Open(const std::string& path, const std::string& thread_name);
  // What cannot be written (a full disk) is dropped, and the log says so once until it can be written again. Of a line that was written in part the
  // rest comes first then.
  // Writes what waits, for a second at most if nobody reads it, and joins.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // `line` with its end.
  void Write(std::string_view line);
  // Opens a file by its name again: whoever rotates has renamed it. What cannot be opened is logged, and the old one goes on.
  void Reopen();

  uint64_t dropped() const;

 private:
  LineWriter(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  void Work();
  void WriteAll(std::string_view bytes);
  // Removes what it has written; the errno of why that is not all, or 0. ETIMEDOUT: nobody reads, and it is time to end.
  int WriteSome(std::string_view& bytes);
  void OpenAgain();

  const std::string path_;
  // Of the thread.
  UniqueFd fd_;
  std::string rest_;         // of a line whose beginning has been written
  bool is_failing_ = false;  // and the log has said so
  mutable Mutex mutex_;
  CondVar wake_;
  std::string waiting_ TFLS_GUARDED_BY(mutex_);
  uint64_t dropped_ TFLS_GUARDED_BY(mutex_) = 0;
  bool reopen_ TFLS_GUARDED_BY(mutex_) = false;
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace tflite_serving
