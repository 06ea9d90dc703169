// One process of a custom servable: its start, its end, and the means to talk with it.
//
// The server starts itself once more, as `program --internal_python_worker PYTHON SCRIPT SOCKET INPUT OUTPUT`, which gives up what a worker must not
// have, and becomes `PYTHON SCRIPT SOCKET INPUT OUTPUT` (LaunchWorker). So a worker does not outlive the thread that started it, not even when the
// server is killed, and is taken by the kernel's out-of-memory killer before the server is.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "custom/shared_arena.h"

namespace tflite_serving {

inline constexpr std::string_view kPythonWorkerFlag = "--internal_python_worker";

struct WorkerCommand {
  std::string program = "/proc/self/exe";  // whose main hands kPythonWorkerFlag to LaunchWorker
  std::string python;                      // an executable: a path, or a name to look for on PATH
  std::string script;                      // tflite_serving_worker.py
};

// Thread-compatible. To be made, used and destroyed by one thread, with whose end the worker is killed.
class WorkerProcess {
 public:
  // Starts one. What is wrong with the command itself is seen when it ends.
  static StatusOr<std::unique_ptr<WorkerProcess>> Start(const WorkerCommand& command);
  // Ends it, and all processes that it started and that are still in its process group.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Resident now; 0 once it has ended.
  size_t memory_bytes() const;

  // Readable when Receive may find something: a message, or the end.
  int socket() const { return socket_.get(); }
  // Readable when ReadOutput may find something.
  int output() const { return output_.get(); }

  SharedArena& input_arena() { return input_arena_; }
  SharedArena& output_arena() { return output_arena_; }

  // Sends a frame (worker_protocol.h). UNAVAILABLE if it is not read: the worker has ended, or does not wait for one.
  Status Send(std::string_view frame);
  // The next frame, without its header, valid until the next call; nothing if it is not all there yet. UNAVAILABLE when the worker has closed the
  // socket; INTERNAL for more than kMaxFrameBytes.
  StatusOr<std::optional<std::span<const std::byte>>> Receive();
  // What it has written to its standard output and error since the last call, as whole lines; a very long one in pieces. What a pipe holds at most,
  // so after its end this is all.
  std::vector<std::string> ReadOutput();
  // What has been read of a line that is not ended yet.
  std::string TakeLastLine();

  // Ends it now; how it ended: "SIGKILL", "exit status 3". Waits for one that is about to end by itself for kPatience, so that its own way is told.
  std::string End(bool by_itself);

 private:
  WorkerProcess(pid_t pid, UniqueFd socket, UniqueFd output, SharedArena input_arena, SharedArena output_arena);

  pid_t pid_;        // 0: has been waited for
  std::string how_;  // it ended
  UniqueFd socket_;
  UniqueFd output_;
  SharedArena input_arena_;
  SharedArena output_arena_;
  std::vector<std::byte> received_;
  size_t consumed_ = 0;  // of received_: what Receive has given
  std::string line_;     // not ended yet
};

// The child's side: does not return if it worked; the exit status otherwise. `arguments` are those behind the flag.
int LaunchWorker(std::span<const char* const> arguments);

}  // namespace tflite_serving
